"""Prints what a clip costs, stage by stage, and what each part of TurboDiffusion takes off it.

Run as `python -m triton_models.benchmarks.models`. Times are medians after a warm-up, with the model loaded; a total is
the step times the number of steps. Memory is that of fresh processes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..modeling.dit import DiTConfig
from ..modeling.reference import STUDENT_FILE, ReferenceModel, load_reference
from ..modeling.turbo.sparse_linear import SparseLinearConfig
from ..modeling.turbo.student import with_student
from .attention import Duel, attentions, linears
from .machine import matmul_rate
from .memory import decode_memory
from .sound import audio_s
from .source import CLIP, PUBLISHED_S, source_cost
from .video import Cost, StageTimes, clip_of, costs_of, stage_times, variants

_WEIGHTS = Path(__file__).parents[1] / "weights" / "reference"
_MEMORY_LENGTHS_S = (5.0, 20.0, 60.0)
_ATTENTION_LENGTHS = (1024, 2048, 4096, 8192)
_LINEAR_SIZES = ((448, 128, 512), (2160, 384, 1536), (1024, 1024, 4096))


def print_variants(costs: list[Cost], stages: StageTimes, sound_s: float | None, rate: float) -> None:
    """Prints one row a variant; factors are against the first."""
    shared_s = stages.text_s + stages.decode_s + stages.enlarge_s + (sound_s or 0.0)
    base = costs[0].total_s
    print(
        f"{'transformer':28}{'steps':>6}{'ms/step':>10}{'total s':>9}{'factor':>8}{'end to end':>12}{'of matmul':>11}"
    )
    for cost in costs:
        whole = (base + shared_s) / (cost.total_s + shared_s)
        share = cost.step_flops / cost.step_s / rate
        print(
            f"{cost.name:28}{cost.steps:6}{cost.step_s * 1e3:10.1f}{cost.total_s:9.2f}"
            f"{base / cost.total_s:7.2f}x{whole:11.2f}x{share:11.1%}"
        )


def print_stages(stages: StageTimes, sound_s: float | None) -> None:
    """Prints the stages that every variant shares."""
    sound = "no weights" if sound_s is None else f"{sound_s * 1e3:.0f} ms"
    picture = f"decode {stages.decode_s * 1e3:.0f} ms, enlarge {stages.enlarge_s * 1e3:.0f} ms"
    print(f"text {stages.text_s * 1e3:.1f} ms, {picture}, audio {sound}")


def print_duels(title: str, duels: list[Duel]) -> None:
    """Prints one row a size."""
    print(f"\n{title}")
    for size, before, after in duels:
        print(f"  {size:24}{before:10.2f} ms -> {after:8.2f} ms {before / after:7.2f}x")


def print_memory(weights: Path) -> None:
    """Prints the peak of decoding by length."""
    print("\nmemory of decoding, MiB: loaded, peak")
    for duration_s in _MEMORY_LENGTHS_S:
        loaded, peak = decode_memory(weights, duration_s)
        print(f"  {duration_s:4.0f} s {loaded:8.0f} {peak:8.0f}   (+{peak - loaded:.0f})", flush=True)


def print_source(repeats: int) -> None:
    """Prints the transformer at full size, if a GPU is here."""
    if not torch.cuda.is_available():
        print("\nsource configuration: not measured, no GPU here")
        return
    cost = source_cost(DiTConfig.source(), CLIP, "cuda", torch.bfloat16, repeats)
    share = cost.student_step_flops / cost.student_step_s / matmul_rate(torch.bfloat16, "cuda")
    print(f"\nsource configuration, {cost.parameters / 1e9:.1f} G parameters, {CLIP}, {torch.cuda.get_device_name()}")
    print(f"  50 guided steps {cost.baseline_s:.1f} s; 4 plain steps {cost.student_s:.2f} s (design: {PUBLISHED_S} s)")
    print(f"  {cost.baseline_s / cost.student_s:.1f}x, {share:.0%} of the measured matrix-multiply rate")


def measure_clip(model: ReferenceModel, weights: Path, duration_s: float, repeats: int) -> None:
    """Prints stages and variants of one clip."""
    trained = (weights / STUDENT_FILE).exists()
    student = with_student(model, weights / STUDENT_FILE).transformer(student=True) if trained else model.dit
    clip, sparse = clip_of(model, duration_s), SparseLinearConfig()
    dtype = torch.bfloat16 if model.config.precision == "bfloat16" else torch.float32
    rate = matmul_rate(dtype)
    grid = clip.plan.shape.latent().tokens()
    print(f"{clip.plan.shape} at {clip.plan.fps} fps: {grid.frames} frames of {grid.rows * grid.columns} tokens")
    print(f"{torch.get_num_threads()} CPU threads, {dtype}: {rate / 1e9:.0f} GFLOP/s in a large matrix product")
    print(f"student: {STUDENT_FILE if trained else 'none shipped; its time is that of the same network in 4 steps'}\n")
    costs = costs_of(model, variants(model, student, clip, sparse), clip, repeats)
    stages, sound_s = stage_times(model, clip, max(1, repeats // 3)), audio_s(weights, clip, max(1, repeats // 3))
    print_stages(stages, sound_s)
    print_variants(costs, stages, sound_s, rate)
    if grid.rows * grid.columns < sparse.dense_below:
        print(f"frames below {sparse.dense_below} tokens stay dense: sparse attention would slow them down")


def main() -> None:
    """Reads the command line and prints every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=_WEIGHTS)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the clip")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    measure_clip(load_reference(arguments.weights), arguments.weights, arguments.seconds, arguments.repeats)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    repeats = max(1, arguments.repeats // 3)
    config = SparseLinearConfig(dense_below=0)
    print_duels(
        f"full attention -> sparse-linear, {config.keep_ratio:.0%} of blocks kept, {device}",
        list(attentions(_ATTENTION_LENGTHS, config, repeats, device)),
    )
    print_duels(f"bfloat16 linear -> W8A8, {device}", list(linears(_LINEAR_SIZES, repeats, device)))
    print_memory(arguments.weights)
    print_source(repeats)


if __name__ == "__main__":
    main()
