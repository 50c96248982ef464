import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

interface Props {
  readonly title: string;
  /** What the button says that goes on. */
  readonly yes: string;
  readonly onYes: () => void;
  readonly onNo: () => void;
  readonly children: ComponentChildren;
}

/** Asks before what cannot be undone. Escape is no; the focus goes back to where it came from. */
export function Question({ title, yes, onYes, onNo, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  const answer = (tell: () => void) => {
    dialog.current?.close();
    tell();
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        answer(onNo);
      }}
    >
      <h2 id={id}>{title}</h2>
      {children}
      <p class="actions">
        <button type="button" onClick={() => answer(onNo)}>
          Keep it
        </button>
        <button type="button" class="danger" onClick={() => answer(onYes)}>
          {yes}
        </button>
      </p>
    </dialog>
  );
}
