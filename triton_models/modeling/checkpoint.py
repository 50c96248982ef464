"""Sampler states on disk: a safetensors file and a JSON manifest, both written whole or not at all.

Checkpoints travel through object storage to other machines, so they hold no pickled code, carry their digest, and
refuse to be resumed by another model or for another request.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from .flow import SamplerState

_FORMAT = 2


class CheckpointError(Exception):
    """A checkpoint that is damaged, or belongs to another model, engine or request."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What made a checkpoint; only the same may resume it, or the frames would not be those of an undisturbed run."""

    model_digest: str
    engine_hash: str
    """Of the software and hardware that computes, see `engine_hash`."""
    request_digest: str
    """Of the caller's request."""


@dataclass(frozen=True, kw_only=True)
class CheckpointManifest:
    """What a checkpoint holds; the low-level design's VideoJobCheckpoint takes its fields from here."""

    format: int
    step_number: int
    total_steps: int
    timesteps: tuple[float, ...]
    """The whole schedule; what remains is `timesteps[step_number:]`."""
    sigma_current: float
    solver: str
    rng_algorithm: str
    rng_seed: int
    """With the algorithm, the whole state of the noise: it is counter-based."""
    latent_shape: tuple[int, ...]
    latent_dtype: str
    model_digest: str
    engine_hash: str
    request_digest: str
    sha256: str
    size_bytes: int


def write_checkpoint(path: Path, state: SamplerState, origin: Origin) -> CheckpointManifest:
    """Writes `path` (.safetensors) and beside it its manifest (.json), each atomically; the manifest comes last.

    Raises:
        OSError: the disk does not take it; nothing is left of it.
    """
    tensors = {"latent": state.latent, **state.carried}
    blob = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    manifest = CheckpointManifest(
        format=_FORMAT,
        step_number=state.step,
        total_steps=state.total_steps,
        timesteps=state.timesteps,
        sigma_current=state.sigma,
        solver=state.solver,
        rng_algorithm="philox4x64",
        rng_seed=state.seed,
        latent_shape=tuple(state.latent.shape),
        latent_dtype=str(state.latent.dtype).removeprefix("torch."),
        **asdict(origin),
        sha256=hashlib.sha256(blob).hexdigest(),
        size_bytes=len(blob),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, blob)
    write_atomically(manifest_path(path), json.dumps(asdict(manifest), indent=1).encode())
    return manifest


def read_checkpoint(path: Path, origin: Origin) -> SamplerState:
    """Returns the state written at `path`, bit for bit.

    Raises:
        CheckpointError: the file is missing, damaged, or not of this origin.
    """
    manifest = _read_manifest(manifest_path(path))
    for name, wanted in asdict(origin).items():
        if (found := getattr(manifest, name)) != wanted:
            raise CheckpointError(f"{path.name} belongs to another {name.partition('_')[0]}: {found} is not {wanted}")
    try:
        blob = path.read_bytes()
        if hashlib.sha256(blob).hexdigest() != manifest.sha256:
            raise CheckpointError(f"{path.name} is damaged: its sha256 is not the manifest's")
        carried = load(blob)
        latent = carried.pop("latent")
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
    if tuple(latent.shape) != manifest.latent_shape:
        raise CheckpointError(f"{path.name} holds {tuple(latent.shape)}, its manifest says {manifest.latent_shape}")
    schedule = manifest.step_number, manifest.timesteps, manifest.solver
    return SamplerState(latent, *schedule, manifest.rng_seed, carried)


def manifest_path(path: Path) -> Path:
    """Returns where the manifest of the checkpoint at `path` lies."""
    return path.with_suffix(".json")


def _read_manifest(path: Path) -> CheckpointManifest:
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        fields["timesteps"] = tuple(fields["timesteps"])
        fields["latent_shape"] = tuple(fields["latent_shape"])
        manifest = CheckpointManifest(**fields)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path.name} is no checkpoint manifest: {error}") from error
    if manifest.format != _FORMAT:
        raise CheckpointError(f"{path.name} has format {manifest.format}, not {_FORMAT}")
    return manifest


def write_atomically(path: Path, blob: bytes) -> None:
    """Writes a file so that a crash leaves the old one or the new one, never a part."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
