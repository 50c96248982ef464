// Sending the form, once however often it takes.
import { useRef, useState } from "preact/hooks";
import { newRequestId, videos } from "../api/client.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { refreshAll, shelf } from "./mesh.ts";
import { Malformed, type Order, requestOf } from "./order.ts";
import { addressOf, go } from "./route.ts";

export interface Submission {
  readonly busy: boolean;
  readonly problem: Problem | null;
  /** Asks for the video and goes to it; returns whether it was accepted. */
  submit(order: Order): Promise<boolean>;
}

export function useSubmission(): Submission {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const attempt = useRef({ content: "", requestId: "" });

  async function submit(order: Order): Promise<boolean> {
    if (busy) return true;
    setBusy(true);
    try {
      const created = await videos.createVideo(requestOf(order), { headers: { "x-request-id": keyFor(order) } });
      attempt.current = { content: "", requestId: "" };
      setProblem(null);
      shelf.value = { offset: 0, status: "" };
      refreshAll();
      go(addressOf(created.requestId));
      return true;
    } catch (reason) {
      setProblem(problemOfOrder(reason));
      return false;
    } finally {
      setBusy(false);
    }
  }

  /** The key stays while the same order is repeated: an answer that was lost must not cost a second video. */
  function keyFor(order: Order): string {
    const content = JSON.stringify(order);
    if (content !== attempt.current.content) attempt.current = { content, requestId: newRequestId() };
    return attempt.current.requestId;
  }

  return { busy, problem, submit };
}

export function problemOfOrder(reason: unknown): Problem {
  if (!(reason instanceof Malformed)) return problemOf(reason);
  return { code: "INVALID_FIELD", title: "Some options are not possible", detail: "", fields: { [reason.field]: reason.message } };
}
