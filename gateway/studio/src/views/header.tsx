import { claims, signOut } from "../api/session.ts";
import { credits, moment } from "../format.ts";
import { Mark } from "../parts/icons.tsx";
import { account, forgetAll } from "../state/mesh.ts";
import { clearOrder } from "../state/order.ts";
import { useRefreshed } from "../state/remote.ts";
import { HOME, MODELS, WORKERS, route } from "../state/route.ts";

const ACCOUNT_EVERY_MS = 30_000;

/** Name, views, credits, and who one is. */
export function Header() {
  const { view } = route.value;
  return (
    <header class="top">
      <a class="brand" href={HOME}>
        <Mark />
        <span>
          Kinemesh <span class="thin">Studio</span>
        </span>
      </a>
      <nav aria-label="Views">
        <a href={HOME} aria-current={view === "gallery" ? "page" : view === "video" ? "true" : undefined}>
          Videos
        </a>
        <a href={MODELS} aria-current={view === "models" ? "page" : undefined}>
          Models
        </a>
        <a href={WORKERS} aria-current={view === "workers" ? "page" : undefined}>
          Workers
        </a>
      </nav>
      <Credits />
      <User />
    </header>
  );
}

function Credits() {
  useRefreshed(account, ACCOUNT_EVERY_MS);
  const known = account.value.value;
  if (known === null) return <p class="credits" />;
  return (
    <p class="credits" title={`${credits(known.spentCredits)} credits spent so far`}>
      <strong>{credits(known.availableCredits)}</strong> credits
      {known.heldCredits > 0 && <span class="held">{credits(known.heldCredits)} held</span>}
    </p>
  );
}

function User() {
  const who = claims.value;
  const leave = () => {
    forgetAll();
    clearOrder();
    signOut();
  };
  return (
    <p class="user">
      {who && <span title={who.expires ? `The token is good until ${moment(who.expires)}` : ""}>{who.user}</span>}
      <button type="button" class="plain" onClick={leave}>
        Sign out
      </button>
    </p>
  );
}
