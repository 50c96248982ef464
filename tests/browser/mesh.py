"""A mesh that a test plays: its jobs go on when the test says so. What may be asked is checked as by the real one."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from kinemesh.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from kinemesh.scheduler.v1 import scheduler_service_pb2, scheduler_service_pb2_grpc, worker_pb2
from kinemesh.video.v1 import video_service_pb2 as pb
from kinemesh.video.v1 import video_service_pb2_grpc
from services.common import errors
from services.common.rpc.server import RpcServer, RpcService
from services.orchestrator.convert import video as convert
from services.orchestrator.domain.spec import read_spec
from tests.browser.job import CATALOGUE, WORKER, Job, stamp

PRICE = "0.375"
_REFUSALS = {
    "too expensive": errors.PaymentRequired(
        "INSUFFICIENT_CREDITS", "the video costs more than is left", required=PRICE, available="0.1"
    ),
    "forbidden": errors.ContentBlocked("CONTENT_BLOCKED", "the prompt asks for violence", categories="violence"),
    "too many": errors.ResourceExhausted("RATE_LIMITED", "at most 8 videos may be unfinished at once", retry_after_s=7),
    "safety is down": errors.Unavailable("DEPENDENCY_UNAVAILABLE", "safety did not answer"),
}


class Mesh(
    video_service_pb2_grpc.VideoServiceServicer,
    scheduler_service_pb2_grpc.WorkerServiceServicer,
    billing_service_pb2_grpc.AccountServiceServicer,
):
    """All three public services."""

    def __init__(self) -> None:
        self.media_url = ""
        """Where the finished video, its picture and its manifest are."""
        self.jobs: dict[str, Job] = {}
        self.keys: list[str] = []
        """Idempotency keys of every attempt to create."""
        self.requests: list[pb.CreateVideoRequest] = []
        """What was accepted."""
        self.resumed: list[str] = []
        """`last_event_id` of every stream."""
        self.lose_answers = 0
        """So many requests are accepted whose answer does not arrive."""
        self.streams_stand = True

    def add(self, user: str, prompt: str, *, age_s: float = 0, **options: Any) -> Job:
        """A job as if it had been asked for, with more of the request's fields as given."""
        usual = {"model": "realtime", "resolution": "480p", "enable_audio": True}
        return self._accept(user, pb.CreateVideoRequest(prompt=prompt, **{**usual, **options}), age_s)

    def _accept(self, user: str, request: pb.CreateVideoRequest, age_s: float = 0) -> Job:
        created = datetime.now(UTC) - timedelta(seconds=age_s)
        job = Job(str(uuid.uuid4()), user, request, created_at=created)
        self.jobs[job.id] = job
        job.tell("PENDING", progress=pb.ProgressEvent(percent=2, eta_seconds=14))
        return job

    def newest(self, user: str) -> Job:
        """The user's last job."""
        return self._of(user)[0]

    def cut_streams(self) -> None:
        """Every open stream breaks, and none stands until `streams_stand` is set again."""
        self.streams_stand = False
        for job in self.jobs.values():
            job.news.set()

    def _of(self, user: str) -> list[Job]:
        own = [job for job in self.jobs.values() if job.user == user]
        return sorted(own, key=lambda job: job.created_at, reverse=True)

    def _find(self, request_id: str, context: Any) -> Job:
        job = self.jobs.get(request_id)
        if job is None or job.user != _user(context):
            raise errors.NotFound("VIDEO_NOT_FOUND", "no such video")
        return job

    async def CreateVideo(self, request: pb.CreateVideoRequest, context: Any) -> pb.CreateVideoResponse:
        key = dict(context.invocation_metadata())["x-request-id"]
        self.keys.append(key)
        read_spec(request, CATALOGUE)
        for word, error in _REFUSALS.items():
            if word in request.prompt:
                raise error
        if self.keys.count(key) == 1:
            self.requests.append(request)
            self._accept(_user(context), request)
        if self.lose_answers:
            self.lose_answers -= 1
            raise errors.Unavailable("DEPENDENCY_UNAVAILABLE", "the answer was lost")
        return pb.CreateVideoResponse(request_id=self.newest(_user(context)).id, status="PENDING")

    async def QuoteVideo(self, request: pb.QuoteVideoRequest, context: Any) -> pb.QuoteVideoResponse:
        asked = pb.CreateVideoRequest()
        asked.CopyFrom(request.video)
        asked.prompt = "any"
        spec = read_spec(asked, CATALOGUE)
        return pb.QuoteVideoResponse(
            cost_credits=PRICE,
            estimated_time_seconds=14,
            model=spec.model,
            tier=spec.tier,
            num_inference_steps=spec.steps,
        )

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        return convert.models(CATALOGUE)

    async def GetVideo(self, request: pb.GetVideoRequest, context: Any) -> pb.GetVideoResponse:
        job = self._find(request.request_id, context)
        video = job.described()
        if job.status == "COMPLETED":
            video.output.CopyFrom(self._output())
            video.generation_time_ms, video.gpu_time_ms, video.credits_used = 13_250, 9_400, float(PRICE)
        elif job.ended:
            video.refunded_credits = float(PRICE)
        if job.status == "FAILED":
            last = job.events[-1].error
            video.error.CopyFrom(pb.VideoError(code=last.error_code, message=last.error_message))
        return video

    def _output(self) -> pb.VideoOutput:
        return pb.VideoOutput(
            video_url=f"{self.media_url}/video.mp4",
            thumbnail_url=f"{self.media_url}/thumbnail.jpg",
            c2pa_manifest_url=f"{self.media_url}/manifest.json",
            audio_url=f"{self.media_url}/sound.wav",
            duration_seconds=2,
            resolution="854x480",
            native_resolution="112x64",
            native_fps=12,
            fps=24,
            file_size_bytes=182_344,
        )

    async def ListVideos(self, request: pb.ListVideosRequest, context: Any) -> pb.ListVideosResponse:
        found = [job for job in self._of(_user(context)) if request.status in ("", job.status)]
        page = found[request.offset : request.offset + request.limit]
        return pb.ListVideosResponse(
            videos=map(self._summary, page), total=len(found), limit=request.limit, offset=request.offset
        )

    def _summary(self, job: Job) -> pb.VideoSummary:
        picture = f"{self.media_url}/thumbnail.jpg" if job.status == "COMPLETED" else None
        return pb.VideoSummary(
            request_id=job.id,
            status=job.status,
            prompt=job.prompt,
            thumbnail_url=picture,
            created_at=stamp(job.created_at),
        )

    async def CancelVideo(self, request: pb.CancelVideoRequest, context: Any) -> pb.CancelVideoResponse:
        job = self._find(request.request_id, context)
        if job.ended and job.status != "CANCELLED":
            raise errors.Conflict("VIDEO_ALREADY_FINISHED", "the video has ended", status=job.status)
        job.fail("CANCELLED", "the video was cancelled")
        return pb.CancelVideoResponse(request_id=job.id, status="CANCELLED", refunded_credits=float(PRICE))

    async def DeleteVideo(self, request: pb.DeleteVideoRequest, context: Any) -> pb.DeleteVideoResponse:
        return pb.DeleteVideoResponse(request_id=self.jobs.pop(self._find(request.request_id, context).id).id)

    async def WatchVideo(self, request: pb.WatchVideoRequest, context: Any) -> AsyncIterator[pb.WatchVideoResponse]:
        job = self._find(request.request_id, context)
        self.resumed.append(request.last_event_id)
        seen = int(request.last_event_id or len(job.events) - 1)
        while True:
            if not self.streams_stand:
                raise errors.Unavailable("DEPENDENCY_UNAVAILABLE", "the orchestrator is restarting")
            # More may happen while these are sent.
            news, unseen = job.news, job.events[seen:]
            seen += len(unseen)
            for event in unseen:
                yield event
            if job.ended:
                return
            await news.wait()

    async def ListWorkers(self, request: Any, context: Any) -> scheduler_service_pb2.ListWorkersResponse:
        return scheduler_service_pb2.ListWorkersResponse(workers=[_worker(WORKER, True), _worker("worker-2", False)])

    async def GetAccount(self, request: Any, context: Any) -> billing_service_pb2.GetAccountResponse:
        own = self._of(_user(context))
        held = float(PRICE) * sum(not job.ended for job in own)
        spent = float(PRICE) * sum(job.status == "COMPLETED" for job in own)
        return billing_service_pb2.GetAccountResponse(
            user_id=_user(context), available_credits=100 - held - spent, held_credits=held, spent_credits=spent
        )

    def server(self) -> RpcServer:
        """A server of all of it."""
        video, scheduler, billing = (
            module.DESCRIPTOR.services_by_name for module in (pb, scheduler_service_pb2, billing_service_pb2)
        )
        return RpcServer(
            [
                RpcService(video["VideoService"], video_service_pb2_grpc.add_VideoServiceServicer_to_server, self),
                RpcService(
                    scheduler["WorkerService"], scheduler_service_pb2_grpc.add_WorkerServiceServicer_to_server, self
                ),
                RpcService(
                    billing["AccountService"], billing_service_pb2_grpc.add_AccountServiceServicer_to_server, self
                ),
            ]
        )


def _user(context: Any) -> str:
    return str(dict(context.invocation_metadata())["x-user-id"])


def _worker(name: str, busy: bool) -> worker_pb2.GPUWorkerState:
    status = worker_pb2.WORKER_STATUS_GENERATING if busy else worker_pb2.WORKER_STATUS_IDLE
    hardware = worker_pb2.WorkerHardware(
        gpu_type="cpu", gpu_memory_total_gb=24, gpu_memory_used_gb=math.pi if busy else 0.4
    )
    loaded = worker_pb2.LoadedModels(dit_model="REFERENCE", vae_model="REFERENCE") if busy else None
    metrics = worker_pb2.WorkerMetrics(jobs_completed_today=12, average_generation_time_ms=13_250)
    state = worker_pb2.GPUWorkerState(
        worker_id=name, node_name="atelier", status=status, hardware=hardware, loaded_models=loaded, metrics=metrics
    )
    state.models.extend(("REFERENCE", "WAN"))
    if busy:
        state.current_job.current_step = 5
        state.current_job.started_at.CopyFrom(stamp(datetime.now(UTC)))
    return state
