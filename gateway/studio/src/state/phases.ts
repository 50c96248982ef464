// The way of a video through the mesh, as people read it.
import { VideoStatus } from "../../gen/kinemesh/video/v1/video_pb.ts";

export interface Stage {
  readonly statuses: readonly VideoStatus[];
  readonly label: string;
}

export const STAGES: readonly Stage[] = [
  { statuses: [VideoStatus.PENDING, VideoStatus.ENCODING], label: "Reading the prompt" },
  { statuses: [VideoStatus.QUEUED, VideoStatus.ASSIGNED], label: "Waiting for a worker" },
  { statuses: [VideoStatus.GENERATING], label: "Drawing" },
  { statuses: [VideoStatus.VAE_DECODING], label: "Decoding the frames" },
  { statuses: [VideoStatus.AUDIO_GENERATING], label: "Making the sound" },
  { statuses: [VideoStatus.SAFETY_CHECKING], label: "Checking the result" },
  { statuses: [VideoStatus.TRANSCODING], label: "Encoding and signing" },
  { statuses: [VideoStatus.UPLOADING], label: "Storing" },
];

const ENDS: Readonly<Record<string, string>> = {
  COMPLETED: "Ready",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
  BLOCKED: "Blocked",
};

export const FILTERS = Object.keys(ENDS);

/** The place of a state on its way; -1 when it has ended. */
export function stageOf(status: VideoStatus): number {
  return STAGES.findIndex((stage) => stage.statuses.includes(status));
}

export function statusOf(name: string): VideoStatus {
  return VideoStatus[name as keyof typeof VideoStatus] ?? VideoStatus.UNSPECIFIED;
}

export function nameOf(status: VideoStatus): string {
  return VideoStatus[status];
}

export function hasEnded(name: string): boolean {
  return name in ENDS;
}

export function labelOf(name: string): string {
  return ENDS[name] ?? STAGES[stageOf(statusOf(name))]?.label ?? "Unknown";
}
