"""Measures how well the models do what prompts say: `python -m triton_models.training.evaluate --prompts 120`.

Prompts and seeds are fixed, and no training saw them. Judges trained on rendered clips alone say what a clip shows; the
first columns are what they say of renders of the same scenes, as drawn and through the video autoencoder: the ceiling
of every other column. Shares stand with their Wilson 95 % intervals. A column that was measured is kept, and not
measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..modeling.pipeline import decode, plan_generation
from ..modeling.reference import ReferenceModel
from .contestants import Contestant, contestants
from .judges.frechet import frechet_distance
from .judges.judge import FILE, Judges, Opinion
from .judges.network import View
from .judges.questions import kind_of
from .judges.train import CLIP_S, trained, view_scene
from .latents import to_video
from .run import RUNS, WEIGHTS
from .samples import draw_sample, held_out, scenes_from, telling_caption
from .table import Goal, Row, Share, misses, table
from .talking import SpeechBench
from .world.render import render
from .world.scene import Scene

_ACCURATE = Goal(0.95)
_SEPARATE_SEED = 8 * 10**8
"""Of renders that every set of clips is compared with."""

Questions = tuple[str, ...]
_ROWS: tuple[tuple[str, str, Questions], ...] = (
    ("shape", "object", ("shape",)),
    ("colour", "object", ("colour",)),
    ("motion", "object", ("motion",)),
    ("place", "object", ("place",)),
    ("all four at once", "object", ("shape", "colour", "motion", "place")),
    ("two objects: both there", "two objects", ("kind",)),
    ("two objects: colours", "two objects", ("colour",)),
    ("two objects: shapes", "two objects", ("shape",)),
    ("landscape: place", "landscape", ("place",)),
    ("landscape: time", "landscape", ("time",)),
    ("landscape: weather", "landscape", ("weather",)),
    ("landscape: camera", "landscape", ("camera",)),
    ("face: there", "face", ("kind",)),
)
"""(what the row says, kind of the scenes that count, questions that must all be right)"""


@dataclass(frozen=True)
class Heard:
    """What was measured of the clips' sound; empty where it was left out."""

    impacts_ms: tuple[float, ...] = ()
    """How late sounds of impacts are."""
    lips_ms: tuple[float, ...] = ()
    """How late voices are against lips."""
    words: tuple[bool, ...] = ()
    """Whether each face's word was recognised."""


@dataclass(frozen=True)
class Column:
    """One set of clips, one for each scene."""

    name: str
    opinion: Opinion
    cpu_s: float | None = None
    """Of one clip: text, sampling, decoding."""
    heard: Heard = field(default_factory=Heard)


def render_at(scene: Scene, model: ReferenceModel) -> NDArray[np.uint8]:
    """Returns the scene in the size and rate that the model's autoencoder takes."""
    plan = plan_generation(model.config, tier="STANDARD", aspect_ratio="16:9", duration_s=CLIP_S)
    pixels = plan.shape.latent().pixels()
    return render(scene, pixels.frames, plan.fps, pixels.width, pixels.height)


def through_autoencoder(scene: Scene, model: ReferenceModel) -> NDArray[np.uint8]:
    """Returns the scene as the autoencoder gives it back."""
    plan = plan_generation(model.config, tier="STANDARD", aspect_ratio="16:9", duration_s=CLIP_S)
    with torch.inference_mode():
        latent = model.vae.encode(to_video(render_at(scene, model)))
    return np.concatenate(list(decode(model, plan, latent)))


def kept(facts: tuple[object, ...], make: Callable[[], Column]) -> Column:
    """Returns a column from an earlier evaluation if there was one, or makes and keeps it.

    `facts` are what it depends on, beside the judges; the first is its name.
    """
    key = hashlib.sha256(repr((*facts, file_digest(FILE))).encode()).hexdigest()[:16]
    path = RUNS / "evaluation" / f"{key}.safetensors"
    if path.exists():
        opinion, figures = Opinion.load(path)
        spent = figures["cpu_s"].item()
        heard = Heard(**{name.removeprefix("heard."): tuple(values.tolist()) for name, values in figures.items()
                         if name.startswith("heard.")})  # fmt: skip
        return Column(str(facts[0]), opinion, spent or None, heard)
    column = make()
    figures = {f"heard.{name}": torch.tensor(values) for name, values in asdict(column.heard).items()}
    column.opinion.save(path, cpu_s=torch.tensor(column.cpu_s or 0.0), **figures)
    return column


def file_digest(path: Path) -> str:
    """Returns the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_of(*networks: nn.Module) -> str:
    """Returns the sha256 of all weights of networks: another student leaves its teacher's clips as they are."""
    digest = hashlib.sha256()
    for network in networks:
        for name, tensor in network.state_dict().items():
            digest.update(name.encode() + tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def judged(name: str, judges: Judges, scenes: list[Scene], view: Callable[[Scene], View]) -> Column:
    """Returns the judges' opinion of one clip a scene."""
    return Column(name, judges.opinion(View.join([view(scene) for scene in scenes])))


def ceilings(model: ReferenceModel, judges: Judges, scenes: list[Scene]) -> list[Column]:
    """Returns what the judges say of renders, and of renders that went through the model's autoencoder."""

    def again(scene: Scene) -> View:
        return View.of(through_autoencoder(scene, model))

    return [
        kept(("renders", scenes), lambda: judged("renders", judges, scenes, view_scene)),
        kept(("autoencoder", scenes, digest_of(model.vae)), lambda: judged("autoencoder", judges, scenes, again)),
    ]


def column_of(contestant: Contestant, judges: Judges, scenes: list[Scene], sound: SpeechBench | None) -> Column:
    """Returns what is measured of a model."""
    dit = contestant.model.transformer(student=contestant.model.config.tiers[contestant.settings.tier].student)
    networks = digest_of(contestant.model.text, dit, contestant.model.vae)
    facts = (contestant.name, networks, contestant.settings, scenes, sound and sound.digest)
    return kept(facts, lambda: measured(contestant, judges, scenes, sound))


def measured(contestant: Contestant, judges: Judges, scenes: list[Scene], sound: SpeechBench | None) -> Column:
    """Generates a clip for each scene's caption and judges them."""
    views, impacts, talks, spent = [], [], [], 0.0
    for scene in scenes:
        begun, text = time.process_time(), telling_caption(scene)
        made = draw_sample(contestant.model, text, scene.seed, contestant.settings)
        spent += time.process_time() - begun
        views.append(View.of(made.frames))
        if sound is not None:
            impacts += sound.sound.offsets_ms(scene, text, made)
            talks.append(sound.talk(scene, text, made))
    said = [talk for talk in talks if talk is not None]
    words = sound.understood(said) if sound is not None else []
    heard = Heard(tuple(impacts), tuple(talk.lips_ms for talk in said), tuple(words))
    return Column(contestant.name, judges.opinion(View.join(views)), spent / len(scenes), heard)


def rows_of(columns: list[Column], scenes: list[Scene], others: Opinion) -> list[Row]:
    """Returns every measure of every column; `others` are renders of other scenes."""
    rows = [
        Row(name, tuple(_share(column.opinion, scenes, kind, questions) for column in columns), _ACCURATE)
        for name, kind, questions in _ROWS
    ]
    apart = tuple(frechet_distance(column.opinion.features, others.features) for column in columns)
    heard = [column.heard for column in columns]
    return [
        *rows,
        Row("Frechet distance to other renders", apart),
        Row("impacts heard: median offset, ms", tuple(_middle(one.impacts_ms) for one in heard), Goal(50, most=True)),
        Row("impacts heard within 50 ms", tuple(_within(one.impacts_ms, 50) for one in heard), _ACCURATE),
        Row("voice and lips: median offset, ms", tuple(_middle(one.lips_ms) for one in heard), Goal(120, most=True)),
        Row("voice and lips within 120 ms", tuple(_within(one.lips_ms, 120) for one in heard), _ACCURATE),
        Row("words recognised", tuple(Share.of(one.words) if one.words else None for one in heard), _ACCURATE),
        Row("CPU s a clip", tuple(column.cpu_s for column in columns)),
    ]


def _middle(offsets_ms: tuple[float, ...]) -> float | None:
    return float(np.median(np.abs(offsets_ms))) if offsets_ms else None


def _within(offsets_ms: tuple[float, ...], limit_ms: float) -> Share | None:
    return Share.of(abs(offset) <= limit_ms for offset in offsets_ms) if offsets_ms else None


def _share(opinion: Opinion, scenes: list[Scene], kind: str, questions: Questions) -> Share:
    return Share.of(
        all(opinion.right(index, scene, question) for question in questions)
        for index, scene in enumerate(scenes)
        if kind_of(scene) == kind
    )


def against_teacher(columns: list[Column], rows: list[Row]) -> list[str]:
    """Returns, for each other model, the mean share over the rows of shares, relative to the teacher's."""
    names = [column.name for column in columns]
    shares = [[cell.value for cell in row.cells if isinstance(cell, Share)] for row in rows]
    means = dict(zip(names, np.mean([row for row in shares if len(row) == len(names)], 0), strict=True))
    others = [name for name in names if name not in {"renders", "autoencoder", "teacher"}]
    if "teacher" not in means:
        return []
    return [f"{name}: {means[name] / means['teacher']:.1%} of the teacher's mean share" for name in others]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=120)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--student", type=Path, help="a student other than the one in the model directory")
    parser.add_argument("--only", nargs="+", help="columns to measure")
    parser.add_argument("--silent", action="store_true", help="leave out what has to do with sound")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    judges, begun = trained(), time.monotonic()
    scenes = held_out(chosen.prompts)
    models = [one for one in contestants(chosen.weights, chosen.student) if not chosen.only or one.name in chosen.only]
    sound = None if chosen.silent else SpeechBench.load(chosen.weights)
    separate = scenes_from(_SEPARATE_SEED, chosen.prompts)
    others = kept(("others", separate), lambda: judged("others", judges, separate, view_scene)).opinion
    columns = ceilings(models[0].model, judges, scenes)
    for model in models:
        columns.append(column_of(model, judges, scenes, sound))
        print(f"{model.name} after {time.monotonic() - begun:.0f} s", flush=True)
    rows = rows_of(columns, scenes, others)
    names = tuple(column.name for column in columns)
    print(table(names, rows))
    print("\n".join([*against_teacher(columns, rows), *misses(names, rows, names[2:])]))
    print(
        f"{len(scenes)} prompts, {time.monotonic() - begun:.0f} s, {platform.machine()}, {chosen.threads} CPU threads"
    )


if __name__ == "__main__":
    main()
