import { TextField } from "../parts/field.tsx";
import { Section } from "../parts/section.tsx";
import { canSteerAway, defaultsOf, isProvided } from "../state/fit.ts";
import { amend } from "../state/order.ts";
import type { PartProps } from "./options.tsx";

/** Names in the contract. */
const FIGURES = {
  seed: "seed",
  steps: "num_inference_steps",
  guidance: "guidance_scale",
  priority: "priority",
} as const;
const FIELDS = [...Object.values(FIGURES), "negative_prompt", "webhook_url", "webhook_secret"];

/** Sampling, and what happens besides. */
export function Advanced(props: PartProps) {
  return (
    <Section label="More options" needed={FIELDS.some((field) => field in props.errors)}>
      <NegativePrompt {...props} />
      <Sampling {...props} />
      <Webhook {...props} />
    </Section>
  );
}

function NegativePrompt({ asked, model, errors }: PartProps) {
  const heeded = canSteerAway(asked, model);
  return (
    <TextField
      label="Negative prompt"
      rows={2}
      value={asked.negativePrompt}
      error={errors.negative_prompt}
      disabled={!heeded}
      hint={
        heeded ? undefined : isProvided(model) ? `${model?.name} does not look at it` : "Has no effect at guidance 1"
      }
      placeholder="What to steer away from"
      onText={(negativePrompt) => amend({ negativePrompt })}
    />
  );
}

function Sampling({ asked, model, errors }: PartProps) {
  const own = defaultsOf(asked, model);
  const guidance = own?.guidanceScale.toFixed(1) ?? "";
  const steps = String(own?.numInferenceSteps ?? "");
  return (
    <div class="pair even">
      {(model?.takesSeed ?? true) && (
        <Figure field="seed" label="Seed" otherwise="Random" asked={asked} errors={errors} />
      )}
      {!isProvided(model) && (
        <>
          <Figure field="steps" label="Steps" otherwise={steps} asked={asked} errors={errors} />
          <Figure field="guidance" label="Guidance" otherwise={guidance} asked={asked} errors={errors} />
        </>
      )}
      <Figure field="priority" label="Priority" otherwise="100; 0 is first" asked={asked} errors={errors} />
    </div>
  );
}

interface FigureProps extends Pick<PartProps, "asked" | "errors"> {
  readonly field: keyof typeof FIGURES;
  readonly label: string;
  /** What holds when nothing is given. */
  readonly otherwise: string;
}

function Figure({ field, label, otherwise, asked, errors }: FigureProps) {
  return (
    <TextField
      label={label}
      kind="number"
      value={asked[field]}
      error={errors[FIGURES[field]]}
      placeholder={otherwise}
      onText={(text) => amend({ [field]: text })}
    />
  );
}

function Webhook({ asked, errors }: PartProps) {
  return (
    <>
      <TextField
        label="Webhook"
        kind="url"
        value={asked.webhookUrl}
        error={errors.webhook_url}
        placeholder="https://example.com/told-when-it-ends"
        onText={(webhookUrl) => amend({ webhookUrl })}
      />
      {(asked.webhookUrl || asked.webhookSecret) && (
        <TextField
          label="Secret of the webhook"
          kind="secret"
          value={asked.webhookSecret}
          error={errors.webhook_secret}
          placeholder="whsec_…; your account's own when empty"
          onText={(webhookSecret) => amend({ webhookSecret })}
        />
      )}
    </>
  );
}
