import type { Problem } from "../api/problem.ts";

/** Tells what went wrong, at once also to those who listen. */
export function ProblemNotice({ problem }: { readonly problem: Problem }) {
  return (
    <div class="notice bad" role="alert" data-code={problem.code}>
      <strong>{problem.title}</strong>
      {problem.detail && <p>{problem.detail}</p>}
    </div>
  );
}
