import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";
import { type Common, Notes, described } from "./field.tsx";
import { Image } from "./icons.tsx";

interface Props extends Common {
  /** Media types. */
  readonly accept: readonly string[];
  readonly invitation: string;
  readonly onFile: (file: File) => void;
  readonly onRemove: () => void;
  /** What was chosen; nothing while there is none. */
  readonly children: ComponentChildren;
}

/** Takes one file. The browser's own control lies over the field, so that a press and a drop both reach it. */
export function FileField(props: Props) {
  const { label, accept, invitation, onFile, onRemove, children } = props;
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const remove = () => {
    onRemove();
    input.current?.focus();
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="file">
        {children ?? (
          <>
            <Image />
            <p>{invitation}</p>
          </>
        )}
        <input
          ref={input}
          id={id}
          type="file"
          accept={accept.join(",")}
          {...described(id, props)}
          onChange={({ currentTarget }) => {
            const file = currentTarget.files?.[0];
            currentTarget.value = ""; // the same file may be chosen again
            if (file) onFile(file);
          }}
        />
        {children && (
          <button type="button" aria-label={`Remove: ${label}`} onClick={remove}>
            Remove
          </button>
        )}
      </div>
      <Notes id={id} {...props} />
    </div>
  );
}
