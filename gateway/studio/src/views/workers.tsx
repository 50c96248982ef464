import { WorkerStatus, type GPUWorkerState } from "../../gen/kinemesh/scheduler/v1/worker_pb.ts";
import { measured, moment, title } from "../format.ts";
import { ProblemNotice } from "../parts/notice.tsx";
import { Bar } from "../parts/progress.tsx";
import { type Row, Rows } from "../parts/rows.tsx";
import { Title } from "../parts/title.tsx";
import { registry } from "../state/mesh.ts";
import { useRefreshed } from "../state/remote.ts";

const REFRESH_MS = 3000;
const BUSY: readonly WorkerStatus[] = [
  WorkerStatus.GENERATING,
  WorkerStatus.CHECKPOINTING,
  WorkerStatus.DECODING,
  WorkerStatus.LOADING_MODEL,
];

/** Who draws. */
export function Workers() {
  useRefreshed(registry, REFRESH_MS);
  const workers = registry.value.value;
  const problem = registry.problem.value;
  return (
    <section class="sheets" aria-labelledby="workers-title">
      <Title id="workers-title">Workers</Title>
      {problem && problem.code !== "UNREACHABLE" && <ProblemNotice problem={problem} />}
      {workers === null && problem === null && <p class="quiet">Loading…</p>}
      {workers?.length === 0 && (
        <div class="empty">
          <p>No worker has registered yet. Videos wait until one does.</p>
        </div>
      )}
      <ul>
        {workers?.map((worker) => (
          <Worker key={worker.workerId} worker={worker} />
        ))}
      </ul>
    </section>
  );
}

function Worker({ worker }: { readonly worker: GPUWorkerState }) {
  const { hardware } = worker;
  return (
    <li class="panel">
      <header class="spread">
        <h2>{worker.workerId}</h2>
        <span class={`chip ${toneOf(worker.status)}`}>{title(WorkerStatus[worker.status] ?? "")}</span>
      </header>
      <Rows rows={[...stateOf(worker), ...figuresOf(worker)]} />
      {hardware && hardware.gpuMemoryTotalGb > 0 && (
        <Memory used={hardware.gpuMemoryUsedGb} total={hardware.gpuMemoryTotalGb} />
      )}
    </li>
  );
}

function stateOf({ hardware, nodeName, models, loadedModels, currentJob }: GPUWorkerState): Row[] {
  const loaded = [loadedModels?.ditModel, loadedModels?.vaeModel, loadedModels?.audioModel];
  const several = (hardware?.gpuCount ?? 0) > 1 ? ` × ${hardware?.gpuCount}` : "";
  const since = currentJob?.startedAt ? `, since ${moment(currentJob.startedAt)}` : "";
  return [
    ["Hardware", `${hardware?.gpuType || "unknown"}${several}`],
    ["Machine", nodeName],
    ["Models", models.join(", ") || "None"],
    ["In memory", [...new Set(loaded)].filter(Boolean).join(", ") || "Nothing yet"],
    ["Working on", currentJob ? `a video, step ${currentJob.currentStep}${since}` : "Nothing"],
  ];
}

function figuresOf({ metrics }: GPUWorkerState): Row[] {
  const average = metrics?.averageGenerationTimeMs ?? 0;
  const checkpoint = metrics?.checkpointSaveTimeMs ?? 0;
  return [
    ["Today", `${metrics?.jobsCompletedToday ?? 0} done, ${metrics?.errorCountToday ?? 0} failed`],
    ["Mean time", average > 0 ? measured(average) : "Not measured yet"],
    ...(checkpoint > 0 ? ([["Last checkpoint", `${checkpoint} ms`]] satisfies Row[]) : []),
  ];
}

function Memory({ used, total }: { readonly used: number; readonly total: number }) {
  return (
    <div class="memory">
      <p class="spread">
        <span>Memory</span>
        <span>
          {used.toFixed(1)} of {total.toFixed(1)} GiB
        </span>
      </p>
      <Bar percent={Math.round((100 * used) / total)} label="Memory in use" />
    </div>
  );
}

function toneOf(status: WorkerStatus): string {
  if (BUSY.includes(status)) return "busy";
  return status === WorkerStatus.OFFLINE || status === WorkerStatus.DRAINING ? "quiet" : "good";
}
