// Whether somebody can see the page. Streams and refreshes rest while nobody can: over HTTP/1.1 a browser opens only
// six connections to a host, for all of its tabs.
import { signal } from "@preact/signals";

export const visible = signal(!document.hidden);

document.addEventListener("visibilitychange", () => (visible.value = !document.hidden));
