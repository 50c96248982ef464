import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface Props {
  readonly label: string;
  /** Whether something in it must be seen; it opens then, and stays open. */
  readonly needed: boolean;
  /** Brings it into view whenever it changes, but for its first value. */
  readonly shown?: unknown;
  readonly children: ComponentChildren;
}

/** Options that most people leave alone, behind their name. */
export function Section({ label, needed, shown, children }: Props) {
  const [open, setOpen] = useState(needed);
  useEffect(() => {
    if (needed) setOpen(true);
  }, [needed]);
  const self = useRef<HTMLDetailsElement>(null);
  const before = useRef(shown);
  useEffect(() => {
    if (!open || before.current === shown) return;
    before.current = shown;
    self.current?.scrollIntoView({ block: "nearest" });
  }, [shown, open]);
  return (
    <details ref={self} class="section" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{label}</summary>
      {children}
    </details>
  );
}
