// What a C2PA manifest says, of the JSON that the transcoder stores beside each video.
export interface Manifest {
  /** What the transcoder's reader found when it signed: "Trusted", "Valid" or "Invalid". */
  readonly state: string;
  readonly generator: string;
  readonly issuer: string;
  readonly algorithm: string;
  /** ISO 8601; empty without a time stamp. */
  readonly signedAt: string;
  readonly source: string;
  readonly software: string;
  readonly certificate: string;
  readonly assertions: readonly string[];
}

interface Raw {
  active_manifest?: string;
  validation_state?: string;
  manifests?: Record<string, RawManifest>;
}

interface RawManifest {
  claim_generator_info?: { name?: string; version?: string }[];
  signature_info?: { issuer?: string; common_name?: string; alg?: string; time?: string; cert_serial_number?: string };
  assertions?: { label: string; data: { actions?: RawAction[] } }[];
}

interface RawAction {
  digitalSourceType?: string;
  softwareAgent?: { name?: string } | string;
}

/** Reads the active manifest; null when there is none. */
export function readManifest(raw: unknown): Manifest | null {
  const store = raw as Raw;
  const manifest = store.manifests?.[store.active_manifest ?? ""];
  if (manifest === undefined) return null;
  const [generator] = manifest.claim_generator_info ?? [];
  const signature = manifest.signature_info ?? {};
  const action = actionOf(manifest);
  const agent = action?.softwareAgent;
  return {
    state: store.validation_state ?? "",
    generator: [generator?.name, generator?.version].filter(Boolean).join(" "),
    issuer: [signature.common_name, signature.issuer].filter(Boolean).join(", "),
    algorithm: (signature.alg ?? "").toUpperCase(),
    signedAt: signature.time ?? "",
    source: action?.digitalSourceType?.split("/").at(-1) ?? "",
    software: (typeof agent === "string" ? agent : agent?.name) ?? "",
    certificate: signature.cert_serial_number ?? "",
    assertions: (manifest.assertions ?? []).map(({ label }) => label),
  };
}

function actionOf({ assertions = [] }: RawManifest): RawAction | undefined {
  return assertions.find(({ label }) => label.startsWith("c2pa.actions"))?.data.actions?.[0];
}
