// Who is using the page: a token, from the URL's fragment or typed in, kept for this tab only.
import { computed, signal } from "@preact/signals";

const KEY = "kinemesh.token";

export const token = signal<string | null>(null);
/** Whether the gateway has refused the token. */
export const refused = signal(false);
/** What the token says about itself; the gateway, not this page, judges whether that is true. */
export const claims = computed(() => (token.value === null ? null : claimsOf(token.value)));

export interface Claims {
  readonly user: string;
  readonly expires: Date | null;
}

/** Takes the token out of the address, so that it is neither bookmarked nor shared, or else the one this tab had. */
export function restoreSession(): void {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) {
    history.replaceState(null, "", location.pathname);
    signIn(given);
  } else {
    token.value = sessionStorage.getItem(KEY);
  }
}

export function signIn(given: string): void {
  const text = given.trim().replace(/^Bearer\s+/i, "");
  sessionStorage.setItem(KEY, text);
  refused.value = false;
  token.value = text;
}

/** Forgets all that this tab has kept. */
export function signOut(): void {
  sessionStorage.clear();
  refused.value = false;
  token.value = null;
}

function claimsOf(text: string): Claims | null {
  try {
    const payload = (text.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; exp?: unknown };
    return { user: String(sub ?? ""), expires: typeof exp === "number" ? new Date(exp * 1000) : null };
  } catch {
    return null;
  }
}
