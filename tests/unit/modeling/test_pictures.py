"""Clips that begin with a picture, from another clip, or as a stream, with the shipped weights."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from triton_models.modeling.checkpoint import Origin, read_checkpoint, write_checkpoint
from triton_models.modeling.engine import engine_hash
from triton_models.modeling.flow import noised_state, shifted_schedule
from triton_models.modeling.pipeline import (
    GenerationPlan,
    decode_chunks,
    encode_clip,
    encode_picture,
    plan_generation,
    request_digest,
    restart,
    sample,
    start,
    stream,
)
from triton_models.modeling.reference import ReferenceModel, load_reference

WEIGHTS = Path(__file__).parents[3] / "triton_models" / "weights" / "reference"
PROMPT = "a red ball bouncing on green grass"


@cache
def model() -> ReferenceModel:
    return load_reference(WEIGHTS)


def short_plan(held: int = 0, duration_s: float = 1.0) -> GenerationPlan:
    plan = plan_generation(
        model().config, tier="STANDARD", aspect_ratio="4:3", duration_s=duration_s, steps=3, guidance=2.0
    )
    return replace(plan, held_frames=held)


def picture(height: int = 90, width: int = 200) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_of_any_size_becomes_the_first_frame_to_the_bit() -> None:
    plan, prompt = short_plan(held=1), model().text.encode(PROMPT)
    first = encode_picture(model(), plan, picture())
    assert first.shape == (1, 1, *plan.shape.latent()[1:])
    *_, state = sample(model(), plan, start(plan, 3, first), prompt)
    assert torch.equal(state.latent[:, :1], first)
    assert state.latent[:, 1:].isfinite().all()


def test_a_resumed_clip_with_a_picture_ends_in_the_same_bits(tmp_path: Path) -> None:
    plan, prompt = short_plan(held=1), model().text.encode(PROMPT)
    first = encode_picture(model(), plan, picture())
    states = list(sample(model(), plan, start(plan, 3, first), prompt))
    digest = request_digest(plan, prompt, 3, first)
    origin = Origin(model_digest=model().digest, engine_hash=engine_hash(), request_digest=digest)
    write_checkpoint(tmp_path / "state.safetensors", states[0], origin)
    again = read_checkpoint(tmp_path / "state.safetensors", origin)
    *_, resumed = sample(model(), plan, again, prompt)
    assert torch.equal(resumed.latent, states[-1].latent)


def test_the_picture_is_part_of_the_request() -> None:
    plan, prompt = short_plan(held=1), model().text.encode(PROMPT)
    first = encode_picture(model(), plan, picture())
    digests = {
        request_digest(plan, prompt, 3, first),
        request_digest(plan, prompt, 3, first + 1),
        request_digest(short_plan(), prompt, 3),
    }
    assert len(digests) == 3


def test_a_picture_and_its_plan_belong_together() -> None:
    first = encode_picture(model(), short_plan(), picture())
    with pytest.raises(ValueError, match="holds 0 frames, 1 are given"):
        start(short_plan(), 3, first)
    with pytest.raises(ValueError, match="holds 1 frames, 0 are given"):
        start(short_plan(held=1), 3)


def test_a_clip_is_encoded_whole_and_padded() -> None:
    plan = short_plan()
    frames = np.repeat(picture(72, 96)[None], plan.shape.frames, 0)
    latent = encode_clip(model(), plan, frames)
    assert tuple(latent.shape[1:]) == plan.shape.latent()
    torch.testing.assert_close(latent[:, 1], latent[:, -1])


def test_a_clip_made_from_a_clip_keeps_more_at_low_strength() -> None:
    plan, prompt = short_plan(), model().text.encode(PROMPT)
    source = encode_clip(model(), plan, np.repeat(picture(72, 96)[None], plan.shape.frames, 0))
    weak, strong = (restart(plan, 3, source, strength) for strength in (0.3, 1.0))
    assert weak.timesteps == pytest.approx((0.3, 0))
    assert strong.timesteps == pytest.approx(plan.timesteps)
    assert torch.equal(strong.latent, start(plan, 3).latent)
    *_, made = sample(model(), plan, weak, prompt)
    *_, anew = sample(model(), plan, strong, prompt)
    assert (made.latent - source).square().mean() < (anew.latent - source).square().mean()
    for strength, steps in ((0, 1), (1.1, 1), (0.5, 0)):
        with pytest.raises(ValueError, match="strength"):
            restart(plan, 3, source, strength, steps=steps)


def test_the_rest_of_a_schedule_is_spaced_as_the_schedule() -> None:
    levels = noised_state(torch.zeros(1, 1, 1, 1, 16), 0.8, 0, shifted_schedule(6, 4.0), "euler", 3).timesteps
    assert levels == pytest.approx(shifted_schedule(6, 4.0)[3:])


def test_a_stream_is_the_planned_clip_chunk_by_chunk() -> None:
    plan = short_plan(duration_s=2.5)
    chunks = list(stream(model(), plan, 3, model().text.encode(PROMPT)))
    assert [chunk.shape[1] for chunk in chunks] == [4, 4, 1]
    again = stream(model(), plan, 3, model().text.encode(PROMPT))
    assert all(torch.equal(one, other) for one, other in zip(chunks, again, strict=True))
    frames = list(decode_chunks(model(), plan, iter(chunks)))
    assert sum(map(len, frames)) == plan.shape.frames
