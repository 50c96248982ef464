// Videos on their way: one stream for each that is looked at, however many parts of the page look.
import { Code, ConnectError } from "@connectrpc/connect";
import { type Signal, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { WatchVideoResponse } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { UNLIMITED, videos } from "../api/client.ts";
import { refused } from "../api/session.ts";
import { nameOf } from "./phases.ts";
import { visible } from "./visible.ts";

const RETRY_MS = [500, 1000, 2000, 4000] as const;
const FINAL: readonly Code[] = [Code.NotFound, Code.InvalidArgument, Code.PermissionDenied, Code.Unauthenticated];

/** What is known of a video on its way. */
export interface Live {
  readonly status: string;
  readonly percent: number;
  readonly step: number;
  readonly totalSteps: number;
  readonly etaSeconds: number | null;
  readonly worker: string;
  readonly checkpointStep: number;
  /** What the clip looks like so far (JPEG); null before there is a picture of it. */
  readonly preview: Uint8Array | null;
  readonly ended: boolean;
  /** Whether the stream stands, so that silence means that nothing has changed. */
  readonly connected: boolean;
  /** When each state began, as far as it was seen. */
  readonly since: Readonly<Record<string, Date>>;
}

const UNKNOWN: Live = {
  status: "PENDING",
  percent: 0,
  step: 0,
  totalSteps: 0,
  etaSeconds: null,
  worker: "",
  checkpointStep: 0,
  preview: null,
  ended: false,
  connected: false,
  since: {},
};

/** The state as the stream told it last; as `otherwise` says while the stream has told nothing. */
export function statusNow(live: Live, otherwise: string): string {
  return Object.keys(live.since).length > 0 ? live.status : otherwise;
}

/** Adds an event to what is known. */
export function advanced(live: Live, event: WatchVideoResponse): Live {
  const status = nameOf(event.status);
  const began = event.timestamp === undefined ? new Date() : timestampDate(event.timestamp);
  const since = status in live.since ? live.since : { ...live.since, [status]: began };
  const known = { ...live, status, since, connected: true };
  switch (event.event.case) {
    case "progress": {
      const { step, totalSteps, percent, etaSeconds, worker, previewJpeg } = event.event.value;
      const preview = previewJpeg.length > 0 ? previewJpeg : live.preview;
      return { ...known, step, totalSteps, percent, etaSeconds, preview, worker: worker?.workerId ?? "" };
    }
    case "checkpointSaved":
      return { ...known, checkpointStep: event.event.value.step };
    case "completed":
      return { ...known, percent: 100, etaSeconds: 0, preview: null, ended: true };
    case "error":
      return { ...known, etaSeconds: null, preview: null, ended: true };
    default:
      return known;
  }
}

interface Stream {
  viewers: number;
  readonly stop: AbortController;
}

const lives = new Map<string, Signal<Live>>();
const streams = new Map<string, Stream>();

/** What is known of a video, kept up to date while a component that wants it is shown in a visible page. */
export function useLive(id: string, wanted: boolean): Live {
  const active = wanted && visible.value && !refused.value;
  useEffect(() => (active ? hold(id) : undefined), [id, active]);
  return liveOf(id).value;
}

function liveOf(id: string): Signal<Live> {
  const live = lives.get(id) ?? signal(UNKNOWN);
  lives.set(id, live);
  return live;
}

/** Joins the stream of a video, or opens it; returns how to leave it. */
function hold(id: string): () => void {
  const stream = streams.get(id) ?? open(id);
  stream.viewers += 1;
  return () => {
    stream.viewers -= 1;
    if (stream.viewers > 0) return;
    stream.stop.abort();
    streams.delete(id);
  };
}

function open(id: string): Stream {
  const stream = { viewers: 0, stop: new AbortController() };
  streams.set(id, stream);
  void follow(id, liveOf(id), stream.stop.signal);
  return stream;
}

async function follow(id: string, live: Signal<Live>, stop: AbortSignal): Promise<void> {
  let failures = 0;
  let lastEventId = "";
  while (!stop.aborted && !live.value.ended) {
    try {
      for await (const event of videos.watchVideo(
        { requestId: id, lastEventId },
        { signal: stop, timeoutMs: UNLIMITED },
      )) {
        failures = 0;
        lastEventId = event.eventId;
        live.value = advanced(live.value, event);
      }
    } catch (reason) {
      if (stop.aborted || FINAL.includes(ConnectError.from(reason).code)) return;
    }
    live.value = { ...live.value, connected: false };
    if (!live.value.ended) await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]!, stop);
  }
}

function pause(milliseconds: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    stop.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
