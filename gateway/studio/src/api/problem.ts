// What went wrong, as the page tells it: by the machine reason that every error of a Kinemesh service carries.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { sentence } from "../format.ts";

export interface Problem {
  /** An ErrorReason without its prefix, or UNREACHABLE. */
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  /** What is wrong with each field of the request, by its name in the contract. */
  readonly fields: Readonly<Record<string, string>>;
  /** How long to wait before the same may be asked again, seconds; 0 for not at all. */
  readonly retryAfterS: number;
}

const UNTOLD_WAIT_S = 5;

const UNREACHABLE: Problem = {
  code: "UNREACHABLE",
  title: "The mesh cannot be reached",
  detail: "Nothing was lost. The studio keeps trying.",
  fields: {},
  retryAfterS: 0,
};

const TITLES: Readonly<Record<string, string>> = {
  DEPENDENCY_UNAVAILABLE: "A part of the mesh does not answer",
  TRANSIENT_STORAGE: "A part of the mesh does not answer",
  CONTENT_BLOCKED: "This prompt goes against the content policy",
  INSUFFICIENT_CREDITS: "Not enough credits",
  IDEMPOTENCY_KEY_IN_USE: "The request is still being accepted",
  MODEL_NOT_DEPLOYED: "That model is not deployed here",
  PAYLOAD_TOO_LARGE: "That is too large to be sent",
  RATE_LIMITED: "Too many requests for now",
  RESOURCE_NOT_FOUND: "Not found",
  UNAUTHENTICATED: "The token is not valid",
  VIDEO_ALREADY_FINISHED: "The video has already ended",
  VIDEO_NOT_FOUND: "There is no such video",
};

/** Whether a call failed before any service could judge it. */
export function isUnreachable(error: ConnectError): boolean {
  const answered = error.findDetails(ErrorInfoSchema).length > 0 || isRateLimited(error) || isTooLarge(error);
  // What the browser's fetch throws has no code of its own.
  return !answered && [Code.Unavailable, Code.Unknown, Code.Internal, Code.DeadlineExceeded].includes(error.code);
}

/** The gateway's own limit is answered in HTTP, of which gRPC-web knows no more than UNAVAILABLE. */
function isRateLimited(error: ConnectError): boolean {
  return error.code === Code.ResourceExhausted || error.metadata.has("retry-after");
}

/** Likewise the limit of a request's size, of which only the text tells. */
function isTooLarge(error: ConnectError): boolean {
  return /^(HTTP 413|Payload Too Large)$/i.test(error.rawMessage);
}

export function problemOf(reason: unknown): Problem {
  const error = ConnectError.from(reason);
  if (isUnreachable(error)) return UNREACHABLE;
  const fields = fieldsOf(error);
  const code = error.findDetails(ErrorInfoSchema)[0]?.reason ?? fallbackCode(error);
  if (Object.keys(fields).length > 0) return invalid(code, fields);
  const title = TITLES[code] ?? "That did not work";
  return { code, title, detail: detailOf(code, error), fields, retryAfterS: waitOf(code, error) };
}

/** Fields tell for themselves what is wrong with them. */
export function invalid(code: string, fields: Problem["fields"]): Problem {
  return { code, title: "Some options are not possible", detail: "The marked fields say why.", fields, retryAfterS: 0 };
}

function fieldsOf(error: ConnectError): Record<string, string> {
  const violations = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  return Object.fromEntries(violations.map(({ field, description }) => [field, description]));
}

function fallbackCode(error: ConnectError): string {
  if (isRateLimited(error)) return "RATE_LIMITED";
  if (isTooLarge(error)) return "PAYLOAD_TOO_LARGE";
  return [Code.Unauthenticated, Code.PermissionDenied].includes(error.code) ? "UNAUTHENTICATED" : "INTERNAL";
}

function detailOf(code: string, error: ConnectError): string {
  const facts = error.findDetails(ErrorInfoSchema)[0]?.metadata ?? {};
  // "HTTP 429" and the like stand in for a message that there is not.
  const told = error.rawMessage.startsWith("HTTP ") ? "" : sentence(error.rawMessage);
  if (code === "INSUFFICIENT_CREDITS" && facts.required && facts.available) {
    return `This video costs ${facts.required} credits; ${facts.available} are free.`;
  }
  if (code === "RATE_LIMITED") return `${told} Try again in ${waitOf(code, error)} s.`.trim();
  if (code === "PAYLOAD_TOO_LARGE") return "A smaller picture or a shorter text will do.";
  if (code === "UNAUTHENTICATED") return "It may have expired. Paste a fresh one to go on; nothing was lost.";
  return told;
}

/** A service says it in its details, the gateway in a header. */
function waitOf(code: string, error: ConnectError): number {
  if (code !== "RATE_LIMITED") return 0;
  const told = error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds ?? error.metadata.get("retry-after");
  return Number(told ?? 0) || UNTOLD_WAIT_S;
}
