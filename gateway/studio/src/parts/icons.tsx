// The few drawings of the page, in the colour of the text around them.
import type { ComponentChildren } from "preact";

function Icon({ children }: { readonly children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 20 20"
      width="20"
      height="20"
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
    <rect width="32" height="32" rx="7" />
    <path d="M11 8.5 23.5 16 11 23.5z" />
    <circle cx="11" cy="8.5" r="2.6" />
    <circle cx="23.5" cy="16" r="2.6" />
    <circle cx="11" cy="23.5" r="2.6" />
  </svg>
);

export const Play = () => (
  <Icon>
    <path d="M7 4.5v11l9-5.5z" fill="currentColor" />
  </Icon>
);
export const Back = () => (
  <Icon>
    <path d="m11.5 5-5 5 5 5" />
  </Icon>
);
export const Forward = () => (
  <Icon>
    <path d="m8.5 5 5 5-5 5" />
  </Icon>
);
export const Tick = () => (
  <Icon>
    <path d="m5 10.5 3.5 3.5L15 7" />
  </Icon>
);
export const Cross = () => (
  <Icon>
    <path d="m6 6 8 8m0-8-8 8" />
  </Icon>
);
export const Download = () => (
  <Icon>
    <path d="M10 4v8m-3.5-3 3.5 3.5L13.5 9M4.5 16h11" />
  </Icon>
);
export const Again = () => (
  <Icon>
    <path d="M15.5 10a5.5 5.5 0 1 1-1.6-3.9M15.5 3.5v3h-3" />
  </Icon>
);
export const Image = () => (
  <Icon>
    <rect x="3" y="4" width="14" height="12" rx="2" />
    <path d="m3.5 14 4-4 3 3 2.5-2.5 3.5 3.5" />
    <circle cx="12.8" cy="7.6" r="1.1" />
  </Icon>
);
export const Bin = () => (
  <Icon>
    <path d="M4 6h12M8 6V4h4v2m-6.5 0 .7 10h7.6l.7-10" />
  </Icon>
);
export const Seal = () => (
  <Icon>
    <path d="M10 2.8 4 5v4.6c0 3.6 2.5 6.2 6 7.6 3.5-1.4 6-4 6-7.6V5z" />
    <path d="m7.6 9.8 1.8 1.8 3.2-3.4" />
  </Icon>
);

/** A frame of the given aspect ratio. */
export function Frame({ aspect }: { readonly aspect: string }) {
  const [width = 1, height = 1] = aspect.split(":").map(Number);
  const scale = 13 / Math.max(width, height);
  const [w, h] = [width * scale, height * scale];
  return (
    <Icon>
      <rect x={10 - w / 2} y={10 - h / 2} width={w} height={h} rx="1.5" />
    </Icon>
  );
}
