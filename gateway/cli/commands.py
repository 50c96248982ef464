"""The commands.

Exit codes: 0 done; 1 unexpected error; 2 wrong usage; 3 the API refused the request; 4 the video failed, was blocked or
was cancelled; 5 the mesh cannot be reached; 6 the doctor found a fault.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import grpc
import httpx
import typer
from rich.console import Console

from gateway.cli import output
from gateway.cli.client import CALL_TIMEOUT_S, ApiError, Client, api_errors, connect, download
from gateway.cli.doctor.examine import examine_here, examine_there
from gateway.cli.mesh import DEFAULT_STATE_DIR, DEFAULT_USER, MeshNotFoundError, mint_token, read_endpoints
from gateway.cli.progress import Journey, follow
from kinemesh.billing.v1.billing_service_pb2 import GetAccountRequest, GrantCreditsRequest
from kinemesh.billing.v1.billing_service_pb2_grpc import BillingServiceStub
from kinemesh.scheduler.v1.scheduler_service_pb2 import ListWorkersRequest
from kinemesh.scheduler.v1.worker_pb2 import WorkerStatus
from kinemesh.video.v1 import video_service_pb2 as video_pb2

EXIT_REFUSED, EXIT_NO_VIDEO, EXIT_UNREACHABLE, EXIT_FAULT = 3, 4, 5, 6
TOKEN_TTL_S = 3600

app = typer.Typer(
    name="kinemesh", no_args_is_help=True, pretty_exceptions_enable=False, help="Text to video with sound."
)
console = Console()
errors = Console(stderr=True)


@dataclass(frozen=True)
class Target:
    """The mesh that a command talks to."""

    url: str | None
    token: str | None
    state_dir: Path
    user: str

    def credentials(self) -> tuple[str, str]:
        """URL and token: as given, or of the mesh running here."""
        if self.url and self.token:
            return self.url, self.token
        endpoints = read_endpoints(self.state_dir)
        token = self.token or mint_token(self.state_dir, endpoints, self.user, TOKEN_TTL_S)
        return self.url or endpoints.gateway_url, token


Json = Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")]
VideoId = Annotated[str, typer.Argument(help="The video's id.")]


@app.callback()
def _root(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(envvar="KINEMESH_URL", help="Gateway of a mesh elsewhere.")] = None,
    token: Annotated[str | None, typer.Option(envvar="KINEMESH_TOKEN", help="Token for it.")] = None,
    state_dir: Annotated[
        Path, typer.Option(envvar="KINEMESH_STATE_DIR", help="State directory of the mesh running here.")
    ] = DEFAULT_STATE_DIR,
    user: Annotated[
        str, typer.Option(envvar="KINEMESH_USER", help="User to be in the mesh running here.")
    ] = DEFAULT_USER,
) -> None:
    """Text to video with sound, through a Kinemesh gateway."""
    context.obj = Target(url, token, state_dir, user)


@app.command()
def generate(  # noqa: PLR0913, PLR0917 (each is an option of the command line)
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    negative_prompt: Annotated[str, typer.Option(help="What to steer away from.")] = "",
    model: Annotated[str, typer.Option(help="A tier (realtime, standard, cinema) or a model's name.")] = "standard",
    tier: Annotated[str, typer.Option(help="Tier when --model names a model.")] = "",
    duration: Annotated[float, typer.Option(help="Seconds, 5 to 60.")] = 5.0,
    resolution: Annotated[str, typer.Option(help="480p, 720p, 1080p or 4k.")] = "480p",
    aspect_ratio: Annotated[str, typer.Option(help="16:9, 9:16, 1:1 or 4:3.")] = "16:9",
    fps: Annotated[int, typer.Option(help="24, 30 or 60.")] = 24,
    steps: Annotated[int | None, typer.Option(help="Denoising steps, 4 to 100; default by tier.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale, 1 to 20; default by model.")] = None,
    seed: Annotated[int | None, typer.Option(help="Noise seed; drawn when absent.")] = None,
    style: Annotated[str, typer.Option(help="A style preset, e.g. night.")] = "",
    first_frame: Annotated[
        Path | None, typer.Option(help="PNG, JPEG or WebP to begin with.", exists=True, dir_okay=False)
    ] = None,
    reference_video: Annotated[str, typer.Option(help="Address of a video to make it after.")] = "",
    strength: Annotated[float | None, typer.Option(help="Departure from that video, 0.01 to 1; default 0.7.")] = None,
    allow_fallback: Annotated[
        bool,
        typer.Option("--allow-fallback", help="Let another model draw it while the one asked for is out of reach."),
    ] = False,
    audio: Annotated[bool | None, typer.Option(help="Generate sound; default: where the model makes any.")] = None,
    music: Annotated[bool, typer.Option(help="With a music bed.")] = False,
    speech: Annotated[bool, typer.Option(help='With spoken words, e.g. of: a woman says "hello".')] = False,
    target: Annotated[Path, typer.Option("--output", "-o", help="Directory or file for the MP4.")] = Path("out"),
    as_json: Json = False,
) -> None:
    """Makes a video, shows its progress and downloads it."""
    request = video_pb2.CreateVideoRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        tier=tier,
        duration_seconds=duration,
        resolution=resolution,
        aspect_ratio=aspect_ratio,
        fps=fps,
        num_inference_steps=steps,
        guidance_scale=guidance,
        seed=seed,
        style_preset=style,
        first_frame_image=first_frame.read_bytes() if first_frame else b"",
        reference_video=reference_video,
        reference_strength=strength,
        allow_fallback=allow_fallback,
    )
    with connect(*context.obj.credentials()) as client:
        if audio is True or (audio is None and _makes_sound(client, model)):
            request.enable_audio = True
            request.audio_config.MergeFrom(video_pb2.AudioOptions(include_music=music, include_speech=speech))
        _make(client, request, target, as_json=as_json)


def _makes_sound(client: Client, model: str) -> bool:
    """Whether a model does; of the default one, where a tier is named."""
    models = _models(client).models
    return next((each for each in models if each.name == model.upper()), models[0]).makes_sound


def _models(client: Client) -> video_pb2.ListModelsResponse:
    return client.videos.ListModels(video_pb2.ListModelsRequest(), timeout=CALL_TIMEOUT_S, metadata=client.metadata)


def _make(client: Client, request: video_pb2.CreateVideoRequest, target: Path, *, as_json: bool) -> None:
    created = client.videos.CreateVideo(request, timeout=CALL_TIMEOUT_S, metadata=client.with_new_request_id())
    if not as_json:
        console.print(f"accepted as {created.request_id}, about {created.estimated_time_seconds} s")
    journey = _follow(client, created.request_id, as_json=as_json)
    video = _get(client, created.request_id)
    file = _fetch(video, target)
    if as_json:
        output.print_json(video)
    else:
        output.print_result(console, video, journey, file)


@app.command()
def watch(context: typer.Context, request_id: VideoId, as_json: Json = False) -> None:
    """Shows a video's progress until it ends."""
    with connect(*context.obj.credentials()) as client:
        _follow(client, request_id, as_json=as_json)
        video = _get(client, request_id)
    if as_json:
        output.print_json(video)
    else:
        output.print_video(console, video)


@app.command()
def get(context: typer.Context, request_id: VideoId, as_json: Json = False) -> None:
    """Shows a video."""
    with connect(*context.obj.credentials()) as client:
        video = _get(client, request_id)
    if as_json:
        output.print_json(video)
    else:
        output.print_video(console, video)


@app.command("list")
def list_videos(
    context: typer.Context,
    status: Annotated[str, typer.Option(help="Only videos in this state, e.g. COMPLETED.")] = "",
    limit: Annotated[int, typer.Option(help="Videos to show, at most 100.")] = 20,
    offset: Annotated[int, typer.Option(help="Videos to skip.")] = 0,
    as_json: Json = False,
) -> None:
    """Lists videos, newest first."""
    request = video_pb2.ListVideosRequest(limit=limit, offset=offset, status=status)
    with connect(*context.obj.credentials()) as client:
        videos = client.videos.ListVideos(request, timeout=CALL_TIMEOUT_S, metadata=client.metadata)
    if as_json:
        output.print_json(videos)
    else:
        output.print_list(console, videos)


@app.command()
def cancel(context: typer.Context, request_id: VideoId, as_json: Json = False) -> None:
    """Cancels a video and gets the share not done refunded."""
    request = video_pb2.CancelVideoRequest(request_id=request_id)
    with connect(*context.obj.credentials()) as client:
        answer = client.videos.CancelVideo(request, timeout=CALL_TIMEOUT_S, metadata=client.metadata)
    if as_json:
        output.print_json(answer)
    else:
        console.print(f"{answer.status}, {answer.refunded_credits:g} credits refunded")


@app.command()
def workers(context: typer.Context, as_json: Json = False) -> None:
    """Lists the workers."""
    with connect(*context.obj.credentials()) as client:
        answer = client.workers.ListWorkers(ListWorkersRequest(), timeout=CALL_TIMEOUT_S, metadata=client.metadata)
    if as_json:
        output.print_json(answer)
    else:
        named = [(WorkerStatus.Name(w.status).removeprefix("WORKER_STATUS_"), w) for w in answer.workers]
        output.print_workers(console, named)


@app.command()
def models(context: typer.Context, as_json: Json = False) -> None:
    """Lists the deployed models and what they draw."""
    with connect(*context.obj.credentials()) as client:
        answer = _models(client)
    if as_json:
        output.print_json(answer)
    else:
        output.print_models(console, answer)


@app.command()
def account(context: typer.Context, as_json: Json = False) -> None:
    """Shows the caller's credits."""
    with connect(*context.obj.credentials()) as client:
        answer = client.accounts.GetAccount(GetAccountRequest(), timeout=CALL_TIMEOUT_S, metadata=client.metadata)
    if as_json:
        output.print_json(answer)
    else:
        console.print(
            f"{answer.user_id}: {answer.available_credits:g} free, {answer.held_credits:g} held, "
            f"{answer.spent_credits:g} spent"
        )


@app.command()
def token(
    context: typer.Context,
    ttl_s: Annotated[int, typer.Option("--ttl", min=60, max=86_400, help="Seconds until it expires.")] = TOKEN_TTL_S,
    as_json: Json = False,
) -> None:
    """Prints a token for --user, signed with the key of the mesh running here."""
    where: Target = context.obj
    made = mint_token(where.state_dir, read_endpoints(where.state_dir), where.user, ttl_s)
    print(json.dumps({"token": made, "expires_in_seconds": ttl_s}) if as_json else made)


@app.command()
def grant(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="The account.")],
    credits_: Annotated[str, typer.Argument(metavar="CREDITS", help="Credits to add.")],
    grant_id: Annotated[str, typer.Option(help="Key: the same grant is added once.")],
    as_json: Json = False,
) -> None:
    """Adds credits to an account of the mesh running here, by billing's internal address."""
    address = read_endpoints(context.obj.state_dir).billing_address
    request = GrantCreditsRequest(grant_id=grant_id, user_id=user, amount_credits=credits_)
    with grpc.insecure_channel(address) as channel, api_errors():
        granted = BillingServiceStub(channel).GrantCredits(request, timeout=CALL_TIMEOUT_S).account
    if as_json:
        output.print_json(granted)
    else:
        console.print(f"{granted.user_id}: {granted.available_credits} free")


@app.command()
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Names what is wrong with the installation here, or with the way to the mesh at --url."""
    where: Target = context.obj
    if where.url and where.token:
        findings = list(examine_there(where.url, where.token))
    else:
        findings = list(examine_here(where.state_dir, where.user))
    output.print_findings(console, findings, as_json=as_json)
    if any(finding.verdict == "fault" for finding in findings):
        raise typer.Exit(EXIT_FAULT)


def _get(client: Client, request_id: str) -> video_pb2.GetVideoResponse:
    request = video_pb2.GetVideoRequest(request_id=request_id)
    return client.videos.GetVideo(request, timeout=CALL_TIMEOUT_S, metadata=client.metadata)


def _follow(client: Client, request_id: str, *, as_json: bool) -> Journey:
    journey = follow(client.watch(request_id), Console(quiet=True) if as_json else console)
    if journey.error is not None:
        if as_json:
            output.print_json(_get(client, request_id))
        errors.print(f"{journey.error.error_code}: {journey.error.error_message}", style="red")
        raise typer.Exit(EXIT_NO_VIDEO)
    return journey


def _fetch(video: video_pb2.GetVideoResponse, target: Path) -> Path:
    file = target if target.suffix == ".mp4" else target / f"{video.request_id}.mp4"
    try:
        download(video.output.video_url, file)
    except httpx.HTTPError as error:
        raise ApiError("DOWNLOAD_FAILED", f"the video cannot be fetched: {error}", reachable=False) from error
    return file


def run() -> None:
    """Runs the command line and exits."""
    try:
        app()
    except ApiError as error:
        errors.print(f"{error.code}: {error}", style="red", markup=False)
        sys.exit(EXIT_REFUSED if error.reachable else EXIT_UNREACHABLE)
    except MeshNotFoundError as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(EXIT_UNREACHABLE)
