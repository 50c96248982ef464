import { duration, measured } from "../format.ts";
import { Drawing } from "../parts/drawing.tsx";
import { Tick } from "../parts/icons.tsx";
import { Bar } from "../parts/progress.tsx";
import { useNow } from "../state/clock.ts";
import { STAGES, type Stage, labelOf, nameOf, stageOf, statusOf } from "../state/phases.ts";
import type { Live } from "../state/watch.ts";

interface Props {
  readonly live: Live;
  /** The place that the finished video will take, as CSS writes a ratio. */
  readonly aspect: string;
}

/** A video on its way: what is seen of it, how far, how long still, and every stage with the time it took. */
export function Journey({ live, aspect }: Props) {
  const stage = labelOf(live.status);
  return (
    <section class="journey" aria-label="Progress">
      <div class="screen busy" style={{ aspectRatio: aspect }}>
        {live.preview && <Drawing bytes={live.preview} label="Preview: what the video looks like so far" />}
        <div class="caption">
          <p class="percent">
            {live.percent}
            <small>%</small>
          </p>
          <p>
            {stage}
            {live.status === "GENERATING" && live.totalSteps > 0 ? `, step ${live.step} of ${live.totalSteps}` : ""}
          </p>
          <p class="quiet">{remaining(live)}</p>
        </div>
        <Bar percent={live.percent} label="Progress of the video" />
      </div>
      <p class="unseen" role="status">
        {stage}
      </p>
      <ol class="stages">
        {STAGES.map((each, index) => (
          <Step key={each.label} stage={each} index={index} live={live} />
        ))}
      </ol>
      {live.worker && (
        <p class="quiet">
          On {live.worker}
          {live.checkpointStep > 0 ? `; safe up to step ${live.checkpointStep}` : ""}
        </p>
      )}
    </section>
  );
}

function remaining(live: Live): string {
  if (!live.connected) return "Connecting…";
  return live.etaSeconds ? `about ${duration(live.etaSeconds)} left` : "";
}

function Step({ stage, index, live }: { readonly stage: Stage; readonly index: number; readonly live: Live }) {
  const current = live.status === "COMPLETED" ? STAGES.length : stageOf(statusOf(live.status));
  const place = index < current ? "past" : index === current ? "now" : "ahead";
  const now = useNow(place === "now");
  const began = beginOf(stage, live);
  const end =
    STAGES.slice(index + 1)
      .map((later) => beginOf(later, live))
      .find((time) => time !== null) ?? now;
  return (
    <li class={place} {...(place === "now" ? { "aria-current": "step" as const } : {})}>
      <span class="dot">{place === "past" && <Tick />}</span>
      <span>{stage.label}</span>
      <span class="took">{began !== null && place !== "ahead" ? measured(Math.max(0, end - began)) : ""}</span>
    </li>
  );
}

function beginOf(stage: Stage, live: Live): number | null {
  const seen = stage.statuses
    .map((status) => live.since[nameOf(status)]?.getTime())
    .filter((time) => time !== undefined);
  return seen.length > 0 ? Math.min(...seen) : null;
}
