// Answers of the mesh that several parts of the page show.
import { type Signal, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { reachable } from "../api/client.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { refused } from "../api/session.ts";
import { visible } from "./visible.ts";

/** The newest answer to a call, and why the last attempt failed. An answer stays when a later attempt fails. */
export class Remote<T> {
  readonly value: Signal<T | null> = signal(null);
  readonly problem: Signal<Problem | null> = signal(null);
  private current: AbortController | null = null;

  constructor(private readonly call: (stop: AbortSignal) => Promise<T>) {}

  /** Asks again; an earlier question that has no answer yet is dropped. */
  async refresh(): Promise<void> {
    this.current?.abort();
    const asking = new AbortController();
    this.current = asking;
    try {
      const answer = await this.call(asking.signal);
      if (asking.signal.aborted) return;
      this.value.value = answer;
      this.problem.value = null;
    } catch (reason) {
      if (!asking.signal.aborted) this.problem.value = problemOf(reason);
    }
  }

  /** Forgets the answer, as when the user changes. */
  forget(): void {
    this.current?.abort();
    this.value.value = null;
    this.problem.value = null;
  }
}

/**
 * Refreshes when shown, when a dependency changes, when the mesh is back and then regularly, while the page is visible
 * and the token good.
 */
export function useRefreshed(remote: Remote<unknown>, everyMs: number, dependencies: readonly unknown[] = []): void {
  const active = visible.value && !refused.value;
  useEffect(() => {
    if (!active) return;
    void remote.refresh();
    const timer = setInterval(() => void remote.refresh(), everyMs);
    return () => clearInterval(timer);
  }, [remote, everyMs, active, reachable.value, ...dependencies]);
}
