// Sending the form, once however often it takes.
import { useState } from "preact/hooks";
import { newRequestId, videos } from "../api/client.ts";
import { type Problem, invalid, problemOf } from "../api/problem.ts";
import { refreshAll, shelf } from "./mesh.ts";
import { Malformed, type Order, amend, requestOf, textOf } from "./order.ts";
import { addressOf, go } from "./route.ts";

const KEY = "kinemesh.attempt";

export interface Submission {
  readonly busy: boolean;
  /** Why the order was refused; null once it is another order. */
  readonly problem: Problem | null;
  /** Asks for the video and goes to it; returns whether it was accepted. */
  submit(order: Order): Promise<boolean>;
}

export function useSubmission(current: Order): Submission {
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<{ readonly text: string; readonly problem: Problem } | null>(null);

  async function submit(order: Order): Promise<boolean> {
    if (busy) return true;
    setBusy(true);
    try {
      const created = await videos.createVideo(requestOf(order), { headers: { "x-request-id": keyFor(order) } });
      sessionStorage.removeItem(KEY);
      setRefusal(null);
      amend({ remixOf: "" });
      shelf.value = { offset: 0, status: "" };
      refreshAll();
      go(addressOf(created.requestId));
      return true;
    } catch (reason) {
      setRefusal({ text: textOf(order), problem: problemOfOrder(reason) });
      return false;
    } finally {
      setBusy(false);
    }
  }

  return { busy, problem: refusal?.text === textOf(current) ? refusal.problem : null, submit };
}

/** The key stays while the same order is repeated, over reloads too: an answer that was lost must not cost a second video. */
function keyFor(order: Order): string {
  const content = textOf(order);
  const last = JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as { content?: string; requestId?: string };
  if (last.content === content && last.requestId) return last.requestId;
  const requestId = newRequestId();
  sessionStorage.setItem(KEY, JSON.stringify({ content, requestId }));
  return requestId;
}

export function problemOfOrder(reason: unknown): Problem {
  if (!(reason instanceof Malformed)) return problemOf(reason);
  return invalid("INVALID_FIELD", { [reason.field]: reason.message });
}
