import type { ComponentChildren } from "preact";
import type { GetVideoResponse } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { bytes, credits, measured, size, title } from "../format.ts";

type Fact = readonly [name: string, value: ComponentChildren];

/** Everything the mesh says about a video. */
export function Facts({ video }: { readonly video: GetVideoResponse }) {
  const facts = [...orderOf(video), ...resultOf(video), ...costOf(video)];
  return (
    <section class="facts" aria-label="Details">
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function orderOf(video: GetVideoResponse): Fact[] {
  return [
    ["Model", `${video.model}, ${title(video.tier).toLowerCase()}`],
    ["Seed", <code>{String(video.seed)}</code>],
    ["Id", <code>{video.requestId}</code>],
  ];
}

function resultOf({ output, generationTimeMs, gpuTimeMs }: GetVideoResponse): Fact[] {
  if (!output) return [];
  return [
    [
      "Delivered",
      `${size(output.resolution)}, ${output.durationSeconds} s at ${output.fps} fps, ${bytes(output.fileSizeBytes)}`,
    ],
    ["Drawn at", `${size(output.nativeResolution)}, ${Number(output.nativeFps.toFixed(2))} fps`],
    ["Sound", output.audioUrl ? <a href={output.audioUrl}>The sound alone (WAV)</a> : "None"],
    ["Made in", `${measured(generationTimeMs ?? 0)}, ${measured(gpuTimeMs ?? 0)} of it on the accelerator`],
  ];
}

function costOf({ creditsUsed, refundedCredits }: GetVideoResponse): Fact[] {
  const used: Fact[] = creditsUsed === undefined ? [] : [["Cost", `${credits(creditsUsed)} credits`]];
  const back: Fact[] = refundedCredits === undefined ? [] : [["Given back", `${credits(refundedCredits)} credits`]];
  return [...used, ...back];
}
