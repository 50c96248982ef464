import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

let arrived = false;

/** The title of a view. Who comes from another view goes on reading here; who opens the page is left alone. */
export function Title({ id, children }: { readonly id?: string; readonly children: ComponentChildren }) {
  const self = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (arrived) {
      scrollTo(0, 0);
      self.current?.focus({ preventScroll: true });
    }
    arrived = true;
  }, []);
  return (
    <h1 id={id} ref={self} tabIndex={-1}>
      {children}
    </h1>
  );
}
