import { render } from "preact";
import { useEffect } from "preact/hooks";
import "./studio.css";
import { reachable } from "./api/client.ts";
import { refused, restoreSession, token } from "./api/session.ts";
import { account } from "./state/mesh.ts";
import { followAddress, route } from "./state/route.ts";
import { Composer } from "./views/composer.tsx";
import { Gallery } from "./views/gallery.tsx";
import { Header } from "./views/header.tsx";
import { Models } from "./views/models.tsx";
import { SignIn } from "./views/sign_in.tsx";
import { Video } from "./views/video.tsx";
import { Workers } from "./views/workers.tsx";

const RECONNECT_MS = 2000;

function Studio() {
  if (token.value === null)
    return (
      <main class="alone">
        <SignIn />
      </main>
    );
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Header />
      <Connection />
      <main id="main" tabIndex={-1} data-view={route.value.view}>
        {refused.value ? <SignIn again /> : <View />}
      </main>
    </>
  );
}

function View() {
  const { value } = route;
  if (value.view === "workers") return <Workers />;
  if (value.view === "models") return <Models />;
  return (
    <>
      <Composer />
      {value.view === "video" ? <Video key={value.id} id={value.id} /> : <Gallery />}
    </>
  );
}

/** Says that the mesh is away, and looks whether it is back. */
function Connection() {
  const away = !reachable.value;
  useEffect(() => {
    if (!away) return;
    const timer = setInterval(() => void account.refresh(), RECONNECT_MS);
    return () => clearInterval(timer);
  }, [away]);
  return away ? (
    <p class="away" role="alert">
      The mesh cannot be reached. Trying again…
    </p>
  ) : null;
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

restoreSession();
followAddress();
render(<Studio />, document.getElementById("studio")!);
