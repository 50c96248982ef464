import type { GetVideoResponse, VideoSettings } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { bytes, credits, factor, measured, moment, seconds, size, title } from "../format.ts";
import { type Row, Rows } from "../parts/rows.tsx";
import { addressOf } from "../state/route.ts";

/** Everything the mesh says about a video. */
export function Facts({ video }: { readonly video: GetVideoResponse }) {
  return (
    <section class="facts" aria-label="Details">
      <Rows rows={[...orderOf(video), ...settingsOf(video.settings), ...resultOf(video), ...costOf(video)]} />
    </section>
  );
}

function orderOf(video: GetVideoResponse): Row[] {
  const moved: Row[] = video.requestedModel ? [["Asked of", `${video.requestedModel}, which could not make it`]] : [];
  const after: Row[] = video.remixOf ? [["Remix of", <a href={addressOf(video.remixOf)}>An earlier video</a>]] : [];
  return [["Model", `${video.model}, ${title(video.tier).toLowerCase()}`], ...moved, ...after];
}

function settingsOf(settings: VideoSettings | undefined): Row[] {
  if (settings === undefined) return [];
  const { aspectRatio, resolution, durationSeconds, fps, numInferenceSteps, guidanceScale } = settings;
  return [
    ["Asked for", `${aspectRatio} at ${resolution.toLowerCase()}, ${seconds(durationSeconds)} at ${fps} fps`],
    ["Sampling", `${numInferenceSteps} steps, guidance ${factor(guidanceScale)}`],
    ...sceneOf(settings),
  ];
}

function sceneOf({ stylePreset, negativePrompt, hasFirstFrame, referenceVideo, ...rest }: VideoSettings): Row[] {
  const percent = Math.round(100 * (rest.referenceStrength ?? 0));
  const rows: readonly Row[] = [
    ["Style", title(stylePreset)],
    ["Steered away from", negativePrompt],
    ["First frame", hasFirstFrame && "A picture that was given"],
    ["Reference video", referenceVideo && `${referenceVideo}, departed from by ${percent} %`],
  ];
  return rows.filter(([, value]) => value);
}

function resultOf({ output, settings, seed, requestId, generationTimeMs, gpuTimeMs }: GetVideoResponse): Row[] {
  const names: Row[] = [
    ["Seed", <code>{String(seed)}</code>],
    ["Id", <code>{requestId}</code>],
  ];
  if (!output) return [["Sound", soundOf(settings)], ...names];
  const { resolution, durationSeconds, fps, fileSizeBytes, nativeResolution, nativeFps } = output;
  return [
    ["Delivered", `${size(resolution)}, ${durationSeconds} s at ${fps} fps, ${bytes(fileSizeBytes)}`],
    ["Drawn at", `${size(nativeResolution)}, ${factor(nativeFps)} fps`],
    ["Sound", soundOf(settings)],
    ["Made in", `${measured(generationTimeMs ?? 0)}, ${measured(gpuTimeMs ?? 0)} of it on the accelerator`],
    ...names,
  ];
}

function soundOf(settings: VideoSettings | undefined): string {
  const sound = settings?.audioConfig;
  const kinds = [
    sound?.includeAmbient && "ambience",
    sound?.includeMusic && "music",
    sound?.includeSpeech && "speech",
  ].filter(Boolean);
  return sound ? title(kinds.join(", ")) || "Silence" : "None";
}

function costOf({ creditsUsed, refundedCredits, createdAt, completedAt }: GetVideoResponse): Row[] {
  const used: Row[] = creditsUsed === undefined ? [] : [["Cost", `${credits(creditsUsed)} credits`]];
  const back: Row[] = refundedCredits === undefined ? [] : [["Given back", `${credits(refundedCredits)} credits`]];
  const asked: Row[] = createdAt === undefined ? [] : [["Asked at", moment(createdAt)]];
  const ended: Row[] = completedAt === undefined ? [] : [["Ended at", moment(completedAt)]];
  return [...used, ...back, ...asked, ...ended];
}
