// Which view the address names: #/ the gallery, #/videos/<id>, #/models, #/workers.
import { signal } from "@preact/signals";

export type Route =
  | { readonly view: "gallery" }
  | { readonly view: "video"; readonly id: string }
  | { readonly view: "models" }
  | { readonly view: "workers" };

export const HOME = "#/";
export const MODELS = "#/models";
export const WORKERS = "#/workers";
export const route = signal<Route>(read());

export function addressOf(id: string): string {
  return `#/videos/${id}`;
}

export function go(address: string): void {
  location.hash = address;
}

export function followAddress(): void {
  addEventListener("hashchange", () => (route.value = read()));
}

function read(): Route {
  const id = /^#\/videos\/([0-9a-f-]{36})$/i.exec(location.hash)?.[1];
  if (id !== undefined) return { view: "video", id };
  if (location.hash === MODELS) return { view: "models" };
  return { view: location.hash === WORKERS ? "workers" : "gallery" };
}
