// What of an order the chosen model can carry out. The form keeps the rest, for another model.
import type { DeployedModel, ListModelsResponse, TierDefaults } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { ASPECTS, type Order } from "./order.ts";

export const MIN_SECONDS = 5;

/** The model that an order names, or else the installation's default; undefined while the catalogue is not known. */
export function modelOf(asked: Order, catalogue: ListModelsResponse | null): DeployedModel | undefined {
  const models = catalogue?.models ?? [];
  return models.find(({ name }) => name === asked.model) ?? models[0];
}

export function defaultsOf(asked: Order, model: DeployedModel | undefined): TierDefaults | undefined {
  return model?.tiers.find(({ tier }) => tier === asked.tier);
}

export function aspectsOf(model: DeployedModel): string[] {
  return ASPECTS.filter((aspect) => model.nativeSizes.some(({ aspectRatio }) => aspectRatio === aspect));
}

/** Whether it is somebody else's model, which has no settings of sampling and takes its sound as it comes. */
export function isProvided(model: DeployedModel | undefined): boolean {
  return model?.backend === "provider";
}

/** Whether what one steers away from has an effect: a model of our own looks at it only where it is guided. */
export function canSteerAway(asked: Order, model: DeployedModel | undefined): boolean {
  if (model === undefined || isProvided(model)) return model?.takesNegativePrompt ?? true;
  return Number(asked.guidance.replace(",", ".") || (defaultsOf(asked, model)?.guidanceScale ?? 0)) !== 1;
}

/** The order without what the model or the installation does not offer. */
export function fitted(asked: Order, catalogue: ListModelsResponse | null): Order {
  const model = modelOf(asked, catalogue);
  if (catalogue === null || model === undefined) return asked;
  const tiers = model.tiers.map(({ tier }) => tier);
  const aspects = aspectsOf(model);
  const fit: Order = {
    ...asked,
    model: model === catalogue.models[0] ? "" : model.name,
    tier: tiers.includes(asked.tier) ? asked.tier : (tiers[0] ?? asked.tier),
    seconds: Math.max(MIN_SECONDS, Math.min(asked.seconds, Math.floor(model.maxDurationSeconds))),
    aspect: aspects.includes(asked.aspect) ? asked.aspect : (aspects[0] ?? asked.aspect),
    style: catalogue.stylePresets.some(({ name }) => name === asked.style) ? asked.style : "",
    firstFrame: model.takesFirstFrame ? asked.firstFrame : null,
    referenceVideo: model.takesReferenceVideo ? asked.referenceVideo : "",
    sound: asked.sound && model.makesSound,
    speech: asked.speech && model.canSpeak,
    fallback: asked.fallback && model.fallbacks.length > 0,
  };
  return { ...fit, ...unheeded(fit, model) };
}

/** What the model would not look at, as it must be asked for. */
function unheeded(fit: Order, model: DeployedModel): Partial<Order> {
  return {
    ...(canSteerAway(fit, model) ? {} : { negativePrompt: "" }),
    ...(model.takesSeed ? {} : { seed: "" }),
    ...(isProvided(model) ? { steps: "", guidance: "", music: false, ambience: true } : {}),
  };
}
