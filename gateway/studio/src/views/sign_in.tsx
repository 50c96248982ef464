import { useState } from "preact/hooks";
import { refused, signIn } from "../api/session.ts";
import { TextField } from "../parts/field.tsx";

/** Asks for a token. With `again`, in place of one that the gateway refuses. */
export function SignIn({ again }: { readonly again?: boolean }) {
  const [text, setText] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim() !== "") signIn(text);
  };
  return (
    <form class="sign-in panel" onSubmit={submit}>
      <h1>{again ? "Your token is no longer accepted" : "Sign in"}</h1>
      <p>
        {again
          ? "It has expired or was replaced. Paste a fresh one to go on where you were; nothing is lost."
          : "The studio acts for you with an access token. It stays in this tab and is forgotten when you close it."}
      </p>
      <TextField
        label="Access token"
        value={text}
        onText={setText}
        kind="secret"
        required
        error={again && refused.value ? "the gateway refused the last token" : undefined}
        hint={
          <>
            On the machine that runs the mesh, <code>kinemesh token</code> prints one.
          </>
        }
      />
      <button class="primary" type="submit" disabled={text.trim() === ""}>
        Continue
      </button>
    </form>
  );
}
