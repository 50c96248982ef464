import { useEffect, useState } from "preact/hooks";
import { Seal } from "../parts/icons.tsx";
import { type Manifest, readManifest } from "../state/manifest.ts";

const SOURCES: Readonly<Record<string, string>> = { trainedAlgorithmicMedia: "Made by a trained model" };

/** The video's signature: who says how it was made. */
export function Provenance({ url }: { readonly url: string }) {
  const [manifest, setManifest] = useState<Manifest | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    fetchManifest(url, stop.signal).then(setManifest, () => setFailed(!stop.signal.aborted));
    return () => stop.abort();
  }, []);
  return (
    <section class="provenance" aria-labelledby="provenance-title">
      <h2 id="provenance-title">
        <Seal />
        Content credentials
      </h2>
      {manifest && <Statements manifest={manifest} />}
      {failed && <p class="quiet">The manifest could not be read here.</p>}
      <p class="quiet">
        The C2PA manifest is embedded in the MP4 and signed; any C2PA reader can check it.{" "}
        <a href={url}>Open it as JSON</a>
      </p>
    </section>
  );
}

function Statements({ manifest }: { readonly manifest: Manifest }) {
  const rows: readonly (readonly [string, string])[] = [
    ["Source", SOURCES[manifest.source] ?? manifest.source],
    ["Model", manifest.software],
    ["Made with", manifest.generator],
    ["Signed by", manifest.issuer],
    ["Signature", [manifest.algorithm, manifest.state].filter(Boolean).join(", ")],
  ];
  return (
    <dl>
      {rows
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

async function fetchManifest(url: string, signal: AbortSignal): Promise<Manifest | null> {
  const answer = await fetch(url, { signal });
  if (!answer.ok) throw new Error(`the object store answered ${answer.status}`);
  return readManifest(await answer.json());
}
