// Form controls with their label, hint and error tied together for eyes and screen readers alike.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { sentence } from "../format.ts";

export interface Common {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly error?: string | undefined;
}

/** Ids of what describes a control. */
export function described(
  id: string,
  { hint, error }: Common,
): { "aria-describedby"?: string; "aria-invalid"?: boolean } {
  const ids = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean);
  return { "aria-describedby": ids.join(" ") || undefined, "aria-invalid": error ? true : undefined };
}

export function Notes({ id, hint, error }: Common & { readonly id: string }) {
  return (
    <>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="error" id={`${id}-error`}>
          {sentence(error)}
        </p>
      )}
    </>
  );
}

interface TextProps extends Common {
  readonly value: string;
  readonly onText: (text: string) => void;
  readonly rows?: number;
  readonly placeholder?: string;
  readonly kind?: "number" | "secret" | "url";
  readonly disabled?: boolean;
  readonly required?: boolean;
}

export function TextField(props: TextProps) {
  const { label, value, onText, rows, placeholder, kind, disabled, required } = props;
  const id = useId();
  const shared = {
    id,
    value,
    placeholder,
    required,
    disabled,
    ...described(id, props),
    autocomplete: "off" as const,
    onInput: (event: Event) => onText((event.target as HTMLInputElement | HTMLTextAreaElement).value),
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {rows === undefined ? (
        <input
          {...shared}
          type={kind === "secret" ? "password" : "text"}
          inputMode={kind === "number" ? "decimal" : kind === "url" ? "url" : "text"}
          spellcheck={false}
        />
      ) : (
        <textarea {...shared} rows={rows} />
      )}
      <Notes id={id} {...props} />
    </div>
  );
}

interface ChoiceProps extends Common {
  readonly class?: string;
  readonly value: string;
  readonly options: readonly { readonly value: string; readonly text: ComponentChildren }[];
  readonly onChoose: (value: string) => void;
}

/** Radio buttons: a row of equals, or with the class "chips" as many rows as it takes. */
export function Choice(props: ChoiceProps) {
  const { label, value, options, onChoose } = props;
  const id = useId();
  return (
    <fieldset class="field" {...described(id, props)}>
      <legend>{label}</legend>
      <div class={props.class ?? "choices"}>
        {options.map((option) => (
          <label key={option.value}>
            <input
              type="radio"
              name={id}
              value={option.value}
              checked={option.value === value}
              onChange={() => onChoose(option.value)}
            />
            <span>{option.text}</span>
          </label>
        ))}
      </div>
      <Notes id={id} {...props} />
    </fieldset>
  );
}

export function Select(props: ChoiceProps) {
  const { label, value, options, onChoose } = props;
  const id = useId();
  return (
    <div class={`field ${props.class ?? ""}`}>
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChoose(event.currentTarget.value)} {...described(id, props)}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
      <Notes id={id} {...props} />
    </div>
  );
}

interface SliderProps extends Common {
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly unit: string;
  readonly onSlide: (value: number) => void;
}

export function Slider(props: SliderProps) {
  const { label, value, least, most, unit, onSlide } = props;
  const id = useId();
  return (
    <div class="field">
      <div class="spread">
        <label for={id}>{label}</label>
        <output for={id}>
          {value} {unit}
        </output>
      </div>
      <input
        id={id}
        type="range"
        min={least}
        max={most}
        step={1}
        value={value}
        disabled={least === most}
        aria-valuetext={`${value} ${unit}`}
        onInput={(event) => onSlide(event.currentTarget.valueAsNumber)}
        {...described(id, props)}
      />
      <Notes id={id} {...props} />
    </div>
  );
}

interface CheckProps extends Common {
  readonly checked: boolean;
  readonly disabled?: boolean;
  readonly switch?: boolean;
  readonly onCheck: (checked: boolean) => void;
}

export function Check(props: CheckProps) {
  const { label, checked, disabled, onCheck } = props;
  const id = useId();
  return (
    <div class={props.switch ? "check switch" : "check"}>
      <label for={id}>
        <input
          id={id}
          type="checkbox"
          role={props.switch ? "switch" : undefined}
          checked={checked}
          disabled={disabled}
          onChange={(event) => onCheck(event.currentTarget.checked)}
          {...described(id, props)}
        />
        <span>{label}</span>
      </label>
      <Notes id={id} {...props} />
    </div>
  );
}
