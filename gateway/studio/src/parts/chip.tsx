import { hasEnded, labelOf } from "../state/phases.ts";

const TONES: Readonly<Record<string, string>> = {
  COMPLETED: "good",
  FAILED: "bad",
  BLOCKED: "bad",
  CANCELLED: "quiet",
};

/** The state of a video in a word. */
export function StatusChip({ status }: { readonly status: string }) {
  return (
    <span class={`chip ${hasEnded(status) ? TONES[status] : "busy"}`} data-status={status}>
      {labelOf(status)}
    </span>
  );
}
