import { useEffect, useState } from "preact/hooks";
import { moment } from "../format.ts";
import { Seal } from "../parts/icons.tsx";
import { type Row, Rows } from "../parts/rows.tsx";
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
      {manifest && <Rows rows={statementsOf(manifest)} />}
      {failed && <p class="quiet">The manifest could not be read here.</p>}
      <p class="quiet">The C2PA manifest is embedded in the MP4 and signed; any C2PA reader can check it.</p>
    </section>
  );
}

function statementsOf(manifest: Manifest): Row[] {
  const rows: readonly Row[] = [
    ["Source", SOURCES[manifest.source] ?? manifest.source],
    ["Model", manifest.software],
    ["Made with", manifest.generator],
    ["Signed by", manifest.issuer],
    ["Signed at", manifest.signedAt && moment(new Date(manifest.signedAt))],
    ["Signature", [manifest.algorithm, manifest.state].filter(Boolean).join(", ")],
    ["Certificate", manifest.certificate && <code>{manifest.certificate}</code>],
    ["Assertions", manifest.assertions.length > 0 && <code>{manifest.assertions.join(" ")}</code>],
  ];
  return rows.filter(([, value]) => value);
}

async function fetchManifest(url: string, signal: AbortSignal): Promise<Manifest | null> {
  const answer = await fetch(url, { signal });
  if (!answer.ok) throw new Error(`the object store answered ${answer.status}`);
  return readManifest(await answer.json());
}
