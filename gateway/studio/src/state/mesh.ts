// What the page knows of the mesh: the caller's account and videos, the catalogue of models, the workers.
import { signal } from "@preact/signals";
import { accounts, videos, workers } from "../api/client.ts";
import { Remote } from "./remote.ts";

export const PAGE_SIZE = 12;

export const account = new Remote((signal) => accounts.getAccount({}, { signal }));
export const catalogue = new Remote((signal) => videos.listModels({}, { signal }));
export const registry = new Remote(async (signal) => (await workers.listWorkers({}, { signal })).workers);

/** Which page of which videos the gallery shows; an empty filter shows all. */
export const shelf = signal({ offset: 0, status: "" });
export const library = new Remote((stop) => videos.listVideos({ ...shelf.value, limit: PAGE_SIZE }, { signal: stop }));

/** After anything that moves credits or videos. */
export function refreshAll(): void {
  void account.refresh();
  void library.refresh();
}

/** Nothing of one user is shown to the next. */
export function forgetAll(): void {
  for (const remote of [account, catalogue, registry, library]) remote.forget();
  shelf.value = { offset: 0, status: "" };
}
