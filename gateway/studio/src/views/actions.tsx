import { useState } from "preact/hooks";
import type { GetVideoResponse, VideoOutput } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { videos } from "../api/client.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { Again, Bin, Cross, Download } from "../parts/icons.tsx";
import { ProblemNotice } from "../parts/notice.tsx";
import { Question } from "../parts/question.tsx";
import { catalogue, refreshAll } from "../state/mesh.ts";
import { amend } from "../state/order.ts";
import { hasEnded } from "../state/phases.ts";
import { orderAfter } from "../state/remix.ts";
import { HOME, go } from "../state/route.ts";
import { focusPrompt } from "./composer.tsx";

interface Props {
  readonly video: GetVideoResponse;
  readonly onChange: () => void;
}

/** What one can do with a video. */
export function Actions({ video, onChange }: Props) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const attempt = async (call: () => Promise<unknown>, then: () => void) => {
    setBusy(true);
    try {
      await call();
      setProblem(null);
      then();
    } catch (reason) {
      setProblem(problemOf(reason));
      onChange(); // What cannot be done may have become so.
    }
    setBusy(false);
    refreshAll();
  };
  const named = { requestId: video.requestId };
  return (
    <>
      <p class="actions">
        {!hasEnded(video.status) && (
          <button type="button" disabled={busy} onClick={() => void attempt(() => videos.cancelVideo(named), onChange)}>
            <Cross />
            {busy ? "Cancelling…" : "Cancel"}
          </button>
        )}
        {video.output && (
          <a class="button" href={video.output.videoUrl} download={`${video.requestId}.mp4`}>
            <Download />
            Download
          </a>
        )}
        <Remix video={video} />
        {hasEnded(video.status) && (
          <Delete
            busy={busy}
            onDelete={() =>
              void attempt(
                () => videos.deleteVideo(named),
                () => go(HOME),
              )
            }
          />
        )}
      </p>
      {video.output && <Files id={video.requestId} output={video.output} />}
      {problem && <ProblemNotice problem={problem} />}
    </>
  );
}

function Remix({ video }: { readonly video: GetVideoResponse }) {
  const remix = () => {
    amend(orderAfter(video, catalogue.value.value));
    focusPrompt();
  };
  return (
    <button type="button" onClick={remix}>
      <Again />
      Remix
    </button>
  );
}

function Delete({ busy, onDelete }: { readonly busy: boolean; readonly onDelete: () => void }) {
  const [asking, setAsking] = useState(false);
  const answered = (tell?: () => void) => () => {
    setAsking(false);
    tell?.();
  };
  return (
    <>
      <button type="button" disabled={busy} onClick={() => setAsking(true)}>
        <Bin />
        Delete
      </button>
      {asking && (
        <Question title="Delete this video?" yes="Delete it" onYes={answered(onDelete)} onNo={answered()}>
          <p>Its prompt, its files and its place in the list go for good.</p>
        </Question>
      )}
    </>
  );
}

function Files({ id, output }: { readonly id: string; readonly output: VideoOutput }) {
  return (
    <p class="files">
      <a href={output.thumbnailUrl} download={`${id}.jpg`}>
        Picture (JPEG)
      </a>
      {output.audioUrl && (
        <a href={output.audioUrl} download={`${id}.wav`}>
          Sound alone (WAV)
        </a>
      )}
      <a href={output.c2paManifestUrl} download={`${id}.c2pa.json`}>
        Manifest (JSON)
      </a>
    </p>
  );
}
