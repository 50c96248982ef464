// The form: what the user asks for, as text where the user types, and the request it stands for.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { effect, signal } from "@preact/signals";
import type { CreateVideoRequestSchema } from "../../gen/kinemesh/video/v1/video_service_pb.ts";

export const TIERS = ["REALTIME", "STANDARD", "CINEMA"] as const;
export const RESOLUTIONS = ["480p", "720p", "1080p", "4k"] as const;
export const ASPECTS = ["16:9", "4:3", "1:1", "9:16"] as const;
export const FRAME_RATES = ["24", "30", "60"] as const;
export const MAX_PROMPT = 2000;

export interface Order {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** Empty for the installation's default. */
  readonly model: string;
  readonly tier: string;
  readonly seconds: number;
  readonly resolution: string;
  readonly aspect: string;
  readonly fps: string;
  /** Texts of numbers; empty for the model's own. */
  readonly seed: string;
  readonly steps: string;
  readonly guidance: string;
  readonly sound: boolean;
  readonly ambience: boolean;
  readonly music: boolean;
  readonly speech: boolean;
}

const DEFAULTS: Order = {
  prompt: "",
  negativePrompt: "",
  model: "",
  tier: "REALTIME",
  seconds: 5,
  resolution: "480p",
  aspect: "16:9",
  fps: "24",
  seed: "",
  steps: "",
  guidance: "",
  sound: true,
  ambience: true,
  music: false,
  speech: false,
};
const KEY = "kinemesh.order";

export const order = signal<Order>(restored());
effect(() => sessionStorage.setItem(KEY, JSON.stringify(order.value)));

export function amend(change: Partial<Order>): void {
  order.value = { ...order.value, ...change };
}

export function clearOrder(): void {
  order.value = DEFAULTS;
}

export type VideoRequest = MessageInitShape<typeof CreateVideoRequestSchema>;

/** The request; throws Malformed for a text that is no number, which no service would ever see. */
export function requestOf(asked: Order): VideoRequest {
  const { ambience, music, speech } = asked;
  const seed = wholeNumber("seed", asked.seed, 2n ** 63n - 1n);
  const steps = wholeNumber("num_inference_steps", asked.steps, 2n ** 31n - 1n);
  const guidance = decimal("guidance_scale", asked.guidance);
  return {
    prompt: asked.prompt.trim(),
    negativePrompt: asked.negativePrompt.trim(),
    model: asked.model || asked.tier.toLowerCase(),
    tier: asked.tier.toLowerCase(),
    durationSeconds: asked.seconds,
    resolution: asked.resolution,
    aspectRatio: asked.aspect,
    fps: Number(asked.fps),
    ...(seed === null ? {} : { seed }),
    ...(steps === null ? {} : { numInferenceSteps: Number(steps) }),
    ...(guidance === null ? {} : { guidanceScale: guidance }),
    enableAudio: asked.sound,
    ...(asked.sound ? { audioConfig: { includeAmbient: ambience, includeMusic: music, includeSpeech: speech } } : {}),
  };
}

/** What a field holds is not what the contract can carry. */
export class Malformed extends Error {
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

function wholeNumber(field: string, text: string, most: bigint): bigint | null {
  const digits = text.trim();
  if (digits === "") return null;
  if (!/^\d+$/.test(digits)) throw new Malformed(field, "must be a whole number");
  if (BigInt(digits) > most) throw new Malformed(field, "is too large");
  return BigInt(digits);
}

function decimal(field: string, text: string): number | null {
  if (text.trim() === "") return null;
  const value = Number(text.replace(",", "."));
  if (!Number.isFinite(value)) throw new Malformed(field, "must be a number");
  return value;
}

function restored(): Order {
  try {
    return { ...DEFAULTS, ...(JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Partial<Order>) };
  } catch {
    return DEFAULTS;
  }
}
