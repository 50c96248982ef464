import { useEffect, useRef, useState } from "preact/hooks";

interface Props {
  /** A picture as its file holds it: PNG, JPEG or WebP. */
  readonly bytes: Uint8Array;
  readonly label: string;
}

/**
 * A picture that has no address. It is decoded into a canvas: an address of the page's own making (blob:, data:) would
 * have to be allowed by the page's policy, to everything in it.
 */
export function Drawing({ bytes, label }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [drawn, setDrawn] = useState(false);
  useEffect(() => {
    let current = true;
    createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>])).then(
      (bitmap) => {
        if (!current || !canvas.current) return;
        const { width, height } = bitmap;
        Object.assign(canvas.current, { width, height });
        canvas.current.getContext("bitmaprenderer")?.transferFromImageBitmap(bitmap);
        setDrawn(true);
      },
      () => undefined, // What cannot be decoded is not shown; the one before stays.
    );
    return () => void (current = false);
  }, [bytes]);
  return <canvas ref={canvas} class={drawn ? "drawing drawn" : "drawing"} role="img" aria-label={label} />;
}
