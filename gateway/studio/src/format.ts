// How figures are written.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";

export function credits(amount: number | string): string {
  return Number(amount).toLocaleString("en", { maximumFractionDigits: 4 });
}

/** "14 s", "2 min 5 s", "1 h 4 min". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return [`${Math.floor(whole / 60)} min`, whole % 60 ? `${whole % 60} s` : ""].join(" ").trim();
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Down to a tenth, for times that were measured. */
export function measured(milliseconds: number): string {
  return milliseconds < 60_000 ? `${(milliseconds / 1000).toFixed(1)} s` : duration(milliseconds / 1000);
}

/** Of a length that need not be whole: "5.4 s". */
export function seconds(length: number): string {
  return `${factor(length)} s`;
}

/** Down to a hundredth, without idle zeros. */
export function factor(value: number): string {
  return String(Number(value.toFixed(2)));
}

export function bytes(count: number): string {
  const units = ["B", "KB", "MB", "GB"];
  const power = count < 1 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

export function size(dimensions: string): string {
  return dimensions.replace("x", " × ");
}

const TODAY = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const OTHER_DAY = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

export function moment(time: Timestamp | Date): string {
  const date = time instanceof Date ? time : timestampDate(time);
  return (date.toDateString() === new Date().toDateString() ? TODAY : OTHER_DAY).format(date);
}

/** "AUDIO_GENERATING" and "audio generating" become "Audio generating". */
export function title(name: string): string {
  const words = name.toLowerCase().replaceAll("_", " ");
  return words === "" ? "" : words[0]!.toUpperCase() + words.slice(1);
}

/** A text of a service, which begins small and has no full stop. */
export function sentence(text: string): string {
  if (text === "") return "";
  return `${text[0]!.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
