import { useRef } from "preact/hooks";
import type { DeployedModel } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { Check, Choice, Select, Slider, TextField } from "../parts/field.tsx";
import { Frame } from "../parts/icons.tsx";
import { ProblemNotice } from "../parts/notice.tsx";
import { title } from "../format.ts";
import { models } from "../state/mesh.ts";
import { ASPECTS, FRAME_RATES, MAX_PROMPT, type Order, RESOLUTIONS, TIERS, amend, order } from "../state/order.ts";
import { useRefreshed } from "../state/remote.ts";
import { useSubmission } from "../state/submission.ts";
import { PriceTag, useQuote } from "./price.tsx";

const MODELS_EVERY_MS = 60_000;
const TIER_TEXTS: Readonly<Record<string, string>> = { REALTIME: "Realtime", STANDARD: "Standard", CINEMA: "Cinema" };

/** The form that asks for a video. */
export function Composer() {
  useRefreshed(models, MODELS_EVERY_MS);
  const form = useRef<HTMLFormElement>(null);
  const asked = order.value;
  const quote = useQuote(asked);
  const { busy, problem, submit } = useSubmission(asked);
  const errors = { ...quote.problem?.fields, ...problem?.fields };
  const model = (models.value.value ?? []).find(({ name }) => asked.model === "" || name === asked.model);
  const send = async () => {
    if (!(await submit(asked))) requestAnimationFrame(() => focusError(form.current));
  };
  return (
    <form
      ref={form}
      class="composer panel"
      noValidate
      aria-label="New video"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void send();
      }}
    >
      <h2>New video</h2>
      <Prompt asked={asked} error={errors.prompt} />
      <Speed asked={asked} model={model} errors={errors} />
      <Picture asked={asked} errors={errors} />
      <Sound asked={asked} canSpeak={model?.canSpeak ?? false} errors={errors} />
      <Advanced asked={asked} model={model} errors={errors} />
      <div class="submit">
        {problem && <ProblemNotice problem={problem} />}
        <PriceTag quote={quote} />
        <button class="primary" type="submit" disabled={busy}>
          {busy ? "Sending…" : "Create video"}
        </button>
      </div>
    </form>
  );
}

interface PartProps {
  readonly asked: Order;
  readonly errors: Readonly<Record<string, string>>;
}

function Prompt({ asked, error }: { readonly asked: Order; readonly error: string | undefined }) {
  const length = Array.from(asked.prompt).length;
  const hint = length > MAX_PROMPT * 0.9 ? `${length} of ${MAX_PROMPT} characters` : "Ctrl + Enter creates the video";
  return (
    <TextField
      label="Prompt"
      rows={3}
      value={asked.prompt}
      error={error}
      hint={hint}
      required
      placeholder="A red ball bouncing on green grass"
      onText={(prompt) => amend({ prompt })}
    />
  );
}

function Speed({ asked, model, errors }: PartProps & { readonly model: DeployedModel | undefined }) {
  const deployed = models.value.value ?? [];
  const offered = model?.tiers.map(({ tier }) => tier) ?? TIERS;
  const options = offered.map((value) => ({ value, text: TIER_TEXTS[value] ?? title(value) }));
  return (
    <>
      {deployed.length > 1 && (
        <Select
          label="Model"
          value={asked.model || deployed[0]!.name}
          error={errors.model}
          options={deployed.map(({ name }) => ({ value: name, text: name }))}
          onChoose={(name) => amend({ model: name })}
        />
      )}
      <Choice
        label="Quality"
        value={asked.tier}
        options={options}
        error={errors.tier}
        onChoose={(tier) => amend({ tier })}
      />
    </>
  );
}

function Picture({ asked, errors }: PartProps) {
  const plain = (values: readonly string[]) => values.map((value) => ({ value, text: value }));
  const framed = ASPECTS.map((value) => ({
    value,
    text: (
      <>
        <Frame aspect={value} />
        {value}
      </>
    ),
  }));
  return (
    <>
      <Slider
        label="Length"
        least={5}
        most={60}
        unit="s"
        value={asked.seconds}
        error={errors.duration_seconds}
        onSlide={(seconds) => amend({ seconds })}
      />
      <Choice
        label="Shape"
        value={asked.aspect}
        options={framed}
        error={errors.aspect_ratio}
        onChoose={(aspect) => amend({ aspect })}
      />
      <div class="pair">
        <Choice
          label="Resolution"
          value={asked.resolution}
          options={plain(RESOLUTIONS)}
          error={errors.resolution}
          onChoose={(resolution) => amend({ resolution })}
        />
        <Choice
          label="Frames a second"
          value={asked.fps}
          options={plain(FRAME_RATES)}
          error={errors.fps}
          onChoose={(fps) => amend({ fps })}
        />
      </div>
    </>
  );
}

function Sound({ asked, canSpeak, errors }: PartProps & { readonly canSpeak: boolean }) {
  const speechError = errors["audio_config.include_speech"];
  return (
    <div class="sound">
      <Check
        label="Sound"
        switch
        checked={asked.sound}
        error={errors.audio_config}
        onCheck={(sound) => amend({ sound })}
      />
      {asked.sound && (
        <div class="kinds" role="group" aria-label="Kinds of sound">
          <Check label="Ambience" checked={asked.ambience} onCheck={(ambience) => amend({ ambience })} />
          <Check label="Music" checked={asked.music} onCheck={(music) => amend({ music })} />
          {(canSpeak || speechError) && (
            <Check label="Speech" checked={asked.speech} error={speechError} onCheck={(speech) => amend({ speech })} />
          )}
        </div>
      )}
    </div>
  );
}

const ADVANCED = ["negative_prompt", "seed", "num_inference_steps", "guidance_scale"];

function Advanced({ asked, model, errors }: PartProps & { readonly model: DeployedModel | undefined }) {
  const own = model?.tiers.find(({ tier }) => tier === asked.tier);
  const wrong = ADVANCED.some((field) => field in errors);
  return (
    <details class="advanced" {...(wrong ? { open: true } : {})}>
      <summary>More options</summary>
      <TextField
        label="Negative prompt"
        rows={2}
        value={asked.negativePrompt}
        error={errors.negative_prompt}
        placeholder="What to steer away from"
        onText={(negativePrompt) => amend({ negativePrompt })}
      />
      <div class="trio">
        <TextField
          label="Seed"
          numeric
          value={asked.seed}
          error={errors.seed}
          placeholder="Random"
          onText={(seed) => amend({ seed })}
        />
        <TextField
          label="Steps"
          numeric
          value={asked.steps}
          error={errors.num_inference_steps}
          placeholder={String(own?.numInferenceSteps ?? "")}
          onText={(steps) => amend({ steps })}
        />
        <TextField
          label="Guidance"
          numeric
          value={asked.guidance}
          error={errors.guidance_scale}
          placeholder={own ? own.guidanceScale.toFixed(1) : ""}
          onText={(guidance) => amend({ guidance })}
        />
      </div>
    </details>
  );
}

function focusError(form: HTMLFormElement | null): void {
  const invalid = form?.querySelector<HTMLElement>("[aria-invalid]");
  (invalid?.matches("fieldset") ? invalid.querySelector<HTMLElement>("input") : invalid)?.focus();
}
