"""Judges prompts and videos, and writes down every decision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import UUID

from prometheus_client import Counter

from services.common.sandbox import SandboxLimits, run_sandboxed
from services.common.storage import ObjectRef, ObjectStore
from services.safety.domain import CheckType, Scores, Verdict, decide
from services.safety.frames.request import FrameCheckRequest

_CHECK = "services.safety.frames.check:run"
_FLASHES = "bt1702-1"

DECISIONS = Counter("kinemesh_safety_decisions_total", "Decisions, by kind of check and result.", ["check", "result"])


class Audit(Protocol):
    """Where decisions are kept."""

    async def record(self, request_id: UUID, check_type: CheckType, verdict: Verdict) -> None:
        """Adds a decision."""

    async def record_once(self, request_id: UUID, check_type: CheckType, verdict: Verdict) -> Verdict:
        """Adds a decision unless the latest one says the same; returns the recorded one."""


class PromptScorer(Protocol):
    """What scores prompts."""

    version: str

    def __call__(self, prompt: str, /) -> Scores:
        """Scores every text category."""


class CheckPrompt:
    """Judges a prompt before a job exists."""

    def __init__(self, audit: Audit, scorer: PromptScorer, thresholds: Mapping[str, float]) -> None:
        self._audit = audit
        self._scorer = scorer
        self._thresholds = thresholds

    async def __call__(self, request_id: UUID, prompt: str) -> Verdict:
        """Returns the recorded verdict.

        The prompt is judged on every call: nobody may have a harmless prompt passed and then use its id for another.
        """
        started = time.perf_counter()
        # Some odd prompts take a few hundred milliseconds.
        scores = await asyncio.to_thread(self._scorer, prompt)
        verdict = decide(scores, self._thresholds, self._scorer.version, _elapsed_ms(started))
        recorded = await self._audit.record_once(request_id, CheckType.PRE_GEN, verdict)
        return _counted(CheckType.PRE_GEN, recorded)


@dataclass(frozen=True)
class FrameChain:
    """Which checks frames go through."""

    sample_interval_s: float
    limits: SandboxLimits
    onnx_model: Path | None
    onnx_labels: Path | None
    onnx_version: str | None

    @property
    def version(self) -> str:
        """Version of all checks of the chain."""
        return "+".join(part for part in (_FLASHES, self.onnx_version) if part)

    def request(self, video: Path) -> FrameCheckRequest:
        """What to ask the child process."""
        model, labels = (str(path) if path else None for path in (self.onnx_model, self.onnx_labels))
        return FrameCheckRequest(
            video=str(video), sample_interval_s=self.sample_interval_s, onnx_model=model, onnx_labels=labels
        )


class CheckFrames:
    """Judges the frames of a generated video, and a picture that a video is to begin with."""

    def __init__(
        self, audit: Audit, store: ObjectStore, chain: FrameChain, thresholds: Mapping[str, float], scratch: Path
    ) -> None:
        self._audit = audit
        self._store = store
        self._chain = chain
        self._thresholds = thresholds
        self._scratch = scratch

    async def video(self, request_id: UUID, mezzanine: ObjectRef, sha256: str) -> tuple[Verdict, int]:
        """Returns the verdict and how many frames were looked at.

        Raises:
            NotFound, DataLoss: The mezzanine is missing or damaged.
            MediaFailed: It cannot be read; nothing passes that could not be looked at.
        """
        return await self._check(request_id, CheckType.POST_GEN, (mezzanine, sha256), "mezzanine.mkv")

    async def picture(self, request_id: UUID, picture: ObjectRef, sha256: str) -> Verdict:
        """Returns the verdict on a PNG; raises as `video`."""
        verdict, _ = await self._check(request_id, CheckType.PRE_GEN, (picture, sha256), "picture.png")
        return verdict

    async def _check(
        self, request_id: UUID, check_type: CheckType, stored: tuple[ObjectRef, str], name: str
    ) -> tuple[Verdict, int]:
        started = time.perf_counter()
        with TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True) as folder:
            file = Path(folder, name)
            await self._store.get_file(stored[0], file, sha256=stored[1])
            found = await run_sandboxed(_CHECK, asdict(self._chain.request(file)), self._chain.limits)
        verdict = decide(found["scores"], self._thresholds, self._chain.version, _elapsed_ms(started))
        await self._audit.record(request_id, check_type, verdict)
        return _counted(check_type, verdict), found["frames"]


def _elapsed_ms(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def _counted(check_type: CheckType, verdict: Verdict) -> Verdict:
    DECISIONS.labels(check_type.value.lower(), "passed" if verdict.passed else "refused").inc()
    return verdict
