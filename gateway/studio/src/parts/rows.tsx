import type { ComponentChildren } from "preact";

export type Row = readonly [name: string, value: ComponentChildren];

/** Names with their values. */
export function Rows({ rows }: { readonly rows: readonly Row[] }) {
  return (
    <dl>
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
