import { useMemo, useRef } from "preact/hooks";
import { Cross } from "../parts/icons.tsx";
import { Choice, TextField } from "../parts/field.tsx";
import { ProblemNotice } from "../parts/notice.tsx";
import { title } from "../format.ts";
import { fitted, isProvided, modelOf } from "../state/fit.ts";
import { catalogue } from "../state/mesh.ts";
import { MAX_PROMPT, type Order, amend, order } from "../state/order.ts";
import { useRefreshed } from "../state/remote.ts";
import { addressOf } from "../state/route.ts";
import { useSubmission } from "../state/submission.ts";
import { useSeconds } from "../state/clock.ts";
import { Advanced } from "./advanced.tsx";
import { Format, ModelAndTier, Sound } from "./options.tsx";
import { PriceTag, useQuote } from "./price.tsx";
import { Beginning } from "./beginning.tsx";

const CATALOGUE_EVERY_MS = 60_000;

/** The form that asks for a video. */
export function Composer() {
  useRefreshed(catalogue, CATALOGUE_EVERY_MS);
  const form = useRef<HTMLFormElement>(null);
  const offered = catalogue.value.value;
  const asked = useMemo(() => fitted(order.value, offered), [order.value, offered]);
  const model = modelOf(asked, offered);
  const quote = useQuote(asked);
  const { busy, problem, submit } = useSubmission(asked);
  const wait = useSeconds(problem?.retryAfterS ?? 0, problem);
  const errors = { ...quote.problem?.fields, ...problem?.fields };
  const send = async () => {
    if (wait > 0) return;
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
      <Remix asked={asked} />
      <Prompt asked={asked} error={errors.prompt} />
      <Style asked={asked} error={errors.style_preset} />
      <ModelAndTier asked={asked} model={model} errors={errors} />
      <Format asked={asked} model={model} errors={errors} />
      <Sound asked={asked} model={model} errors={errors} />
      <Beginning asked={asked} model={model} errors={errors} />
      <Advanced asked={asked} model={model} errors={errors} />
      <div class="submit">
        {problem && <ProblemNotice problem={problem} />}
        <PriceTag quote={quote} stepped={!isProvided(model)} />
        <button class="primary" type="submit" disabled={busy || wait > 0}>
          {busy ? "Sending…" : wait > 0 ? `Again in ${wait} s` : "Create video"}
        </button>
      </div>
    </form>
  );
}

/** To where a prompt is written. */
export function focusPrompt(): void {
  document.querySelector<HTMLElement>(".composer textarea")?.focus();
}

function Remix({ asked }: { readonly asked: Order }) {
  if (asked.remixOf === "") return null;
  return (
    <p class="remix">
      <span>
        After <a href={addressOf(asked.remixOf)}>this video</a>, with its settings
        {asked.remixLacksPicture && asked.firstFrame === null && "; choose its first frame anew"}
      </span>
      <button type="button" class="plain" aria-label="Not a remix" onClick={() => amend({ remixOf: "" })}>
        <Cross />
      </button>
    </p>
  );
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

function Style({ asked, error }: { readonly asked: Order; readonly error: string | undefined }) {
  const styles = catalogue.value.value?.stylePresets ?? [];
  if (styles.length === 0) return null;
  return (
    <Choice
      class="chips"
      label="Style"
      value={asked.style}
      options={[{ value: "", text: "None" }, ...styles.map(({ name }) => ({ value: name, text: title(name) }))]}
      hint={styles.find(({ name }) => name === asked.style)?.description}
      error={error}
      onChoose={(style) => amend({ style })}
    />
  );
}

function focusError(form: HTMLFormElement | null): void {
  const invalid = form?.querySelector<HTMLElement>("[aria-invalid]");
  (invalid?.matches("fieldset") ? invalid.querySelector<HTMLElement>("input") : invalid)?.focus();
}
