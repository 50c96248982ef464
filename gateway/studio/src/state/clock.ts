// Time that passes on the page.
import { useEffect, useState } from "preact/hooks";

const SECOND_MS = 1000;

/** The whole seconds that are left of `seconds`, counted from when `cause` became what it is. */
export function useSeconds(seconds: number, cause: unknown): number {
  const [left, setLeft] = useState(0);
  useEffect(() => {
    setLeft(seconds);
    if (seconds <= 0) return;
    const end = Date.now() + seconds * SECOND_MS;
    const timer = setInterval(() => {
      const remaining = Math.max(0, Math.ceil((end - Date.now()) / SECOND_MS));
      setLeft(remaining);
      if (remaining === 0) clearInterval(timer);
    }, SECOND_MS / 4);
    return () => clearInterval(timer);
  }, [cause]);
  return left;
}

/** The current time, ten times a second while it matters. */
export function useNow(running: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(Date.now()), SECOND_MS / 10);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}
