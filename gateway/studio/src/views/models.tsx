import type { DeployedModel } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { factor, seconds, size, title } from "../format.ts";
import { ProblemNotice } from "../parts/notice.tsx";
import { Rows, type Row } from "../parts/rows.tsx";
import { Title } from "../parts/title.tsx";
import { isProvided, modelOf } from "../state/fit.ts";
import { catalogue } from "../state/mesh.ts";
import { amend, order } from "../state/order.ts";
import { useRefreshed } from "../state/remote.ts";
import { HOME, go } from "../state/route.ts";

const REFRESH_MS = 60_000;

/** Everything that can be asked to draw. */
export function Models() {
  useRefreshed(catalogue, REFRESH_MS);
  const offered = catalogue.value.value;
  const problem = catalogue.problem.value;
  const chosen = modelOf(order.value, offered);
  return (
    <section class="sheets" aria-labelledby="models-title">
      <Title id="models-title">Models</Title>
      {problem && problem.code !== "UNREACHABLE" && <ProblemNotice problem={problem} />}
      {offered === null && problem === null && <p class="quiet">Loading…</p>}
      <ul>
        {offered?.models.map((model) => (
          <Model key={model.name} model={model} chosen={model === chosen} standard={model === offered.models[0]} />
        ))}
      </ul>
    </section>
  );
}

interface ModelProps {
  readonly model: DeployedModel;
  readonly chosen: boolean;
  /** Whether it draws what no other is asked for. */
  readonly standard: boolean;
}

function Model({ model, chosen, standard }: ModelProps) {
  const use = () => {
    amend({ model: model.name });
    go(HOME);
  };
  return (
    <li class="panel">
      <header class="spread">
        <h2>{model.name}</h2>
        <span class="marks">
          {standard && <span class="chip good">Default</span>}
          <span class="chip">{isProvided(model) ? "By a provider" : "Runs here"}</span>
        </span>
      </header>
      <Rows rows={[...drawingOf(model), ...takingOf(model)]} />
      <button type="button" disabled={chosen} aria-label={chosen ? undefined : `Use ${model.name}`} onClick={use}>
        {chosen ? "Chosen for the next video" : "Use it"}
      </button>
    </li>
  );
}

function drawingOf(model: DeployedModel): Row[] {
  const sizes = model.nativeSizes.map(({ aspectRatio, width, height }) => (
    <span key={aspectRatio}>
      {aspectRatio} <span class="quiet">{size(`${width}x${height}`)}</span>
    </span>
  ));
  const lengths = model.lengthsSeconds.length > 0 ? `, made as ${model.lengthsSeconds.map(factor).join(", ")}` : "";
  const qualities = model.tiers.map(({ tier, numInferenceSteps }) =>
    isProvided(model) ? title(tier) : `${title(tier)}, ${numInferenceSteps} steps`,
  );
  return [
    ["Shapes", <span class="several">{sizes}</span>],
    ["Frame rate", `${factor(model.nativeFps)} fps`],
    ["Length", `Up to ${seconds(model.maxDurationSeconds)}${lengths}`],
    ["Quality", qualities.join("; ")],
    ["Price", `× ${factor(model.priceMultiplier)}`],
  ];
}

function takingOf(model: DeployedModel): Row[] {
  const inputs = [model.takesFirstFrame && "a first frame", model.takesReferenceVideo && "a reference video"];
  const memory: Row[] = model.memoryGb === undefined ? [] : [["Memory", `${factor(model.memoryGb)} GiB`]];
  const others: Row[] = model.fallbacks.length === 0 ? [] : [["Falls back to", model.fallbacks.join(", ")]];
  return [
    ["Sound", !model.makesSound ? "None" : model.canSpeak ? "Yes, with speech" : "Yes"],
    ["Also takes", title(inputs.filter(Boolean).join(" or ")) || "Nothing"],
    ...memory,
    ...others,
  ];
}
