"""Local files: what a job needs while it is here, and checkpoints, which may outlive its stay."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JobFiles:
    """Files of one assignment."""

    directory: Path
    checkpoints: Path

    @property
    def embeddings(self) -> Path:
        """Embeddings of the prompt."""
        return self.directory / "embeddings.safetensors"

    @property
    def first_frame(self) -> Path:
        """The picture that the clip begins with."""
        return self.directory / "first-frame.safetensors"

    @property
    def reference(self) -> Path:
        """Frames of the video that the clip is made after."""
        return self.directory / "reference.safetensors"

    @property
    def resume(self) -> Path:
        """A checkpoint fetched from the object store; its manifest lies beside it."""
        return self.directory / "resume.safetensors"

    @property
    def stop(self) -> Path:
        """Its appearance tells the `dit` model to stop at the next step."""
        return self.directory / "stop"

    @property
    def latents(self) -> Path:
        """The final latents."""
        return self.directory / "latents.safetensors"

    @property
    def chunks(self) -> Path:
        """Decoded frames on their way into the mezzanine."""
        return self.directory / "chunks"

    @property
    def mezzanine(self) -> Path:
        """The lossless video."""
        return self.directory / "mezzanine.mkv"

    @property
    def result(self) -> Path:
        """A video as its provider sent it."""
        return self.directory / "result"

    @property
    def sound(self) -> Path:
        """The sound."""
        return self.directory / "sound.wav"


class Scratch:
    """The directory shared with Triton."""

    def __init__(self, root: Path, checkpoint_retention_s: float) -> None:
        self._jobs = root / "jobs"
        self._checkpoints = root / "checkpoints"
        self._retention_s = checkpoint_retention_s

    def prepare(self) -> None:
        """Makes the directories and removes what jobs of an earlier process left; checkpoints are still good."""
        shutil.rmtree(self._jobs, ignore_errors=True)
        for directory in (self._jobs, self._checkpoints):
            directory.mkdir(parents=True, exist_ok=True)

    def open(self, request_id: str, epoch: int) -> JobFiles:
        """Returns the files of an assignment. Ids come from the orchestrator's rows, never from a client."""
        files = JobFiles(self._jobs / f"{request_id}.{epoch}", self._checkpoints / request_id / str(epoch))
        files.directory.mkdir(parents=True, exist_ok=True)
        return files

    def close(self, files: JobFiles) -> None:
        """Removes the files of an assignment, except its checkpoints."""
        shutil.rmtree(files.directory, ignore_errors=True)

    @contextmanager
    def held(self, request_id: str, epoch: int) -> Iterator[JobFiles]:
        """Opens the files of an assignment, and closes them at the block's end."""
        files = self.open(request_id, epoch)
        try:
            yield files
        finally:
            self.close(files)

    def owns(self, path: Path) -> bool:
        """Whether a path may be a checkpoint written here."""
        return path.resolve().is_relative_to(self._checkpoints.resolve())

    def jobs_with_checkpoints(self) -> list[str]:
        """Ids of the jobs that have some here."""
        return [directory.name for directory in self._checkpoints.iterdir()]

    def forget(self, request_id: str) -> None:
        """Removes a job's checkpoints."""
        shutil.rmtree(self._checkpoints / request_id, ignore_errors=True)

    def sweep(self) -> None:
        """Removes checkpoints past their retention."""
        oldest = time.time() - self._retention_s
        for directory in self._checkpoints.glob("*/*"):
            if directory.stat().st_mtime < oldest:
                shutil.rmtree(directory, ignore_errors=True)
        for job in self._checkpoints.glob("*"):
            if not any(job.iterdir()):
                job.rmdir()
