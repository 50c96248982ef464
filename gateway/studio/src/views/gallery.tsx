import { useEffect } from "preact/hooks";
import type { VideoSummary } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { duration, moment } from "../format.ts";
import { StatusChip } from "../parts/chip.tsx";
import { Drawing } from "../parts/drawing.tsx";
import { Select } from "../parts/field.tsx";
import { Back, Forward, Play } from "../parts/icons.tsx";
import { ProblemNotice } from "../parts/notice.tsx";
import { Bar } from "../parts/progress.tsx";
import { Title } from "../parts/title.tsx";
import { PAGE_SIZE, library, refreshAll, shelf } from "../state/mesh.ts";
import { FILTERS, hasEnded, labelOf } from "../state/phases.ts";
import { useRefreshed } from "../state/remote.ts";
import { addressOf } from "../state/route.ts";
import { statusNow, useLive } from "../state/watch.ts";
import { InlinePlayer } from "./player.tsx";

const REFRESH_MS = 10_000;
/** Videos whose progress is streamed at once; the state of the others comes with the list. */
const STREAMS = 3;

/** The user's videos, newest first. */
export function Gallery() {
  useRefreshed(library, REFRESH_MS, [shelf.value]);
  const page = library.value.value;
  const problem = library.problem.value;
  const unfinished = (page?.videos ?? []).filter(({ status }) => !hasEnded(status)).map(({ requestId }) => requestId);
  return (
    <section class="gallery" aria-labelledby="gallery-title">
      <header class="spread">
        <Title id="gallery-title">Your videos</Title>
        <Filter />
      </header>
      {problem && problem.code !== "UNREACHABLE" && <ProblemNotice problem={problem} />}
      {page === null && problem === null && <p class="quiet">Loading…</p>}
      {page?.videos.length === 0 && <Empty />}
      <ul class="cards">
        {page?.videos.map((video) => (
          <Card key={video.requestId} video={video} streamed={unfinished.indexOf(video.requestId) < STREAMS} />
        ))}
      </ul>
      {page !== null && page.total > PAGE_SIZE && <Pager total={page.total} />}
    </section>
  );
}

function Filter() {
  const options = [{ value: "", text: "All" }, ...FILTERS.map((value) => ({ value, text: labelOf(value) }))];
  return (
    <Select
      class="inline"
      label="Show"
      value={shelf.value.status}
      options={options}
      onChoose={(status) => (shelf.value = { offset: 0, status })}
    />
  );
}

function Empty() {
  return (
    <div class="empty">
      <p>
        {shelf.value.status
          ? "No videos in this state."
          : "Nothing here yet. Describe a video, and it will appear here."}
      </p>
    </div>
  );
}

function Card({ video, streamed }: { readonly video: VideoSummary; readonly streamed: boolean }) {
  const ended = hasEnded(video.status);
  const live = useLive(video.requestId, !ended && streamed);
  useEffect(() => {
    if (!ended && live.ended) refreshAll();
  }, [live.ended]);
  const status = !ended && streamed ? statusNow(live, video.status) : video.status;
  return (
    <li class="card">
      {ended ? (
        <Still video={video} />
      ) : (
        <div class="still busy">
          {live.preview && <Drawing bytes={live.preview} label={`Preview of ${video.prompt}`} />}
          <p class="caption">
            <span class="percent">{live.percent}%</span>
            {live.etaSeconds ? <span>about {duration(live.etaSeconds)} left</span> : null}
          </p>
          <Bar percent={live.percent} label={`Progress of ${video.prompt}`} />
        </div>
      )}
      <div class="about">
        <a href={addressOf(video.requestId)}>{video.prompt}</a>
        <p class="spread">
          <StatusChip status={status} />
          {video.createdAt && <time>{moment(video.createdAt)}</time>}
        </p>
      </div>
    </li>
  );
}

function Still({ video }: { readonly video: VideoSummary }) {
  if (video.status !== "COMPLETED")
    return (
      <div class="still none" aria-hidden="true">
        No picture
      </div>
    );
  return (
    <InlinePlayer id={video.requestId} poster={video.thumbnailUrl ?? ""} title={video.prompt}>
      <Play />
    </InlinePlayer>
  );
}

function Pager({ total }: { readonly total: number }) {
  const { offset, status } = shelf.value;
  const turn = (by: number) => (shelf.value = { offset: offset + by, status });
  const last = Math.min(offset + PAGE_SIZE, total);
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled={offset === 0} onClick={() => turn(-PAGE_SIZE)}>
        <Back />
        Newer
      </button>
      <span aria-live="polite">
        {offset + 1} to {last} of {total}
      </span>
      <button type="button" disabled={last >= total} onClick={() => turn(PAGE_SIZE)}>
        Older
        <Forward />
      </button>
    </nav>
  );
}
