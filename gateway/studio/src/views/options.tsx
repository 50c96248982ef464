import type { DeployedModel } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { factor, seconds, size, title } from "../format.ts";
import { Check, Choice, Select, Slider } from "../parts/field.tsx";
import { Frame } from "../parts/icons.tsx";
import { MIN_SECONDS, aspectsOf, isProvided } from "../state/fit.ts";
import { catalogue } from "../state/mesh.ts";
import { ASPECTS, FRAME_RATES, type Order, RESOLUTIONS, TIERS, amend } from "../state/order.ts";
import { MODELS } from "../state/route.ts";

const LONGEST_S = 60;

export interface PartProps {
  readonly asked: Order;
  /** The model that would draw it; undefined while the catalogue is not known. */
  readonly model: DeployedModel | undefined;
  readonly errors: Readonly<Record<string, string>>;
}

export function ModelAndTier({ asked, model, errors }: PartProps) {
  const deployed = catalogue.value.value?.models ?? [];
  const tiers = model?.tiers.map(({ tier }) => tier) ?? TIERS;
  return (
    <>
      {model && deployed.length > 1 && (
        <Select
          label="Model"
          value={model.name}
          error={errors.model}
          options={deployed.map(({ name }) => ({ value: name, text: name }))}
          hint={<Summary model={model} aspect={asked.aspect} />}
          onChoose={(name) => amend({ model: name })}
        />
      )}
      {model && model.fallbacks.length > 0 && (
        <Check
          label="Another model may stand in"
          hint={`${model.fallbacks.join(", ")}: the first that can, if ${model.name} cannot be reached. Same price.`}
          checked={asked.fallback}
          error={errors.allow_fallback}
          onCheck={(fallback) => amend({ fallback })}
        />
      )}
      <Choice
        label="Quality"
        value={asked.tier}
        options={tiers.map((value) => ({ value, text: title(value) }))}
        error={errors.tier}
        onChoose={(tier) => amend({ tier })}
      />
    </>
  );
}

function Summary({ model, aspect }: { readonly model: DeployedModel; readonly aspect: string }) {
  const drawn = model.nativeSizes.find(({ aspectRatio }) => aspectRatio === aspect);
  const at = drawn ? `${size(`${drawn.width}x${drawn.height}`)} at ${factor(model.nativeFps)} fps` : "";
  return (
    <>
      Draws {at}, up to {seconds(model.maxDurationSeconds)}; price × {factor(model.priceMultiplier)}.{" "}
      <a href={MODELS} class="whole">
        All models
      </a>
    </>
  );
}

/** What is delivered, as far as the model draws it. */
export function Format({ asked, model, errors }: PartProps) {
  const plain = (values: readonly string[]) => values.map((value) => ({ value, text: value }));
  const framed = (model ? aspectsOf(model) : ASPECTS).map((value) => ({
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
        least={MIN_SECONDS}
        most={model ? Math.max(MIN_SECONDS, Math.floor(model.maxDurationSeconds)) : LONGEST_S}
        unit="s"
        value={asked.seconds}
        hint={model && lengthNote(asked.seconds, model)}
        error={errors.duration_seconds}
        onSlide={(length) => amend({ seconds: length })}
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

function lengthNote(length: number, { name, lengthsSeconds, maxDurationSeconds }: DeployedModel): string | undefined {
  const made = lengthsSeconds.find((each) => each >= length);
  if (made !== undefined && made !== length) return `${name} makes ${seconds(made)}, of which this much is kept`;
  return maxDurationSeconds < LONGEST_S ? `At most ${seconds(maxDurationSeconds)} with ${name}` : undefined;
}

export function Sound({ asked, model, errors }: PartProps) {
  const speechError = errors["audio_config.include_speech"];
  if (model && !model.makesSound) return <p class="hint">{model.name} makes no sound.</p>;
  return (
    <div class="sound">
      <Check
        label="Sound"
        switch
        checked={asked.sound}
        error={errors.enable_audio ?? errors.audio_config}
        onCheck={(sound) => amend({ sound })}
      />
      {asked.sound && (
        <div class="kinds" role="group" aria-label="Kinds of sound">
          {!isProvided(model) && <Beds asked={asked} />}
          {(model?.canSpeak || speechError) && (
            <Check label="Speech" checked={asked.speech} error={speechError} onCheck={(speech) => amend({ speech })} />
          )}
        </div>
      )}
    </div>
  );
}

function Beds({ asked }: { readonly asked: Order }) {
  return (
    <>
      <Check label="Ambience" checked={asked.ambience} onCheck={(ambience) => amend({ ambience })} />
      <Check label="Music" checked={asked.music} onCheck={(music) => amend({ music })} />
    </>
  );
}
