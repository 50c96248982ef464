// The gateway, by gRPC-web. Every answer also tells whether the mesh can be reached and whether the token is still good.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { signal } from "@preact/signals";
import { AccountService } from "../../gen/kinemesh/billing/v1/billing_service_pb.ts";
import { WorkerService } from "../../gen/kinemesh/scheduler/v1/scheduler_service_pb.ts";
import { VideoService } from "../../gen/kinemesh/video/v1/video_service_pb.ts";
import { isUnreachable } from "./problem.ts";
import { refused, token } from "./session.ts";

const CALL_TIMEOUT_MS = 20_000;
/** For calls that last as long as a video takes. */
export const UNLIMITED = 0;

/** Whether the last call reached a service. */
export const reachable = signal(true);

const authorize: Interceptor = (next) => (request) => {
  if (token.value !== null) request.header.set("authorization", `Bearer ${token.value}`);
  return next(request);
};

const observe: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    reachable.value = true;
    return response;
  } catch (reason) {
    const error = ConnectError.from(reason);
    if (error.code === Code.Canceled) throw error;
    reachable.value = !isUnreachable(error);
    refused.value = error.code === Code.Unauthenticated || refused.value;
    throw error;
  }
};

const transport = createGrpcWebTransport({
  baseUrl: location.origin,
  interceptors: [observe, authorize],
  defaultTimeoutMs: CALL_TIMEOUT_MS,
});

export const videos = createClient(VideoService, transport);
export const workers = createClient(WorkerService, transport);
export const accounts = createClient(AccountService, transport);

/** A fresh idempotency key. `crypto.randomUUID` exists on secure origins only; a mesh at home may have none. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
