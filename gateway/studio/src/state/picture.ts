// A picture that the user gives, looked at before it is sent.
import { newRequestId } from "../api/client.ts";
import { bytes as sizeOf } from "../format.ts";
import { Malformed } from "./order.ts";

export const PICTURE_TYPES: readonly string[] = ["image/png", "image/jpeg", "image/webp"];
const FIELD = "first_frame_image";
const MAX_BYTES = 10 * 2 ** 20;
const MAX_PIXELS = 16_000_000;

export interface Picture {
  /** Tells this choice from any other. */
  readonly id: string;
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Throws Malformed for what the mesh would refuse. */
export async function readPicture(file: File): Promise<Picture> {
  if (!PICTURE_TYPES.includes(file.type)) throw new Malformed(FIELD, "must be a PNG, JPEG or WebP picture");
  if (file.size > MAX_BYTES) throw new Malformed(FIELD, `must have at most 10 MiB, has ${sizeOf(file.size)}`);
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (bitmap === null) throw new Malformed(FIELD, "is not a picture that can be read");
  const pixels = bitmap.width * bitmap.height;
  bitmap.close();
  if (pixels > MAX_PIXELS) throw new Malformed(FIELD, "must have at most 16 megapixels");
  return { id: newRequestId(), name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
}
