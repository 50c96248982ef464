"""One seed: a load of mixed tiers, processes killed at random moments, rest, and the checker's verdict."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import av

from deploy.local.database import DATABASE
from tests.chaos.client import Client
from tests.chaos.history.check import Violation, violations
from tests.chaos.history.collect import Books
from tests.chaos.history.model import History, Job, Leak, Media, Spec
from tests.chaos.load import CANARY, Load, Plan
from tests.chaos.mesh import ChaosMesh
from tests.chaos.receiver import SECRET, Eavesdropper, Receiver, eavesdropping, receiving

TARGETS = (
    "worker",
    "triton",
    "stub",
    "scheduler",
    "orchestrator",
    "transcoder",
    "safety",
    "billing",
    "encoder",
    "nats",
    "postgres",
    "envoy",
)
"""What is killed; `all` comes on top."""
KILLS = 4
REST_S = 300.0
_CALM = -1
"""Seed of the first round without faults; those after it have lower ones."""
_NO_NEWS_S = 12.0
Mischief: TypeAlias = Callable[[Load], Coroutine[Any, Any, None]]
_STUBS = ("dit", "video_vae", "audio")

logger = logging.getLogger(__name__)


@dataclass
class Result:
    """What came of a seed."""

    seed: int
    what: str
    """What went wrong."""
    history: History
    wrong: list[Violation]
    seconds: float
    outcomes: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {status}" for status, count in sorted(self.outcomes.items()))
        verdict = "".join(f"\n    {violation}" for violation in self.wrong) or " 0 violations"
        return f"seed {self.seed}: {self.what}; {ends}; {self.seconds:.0f} s;{verdict}"


class Arena:
    """A mesh, its listeners, and what is known of undisturbed runs."""

    def __init__(self, mesh: ChaosMesh, ear: Eavesdropper) -> None:
        self.mesh = mesh
        self.undisturbed: dict[Spec, Media] = {}
        self._ear = ear
        self._learnt: list[Mapping[str, Any]] = []

    async def play(self, plan: Plan, mischief: Mischief | None = None, what: str = "nothing") -> Result:
        """Plays one round.

        Args:
            plan: The load.
            mischief: Runs beside the load; the round is over when both are.
            what: It, in words.
        """
        if mischief:
            await self.learn(plan.videos)
        started = time.monotonic()
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(receiving(plan.seed))
            users = [await stack.enter_async_context(self.mesh.user(name)) for name in _names(plan.seed)]
            load = Load([Client(user, plan.seed) for user in users], plan, receiver.url)
            async with asyncio.TaskGroup() as both:
                both.create_task(load.run())
                if mischief:
                    both.create_task(mischief(load))
            books = self.books(plan.seed)
            await books.rest(REST_S)
            await load.look_back()
            history = await self._history(load, books, receiver)
        outcomes = Counter(job.status for job in history.jobs)
        return Result(plan.seed, what, history, violations(history), time.monotonic() - started, outcomes)

    async def play_kills(self, plan: Plan, kills: Sequence[str]) -> Result:
        """Plays one round in which processes, or "all", are killed in this order."""
        killed: list[str] = []
        result = await self.play(plan, partial(self._kill, plan, kills, killed))
        return replace(result, what=f"killed {', '.join(killed)}")

    async def learn(self, videos: Sequence[Mapping[str, Any]]) -> Result | None:
        """Has those made that never were without faults, and keeps the clips for comparison; None if all were."""
        new = [video for video in videos if video not in self._learnt]
        if not new:
            return None
        result = await self.play(Plan(new, seed=_CALM - len(self._learnt)))
        if result.wrong:
            raise AssertionError(f"without any fault: {result}")
        self._learnt += new
        for job in result.history.jobs:
            self.undisturbed[job.spec] = result.history.media[job.request_id]
        return result

    def books(self, seed: int) -> Books:
        """What the database knows of a round's users."""
        return Books(self.mesh.inside.postgres.dsn(database=DATABASE), _names(seed))

    async def _kill(self, plan: Plan, kills: Sequence[str], killed: list[str], load: Load) -> None:
        """Kills at moments that depend on how far the load is, so that a slow machine meets the same ones."""
        chance = random.Random(f"moments/{plan.seed}")
        for name in kills:
            if await _until_news(load, chance.randint(3, 25)):
                return
            killed.append(name)
            self._kill_one(name, chance)

    def _kill_one(self, name: str, chance: random.Random) -> None:
        if name == "all":
            self.mesh.kill_everything()
        elif name == "stub":
            self.mesh.kill_stub(chance.choice(["triton", "triton-2"]), chance.choice(_STUBS))
        else:
            self.mesh.kill(f"{name}-2" if name in {"worker", "triton"} and chance.random() < 0.5 else name)

    async def _history(self, load: Load, books: Books, receiver: Receiver) -> History:
        known = await books.read()
        ready = [job for job in known["jobs"] if job.status == "COMPLETED"]
        return History(
            creates=[create for client in load.clients for create in client.creates],
            cancels=[cancel for client in load.clients for cancel in client.cancels],
            probes=[probe for client in load.clients for probe in client.probes],
            listings=load.listings,
            answers=load.answers,
            streams=load.streams,
            told=await self._ear.told(),
            hits=receiver.hits,
            media=await asyncio.to_thread(self._media, ready),
            undisturbed=dict(self.undisturbed),
            leaks=find_leaks(self.mesh.home.logs, self._secrets()),
            peak_memory=self.mesh.peak_memory(),
            **known,
        )

    def _media(self, jobs: Sequence[Job]) -> dict[str, Media]:
        found = {job.request_id: read_media(job, self.mesh.object) for job in jobs}
        return {request_id: media for request_id, media in found.items() if media is not None}

    def _secrets(self) -> Mapping[str, str]:
        keys = self.mesh.home.keys
        return {
            "prompt": CANARY,
            "webhook secret": SECRET,
            "database password": keys.password("postgres-orchestrator"),
            "object store key": keys.password("objectstore"),
            "master secret": keys.secret("webhook-master"),
        }


@asynccontextmanager
async def in_arena(mesh: ChaosMesh) -> AsyncIterator[Arena]:
    """Listens to the mesh's broker meanwhile."""
    async with eavesdropping(mesh.inside.nats.url) as ear:
        yield Arena(mesh, ear)


def _names(seed: int) -> list[str]:
    return [f"{name}-{seed}" for name in ("ada", "bob")]


def kills_of(seed: int) -> list[str]:
    """What a seed kills: every target has its turn, others by chance, and every fifth seed also all at once."""
    chance = random.Random(f"kills/{seed}")
    kills = [TARGETS[seed % len(TARGETS)], *chance.choices(TARGETS, k=KILLS - 1)]
    chance.shuffle(kills)
    return [*kills[: KILLS // 2], "all", *kills[KILLS // 2 :]] if seed % 5 == 0 else kills


def read_media(job: Job, read: Callable[[str], bytes]) -> Media | None:
    """Hashes what a finished job made: decoded frames and samples; None where an object is missing or damaged."""
    frames, sound = "", ""
    for name, artifact in job.artifacts.items():
        if name in {"mezzanine", "audio"}:
            try:
                data = read(artifact["uri"])
            except Exception as error:
                logger.warning("object not readable", extra={"uri": artifact["uri"], "error": repr(error)})
                return None
            if hashlib.sha256(data).hexdigest() != artifact["sha256"]:
                return None
            if name == "mezzanine":
                frames = hash_frames(data)
            else:
                sound = hashlib.sha256(data).hexdigest()
    return Media(frames=frames, sound=sound) if frames else None


def hash_frames(mezzanine: bytes) -> str:
    """sha256 over the pixels of all frames."""
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(suffix=".mkv") as file:
        file.write(mezzanine)
        file.flush()
        with av.open(file.name) as container:
            for frame in container.decode(video=0):
                digest.update(cast("Any", frame).to_ndarray(format="rgb24").tobytes())
    return digest.hexdigest()


def find_leaks(logs: Path, secrets: Mapping[str, str]) -> list[Leak]:
    """Log files that hold a secret."""
    texts = {log.name: log.read_text(errors="replace") for log in logs.glob("*.log")}
    return [
        Leak(log=log, secret=kind) for log, text in texts.items() for kind, secret in secrets.items() if secret in text
    ]


async def _until_news(load: Load, count: int) -> bool:
    """Returns after so many more events of all streams, also after a while without any; True when the load is over."""
    target, newest, newest_at = load.events + count, load.events, time.monotonic()
    while load.events < target and time.monotonic() < newest_at + _NO_NEWS_S and not load.over.is_set():
        await asyncio.sleep(0.05)
        if load.events != newest:
            newest, newest_at = load.events, time.monotonic()
    return load.over.is_set()
