import { useEffect, useMemo, useState } from "preact/hooks";
import type { GetVideoResponse } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { videos } from "../api/client.ts";
import { credits, moment, sentence } from "../format.ts";
import { StatusChip } from "../parts/chip.tsx";
import { Back } from "../parts/icons.tsx";
import { ProblemNotice } from "../parts/notice.tsx";
import { Title } from "../parts/title.tsx";
import { refreshAll } from "../state/mesh.ts";
import { hasEnded } from "../state/phases.ts";
import { Remote, useRefreshed } from "../state/remote.ts";
import { HOME } from "../state/route.ts";
import { statusNow, useLive } from "../state/watch.ts";
import { Actions } from "./actions.tsx";
import { Facts } from "./facts.tsx";
import { Journey } from "./journey.tsx";
import { Provenance } from "./provenance.tsx";

const REFRESH_MS = 20 * 60_000;

/** One video: its way through the mesh, and then what came of it. */
export function Video({ id }: { readonly id: string }) {
  const remote = useMemo(() => new Remote((signal) => videos.getVideo({ requestId: id }, { signal })), [id]);
  const video = remote.value.value;
  const underway = video !== null && !hasEnded(video.status);
  const live = useLive(id, underway);
  useRefreshed(remote, REFRESH_MS, [live.ended]);
  useEffect(() => {
    if (underway && live.ended) refreshAll();
  }, [live.ended]);
  const problem = remote.problem.value;
  return (
    <article class="video">
      <a class="back" href={HOME}>
        <Back />
        All videos
      </a>
      {problem && problem.code !== "UNREACHABLE" && <ProblemNotice problem={problem} />}
      {video === null && problem === null && <p class="quiet">Loading…</p>}
      {video !== null && (
        <>
          {underway ? (
            <Journey live={live} aspect={aspectOf(video)} />
          ) : (
            <Outcome video={video} onExpired={() => void remote.refresh()} />
          )}
          <header>
            <Title>{video.prompt}</Title>
            <p class="line">
              <StatusChip status={underway ? statusNow(live, video.status) : video.status} />
              {video.createdAt && <time>{moment(video.createdAt)}</time>}
            </p>
          </header>
          <Actions video={video} onChange={() => void remote.refresh()} />
          <Facts video={video} />
          {video.output?.c2paManifestUrl && <Provenance key={video.requestId} url={video.output.c2paManifestUrl} />}
        </>
      )}
    </article>
  );
}

/** The shape of the video, as CSS writes a ratio. */
function aspectOf(video: GetVideoResponse): string {
  return (video.settings?.aspectRatio ?? "16:9").replace(":", " / ");
}

function Outcome({ video, onExpired }: { readonly video: GetVideoResponse; readonly onExpired: () => void }) {
  const [retried, setRetried] = useState(false);
  const retry = () => {
    // A presigned address that has expired is asked for anew, once.
    if (!retried) onExpired();
    setRetried(true);
  };
  if (video.output) {
    const { videoUrl, thumbnailUrl } = video.output;
    return (
      <video
        class="screen"
        style={{ aspectRatio: aspectOf(video) }}
        src={videoUrl}
        poster={thumbnailUrl}
        title={video.prompt}
        controls
        loop
        playsInline
        onError={retry}
      />
    );
  }
  return (
    <div class="screen none">
      <strong>{endOf(video)}</strong>
      {reasonOf(video) && <p>{reasonOf(video)}</p>}
      {video.refundedCredits !== undefined && <p>{credits(video.refundedCredits)} credits were given back.</p>}
    </div>
  );
}

function endOf(video: GetVideoResponse): string {
  if (video.status === "CANCELLED") return "Cancelled";
  return video.status === "BLOCKED" ? "Blocked by the content policy" : "The video could not be made";
}

function reasonOf(video: GetVideoResponse): string {
  const reason = video.blockedReason ?? video.error?.message ?? "";
  return sentence(reason);
}
