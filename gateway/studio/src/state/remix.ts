// Asking for a video once more, with the settings of one that there is.
import type { GetVideoResponse, ListModelsResponse } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { defaultsOf, modelOf } from "./fit.ts";
import { type Order, order } from "./order.ts";

/** The order that a video was made by, but for its first frame. */
export function orderAfter(video: GetVideoResponse, catalogue: ListModelsResponse | null): Order {
  const { settings } = video;
  const bare: Order = {
    ...order.value,
    prompt: video.prompt,
    model: video.requestedModel ?? video.model,
    tier: video.tier,
    seed: String(video.seed),
    remixOf: video.requestId,
    remixLacksPicture: settings?.hasFirstFrame ?? false,
    firstFrame: null,
  };
  if (settings === undefined) return bare;
  const own = defaultsOf(bare, modelOf(bare, catalogue));
  const sound = settings.audioConfig;
  return {
    ...bare,
    negativePrompt: settings.negativePrompt,
    seconds: Math.ceil(settings.durationSeconds),
    resolution: settings.resolution.toLowerCase(),
    aspect: settings.aspectRatio,
    fps: String(settings.fps),
    // The model's own stay its own, so that another model is not held to them.
    steps: settings.numInferenceSteps === own?.numInferenceSteps ? "" : String(settings.numInferenceSteps),
    guidance: settings.guidanceScale === own?.guidanceScale ? "" : String(settings.guidanceScale),
    style: settings.stylePreset,
    referenceVideo: settings.referenceVideo,
    departure: Math.round(100 * (settings.referenceStrength ?? bare.departure / 100)),
    sound: sound !== undefined,
    ambience: sound?.includeAmbient ?? true,
    music: sound?.includeMusic ?? false,
    speech: sound?.includeSpeech ?? false,
  };
}
