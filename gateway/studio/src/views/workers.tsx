import { WorkerStatus, type GPUWorkerState } from "../../gen/kinemesh/scheduler/v1/worker_pb.ts";
import { measured, title } from "../format.ts";
import { ProblemNotice } from "../parts/notice.tsx";
import { Bar } from "../parts/progress.tsx";
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
    <section class="workers" aria-labelledby="workers-title">
      <Title id="workers-title">Workers</Title>
      {problem && problem.code !== "UNREACHABLE" && <ProblemNotice problem={problem} />}
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
  const { hardware, metrics, currentJob } = worker;
  const models = [worker.loadedModels?.ditModel, worker.loadedModels?.vaeModel, worker.loadedModels?.audioModel];
  const average = metrics?.averageGenerationTimeMs ?? 0;
  return (
    <li class="panel">
      <header class="spread">
        <h2>{worker.workerId}</h2>
        <span class={`chip ${toneOf(worker.status)}`}>{title(WorkerStatus[worker.status] ?? "")}</span>
      </header>
      <dl>
        <div>
          <dt>Hardware</dt>
          <dd>
            {hardware?.gpuType ?? "unknown"}
            {(hardware?.gpuCount ?? 0) > 1 ? ` × ${hardware?.gpuCount}` : ""}
          </dd>
        </div>
        <div>
          <dt>Machine</dt>
          <dd>{worker.nodeName}</dd>
        </div>
        <div>
          <dt>In memory</dt>
          <dd>{[...new Set(models)].filter(Boolean).join(", ") || "Nothing yet"}</dd>
        </div>
        <div>
          <dt>Working on</dt>
          <dd>{currentJob ? `a video, step ${currentJob.currentStep}` : "Nothing"}</dd>
        </div>
        <div>
          <dt>Today</dt>
          <dd>
            {metrics?.jobsCompletedToday ?? 0} done, {metrics?.errorCountToday ?? 0} failed
          </dd>
        </div>
        <div>
          <dt>Mean time</dt>
          <dd>{average > 0 ? measured(average) : "Not measured yet"}</dd>
        </div>
      </dl>
      {hardware && hardware.gpuMemoryTotalGb > 0 && (
        <Memory used={hardware.gpuMemoryUsedGb} total={hardware.gpuMemoryTotalGb} />
      )}
    </li>
  );
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
