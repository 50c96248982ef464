// The form: what the user asks for, as text where the user types, and the request it stands for.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { effect, signal } from "@preact/signals";
import type { CreateVideoRequestSchema } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import type { Picture } from "./picture.ts";

export const TIERS = ["REALTIME", "STANDARD", "CINEMA"] as const;
export const RESOLUTIONS = ["480p", "720p", "1080p", "4k"] as const;
export const ASPECTS = ["16:9", "4:3", "1:1", "9:16"] as const;
export const FRAME_RATES = ["24", "30", "60"] as const;
export const MAX_PROMPT = 2000;
const MAX_INT32 = 2n ** 31n - 1n;
const MAX_INT64 = 2n ** 63n - 1n;

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
  readonly priority: string;
  /** Empty for none. */
  readonly style: string;
  readonly firstFrame: Picture | null;
  /** Empty for none. */
  readonly referenceVideo: string;
  /** How far the clip may depart from the reference video, percent. */
  readonly departure: number;
  readonly sound: boolean;
  readonly ambience: boolean;
  readonly music: boolean;
  readonly speech: boolean;
  /** Whether another model may make it when this one cannot. */
  readonly fallback: boolean;
  readonly webhookUrl: string;
  readonly webhookSecret: string;
  /** Id of the video that it is made after; empty for none. */
  readonly remixOf: string;
  /** Whether that one began with a picture, which the mesh does not give back. */
  readonly remixLacksPicture: boolean;
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
  priority: "",
  style: "",
  firstFrame: null,
  referenceVideo: "",
  departure: 70,
  sound: true,
  ambience: true,
  music: false,
  speech: false,
  fallback: false,
  webhookUrl: "",
  webhookSecret: "",
  remixOf: "",
  remixLacksPicture: false,
};
const KEY = "kinemesh.order";

export const order = signal<Order>(restored());
effect(() => sessionStorage.setItem(KEY, textOf(order.value)));

export function amend(change: Partial<Order>): void {
  order.value = { ...order.value, ...change };
}

export function clearOrder(): void {
  order.value = DEFAULTS;
}

/** All that tells one order from another; of a picture its id, because its bytes would not fit where this is kept. */
export function textOf(asked: Order): string {
  return JSON.stringify(asked, (_, value: unknown) => (value instanceof Uint8Array ? undefined : value));
}

export type VideoRequest = Extract<MessageInitShape<typeof CreateVideoRequestSchema>, { $typeName?: undefined }>;

/** The request; throws Malformed for a text that is no number, which no service would ever see. */
export function requestOf(asked: Order): VideoRequest {
  return { ...sceneOf(asked), ...formatOf(asked), ...soundOf(asked), ...samplingOf(asked), ...deliveryOf(asked) };
}

function sceneOf({ prompt, negativePrompt, style, firstFrame, referenceVideo, departure }: Order): VideoRequest {
  const reference = referenceVideo.trim();
  return {
    prompt: prompt.trim(),
    negativePrompt: negativePrompt.trim(),
    stylePreset: style,
    ...(firstFrame ? { firstFrameImage: firstFrame.bytes } : {}),
    ...(reference ? { referenceVideo: reference, referenceStrength: departure / 100 } : {}),
  };
}

function formatOf({ model, tier, seconds, resolution, aspect, fps, fallback }: Order): VideoRequest {
  return {
    model: model || tier.toLowerCase(),
    tier: tier.toLowerCase(),
    durationSeconds: seconds,
    resolution,
    aspectRatio: aspect,
    fps: Number(fps),
    allowFallback: fallback,
  };
}

function soundOf({ sound, ambience, music, speech }: Order): VideoRequest {
  if (!sound) return {};
  return { enableAudio: true, audioConfig: { includeAmbient: ambience, includeMusic: music, includeSpeech: speech } };
}

function samplingOf({ seed, steps, guidance }: Order): VideoRequest {
  const noise = wholeNumber("seed", seed, MAX_INT64);
  const count = wholeNumber("num_inference_steps", steps, MAX_INT32);
  const scale = decimal("guidance_scale", guidance);
  return {
    ...(noise === null ? {} : { seed: noise }),
    ...(count === null ? {} : { numInferenceSteps: Number(count) }),
    ...(scale === null ? {} : { guidanceScale: scale }),
  };
}

function deliveryOf({ priority, webhookUrl, webhookSecret, remixOf }: Order): VideoRequest {
  const place = wholeNumber("priority", priority, MAX_INT32);
  return {
    webhookUrl: webhookUrl.trim(),
    webhookSecret: webhookSecret.trim(),
    remixOf,
    ...(place === null ? {} : { priority: Number(place) }),
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

/** What this tab had before a reload; a picture must be chosen anew. */
function restored(): Order {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Partial<Order>;
    return { ...DEFAULTS, ...kept, firstFrame: null };
  } catch {
    return DEFAULTS;
  }
}
