"""Trains the video transformer on precomputed latents by flow matching.

Run as `python -m triton_models.training.dit --minutes 60`. The learning rate follows the clock rather than the step
count, so a run ends well in the time it is given, however busy the machine; a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn

from ..modeling.attention import TemporalMode
from ..modeling.dit import Text, VideoDiT
from ..modeling.reference import DIT_FILE, TEXT_FILE, ReferenceConfig, load_config, load_reference, save_weights
from ..modeling.text import TextEncoder, collate, tokenize
from .latents import BUCKETS, load_bucket
from .run import RUNS, WEIGHTS, Run
from .samples import Settings, generate, held_out
from .sheet import save_curve, save_sheet
from .world.grammar import caption, sample_scene
from .world.scene import Scene

LEARNING_RATE = 2e-3
_WARMUP_STEPS = 150
_TEXT_DROPOUT = 0.1
BATCH_TOKENS = 2700
"""Tokens of one batch: 96 pictures, 16 clips of two seconds, or 6 of five."""
_SAVE_EVERY_S = 240
_LENGTHS = (1, 2, 6, 10, 16)
"""Latent frames of a batch's clips."""
_LENGTH_SHARES = ((0.25, 0.15, 0.3, 0.1, 0.2), (0.05, 0.05, 0.2, 0.1, 0.6))
"""Of batches, when the run begins and when it ends: pictures teach words and shapes cheaply, long clips motion."""
_FIRST_FRAME_SHARE = 0.25
"""Of clips: those whose first frame is given."""
_CAUSAL_SHARE = 0.1
"""Of batches of clips: those that see the past alone, in chunks each with a noise level of its own."""
_GIVEN_CHUNK_SHARE = 0.3
"""Of the chunks of those."""


def emphasis(scene: Scene) -> float:
    """Returns how often a scene is drawn: what bounces or crosses the frame is learned last, plain views first."""
    if not scene.actors:
        return 1.0 if scene.face is not None else 0.7
    return max({"bounce": 2.0, "left": 1.5, "right": 1.5}.get(actor.motion, 1.0) for actor in scene.actors)


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


class Clips:
    """The training clips of all buckets, and batches of one bucket at a time."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self.buckets = [load_bucket(bucket) for bucket in BUCKETS if bucket.path.exists()]
        self.chances = [_normalised(np.array([emphasis(sample_scene(s)) for s in seeds])) for _, seeds in self.buckets]
        self.frames = np.array([latents.shape[1] for latents, _ in self.buckets])
        self.shares = np.array([latents.shape[0] for latents, _ in self.buckets], float)

    def batch(self, draw: int, longest: int, tokens: int = BATCH_TOKENS) -> tuple[Tensor, Text]:
        """Returns latents [B, F, H, W, C] and their captions, freshly worded; the same for the same arguments.

        Clips are cut to `longest` latent frames (the VAE is causal, so the start of a clip is a clip), and there are
        as many as make up about `tokens`.
        """
        rng = np.random.default_rng((draw, 6))
        bucket = rng.choice(len(self.buckets), p=_normalised(np.where(self.frames >= longest, self.shares, 0)))
        latents, seeds = self.buckets[bucket]
        latents = latents[:, :longest]
        frames, height, width, _ = latents.shape[1:]
        size = max(1, tokens // (frames * height * width // 4))
        picked = rng.choice(len(seeds), size, p=self.chances[bucket])
        texts = [caption(sample_scene(seeds[index]), int(rng.integers(2**31))) for index in picked]
        with torch.no_grad():
            embeddings, mask = self.encoder(collate([tokenize(text, self.encoder.config) for text in texts]))
        return latents[picked].float(), Text(embeddings, mask)


def training_noise_level(size: int, generator: torch.Generator) -> Tensor:
    """Returns [size] noise levels, mostly high: sigmoid(1.4 + 1.2 n). Layout and motion are decided above 0.7."""
    return torch.sigmoid(1.4 + 1.2 * torch.randn(size, generator=generator))


def told_or_not(dit: VideoDiT, text: Text, generator: torch.Generator) -> Text:
    """Returns the text with a tenth of the captions replaced by the null text, for guidance."""
    size, tokens = text.mask_BK.shape
    null = dit.null_text(size, tokens)
    drop = torch.rand(size, generator=generator) < _TEXT_DROPOUT
    return Text(
        torch.where(drop[:, None, None], null.embeddings_BKD, text.embeddings_BKD),
        torch.where(drop[:, None], null.mask_BK, text.mask_BK),
    )


def frame_noise_levels(size: int, frames: int, mode: TemporalMode, generator: torch.Generator) -> Tensor:
    """Returns noise levels [size, frames], 0 for frames that are given.

    In full attention a clip has one level, and in a quarter of the clips the first frame is given. In causal attention
    each chunk has its own, and three in ten are given: what a stream sees of its past.
    """
    if frames == 1:
        return training_noise_level(size, generator)[:, None]
    if mode.kind == "full":
        levels = training_noise_level(size, generator)[:, None].repeat(1, frames)
        levels[:, 0] *= torch.rand(size, generator=generator) >= _FIRST_FRAME_SHARE
        return levels
    chunks = -(-frames // mode.chunk)
    levels = training_noise_level(size * chunks, generator).view(size, chunks)
    given = torch.rand(size, chunks, generator=generator) < _GIVEN_CHUNK_SHARE
    given[:, -1] = False
    return levels.masked_fill(given, 0).repeat_interleave(mode.chunk, 1)[:, :frames]


def flow_loss(dit: VideoDiT, data: Tensor, text: Text, mode: TemporalMode, generator: torch.Generator) -> Tensor:
    """Returns the mean squared error of the velocity over all frames that are not given."""
    t_BF = frame_noise_levels(len(data), data.shape[1], mode, generator)
    noise = torch.randn(data.shape, generator=generator)
    mixed = torch.lerp(data, noise, t_BF[..., None, None, None])
    velocity = dit(mixed, t_BF, told_or_not(dit, text, generator), mode)
    errors_BF = (velocity - (noise - data)).square().mean((2, 3, 4))
    made_BF = t_BF > 0
    loss: Tensor = (errors_BF * made_BF).sum() / made_BF.sum()
    return loss


def clip_length(draw: int, share: float) -> int:
    """Returns the latent frames of a batch's clips, when a share (0 to 1) of the time has passed."""
    begin, end = np.array(_LENGTH_SHARES)
    return int(np.random.default_rng((draw, 8)).choice(_LENGTHS, p=begin + (end - begin) * share))


def batch_mode(draw: int, config: ReferenceConfig) -> TemporalMode:
    """Returns how the frames of a batch see each other."""
    causal = np.random.default_rng((draw, 9)).random() < _CAUSAL_SHARE
    return config.stream_mode() if causal else TemporalMode()


def learning_rate(step: int, share: float, peak: float = LEARNING_RATE) -> float:
    """Warms up by steps, stays, and falls to zero over the last two fifths of the time; `share` (0 to 1) has passed."""
    return peak * min(1.0, (step + 1) / _WARMUP_STEPS, (1 - share) / 0.4)


def optimisers(dit: VideoDiT) -> tuple[torch.optim.Muon, torch.optim.AdamW]:
    """Returns Muon, scaled to AdamW's step size, for the matrices of the blocks, and AdamW for all else."""
    hidden = [p for name, p in dit.blocks.named_parameters() if p.ndim == 2 and "table" not in name]
    chosen = {id(parameter) for parameter in hidden}
    others = [parameter for parameter in dit.parameters() if id(parameter) not in chosen]
    return (
        torch.optim.Muon(hidden, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    )


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, step: int) -> None:
    """Moves the exponential average of the weights towards the network's."""
    decay = min(0.998, (1 + step) / (10 + step))
    for mean, parameter in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(parameter, 1 - decay)


def load_text(config: ReferenceConfig) -> TextEncoder:
    """Returns the trained text encoder, frozen."""
    encoder = TextEncoder(config.text)
    encoder.load_state_dict(load_file(WEIGHTS / TEXT_FILE))
    return encoder.eval().requires_grad_(requires_grad=False)


class Team:
    """Processes that train one network together: each takes its own batch, and they average their gradients.

    Two processes of one thread use two busy cores far better than one process of two threads, which wait for each
    other in every operation.
    """

    def __init__(self, rank: int, workers: int, meeting: Path) -> None:
        self.rank, self.workers = rank, workers
        if workers > 1:
            distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=workers)

    def agree(self, value: float) -> float:
        """Returns the first process's value."""
        told = torch.tensor(value, dtype=torch.float64)
        if self.workers > 1:
            distributed.broadcast(told, 0)
        return float(told)

    def average(self, network: nn.Module) -> None:
        """Replaces every gradient by the mean over the processes."""
        if self.workers == 1:
            return
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient) / self.workers)


@dataclass(frozen=True)
class Order:
    """What a run is to do."""

    minutes: float
    """Wall clock, all sittings together."""
    name: str
    workers: int
    learning_rate: float
    start: Path | None
    """Weights to begin with; None for random ones."""


def train(rank: int, order: Order, meeting: Path) -> None:
    """Trains until the order's time has passed; the first process saves the run and its weights."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    workers, team = order.workers, Team(rank, order.workers, meeting)
    config = load_config(WEIGHTS)
    clips = Clips(load_text(config))
    dit = VideoDiT(config.dit)
    if order.start is not None:
        dit.load_state_dict(load_file(order.start))
    average = copy.deepcopy(dit)
    muon, adam = optimisers(dit)
    parts = {"dit": dit, "average": average, "muon": muon, "adam": adam}
    run = Run.open(order.name, parts)
    for block in dit.blocks:
        # One graph serves all blocks and lengths; in bfloat16 it is twice as fast as float32 without it.
        block.compile(dynamic=True)
    saved_at = run.elapsed_s
    while (share := team.agree(run.elapsed_s / (order.minutes * 60))) < 1:
        for group in (*muon.param_groups, *adam.param_groups):
            group["lr"] = learning_rate(run.step, share, order.learning_rate)
        draw = run.step * workers + rank
        latents, text = clips.batch(draw, clip_length(draw, share), BATCH_TOKENS // workers)
        with torch.autocast("cpu", torch.bfloat16):
            loss = flow_loss(dit, latents, text, batch_mode(draw, config), torch.Generator().manual_seed(draw))
        _descend(dit, loss, (muon, adam), team)
        follow(average, dit, run.step)
        run.record(loss.item(), every=50 if rank == 0 else 10**9)
        if rank == 0 and run.elapsed_s - saved_at > _SAVE_EVERY_S:
            _publish(run, parts)
            saved_at = run.elapsed_s
    if rank == 0:
        _publish(run, parts)
        print(run.cost())


def _descend(dit: VideoDiT, loss: Tensor, steps: tuple[torch.optim.Muon, torch.optim.AdamW], team: Team) -> None:
    muon, adam = steps
    dit.zero_grad()
    torch.autograd.backward(loss)
    team.average(dit)
    nn.utils.clip_grad_norm_(dit.parameters(), 1.0)
    muon.step()  # type: ignore[no-untyped-call]
    adam.step()


def _publish(run: Run, parts: dict[str, object]) -> None:
    run.save(parts)
    average = parts["average"]
    if isinstance(average, VideoDiT):
        save_weights(average, RUNS / DIT_FILE)
        draw(average, RUNS / "dit.png")
    save_curve(run.losses, RUNS / "dit_loss.png")


def draw(dit: VideoDiT, path: Path) -> None:
    """Writes a sheet of what a transformer makes of a few unseen scenes: quick, so in fewer steps than are shipped."""
    model = replace(load_reference(WEIGHTS), dit=copy.deepcopy(dit).eval())
    settings = Settings("STANDARD", duration_s=2.0, steps=10)
    save_sheet([generate(model, caption(scene, scene.seed), scene.seed, settings) for scene in held_out(8)], path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--name", default="dit")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help="less for weights that know much")
    parser.add_argument("--from-weights", type=Path, help="begin with these weights, not from nothing")
    given = parser.parse_args()
    order = Order(given.minutes, given.name, given.workers, given.learning_rate, given.from_weights)
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        spawn(train, (order, meeting), nprocs=order.workers)  # type: ignore[no-untyped-call]
