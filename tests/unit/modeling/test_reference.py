"""The shipped weights: whole, resumable to the bit, and doing what the prompt says."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from triton_models.modeling.checkpoint import Origin, read_checkpoint, write_checkpoint
from triton_models.modeling.engine import engine_hash
from triton_models.modeling.pipeline import (
    GenerationPlan,
    decode,
    plan_generation,
    request_digest,
    sample,
    start,
)
from triton_models.modeling.reference import ReferenceConfig, ReferenceModel, load_reference
from triton_models.training.measure import find_object, motion_of
from triton_models.training.samples import Settings, generate

WEIGHTS = Path(__file__).parents[3] / "triton_models" / "weights" / "reference"
PROMPT = "a red ball bouncing on green grass"


@cache
def model() -> ReferenceModel:
    return load_reference(WEIGHTS)


def short_plan(tier: str = "REALTIME", steps: int = 4) -> GenerationPlan:
    return plan_generation(model().config, tier=tier, aspect_ratio="1:1", duration_s=1, steps=steps)


def test_the_configuration_round_trips() -> None:
    config = model().config
    assert ReferenceConfig.from_json(config.to_json()) == config
    assert {"REALTIME", "STANDARD", "CINEMA"} == set(config.tiers)


@pytest.mark.parametrize("tier", ["STANDARD", "CINEMA"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_ends_in_the_same_bits(tier: str, stop: int, tmp_path: Path) -> None:
    plan, prompt = short_plan(tier), model().text.encode(PROMPT)
    states = list(sample(model(), plan, start(plan, 3), prompt))
    digest = request_digest(plan, prompt, 3)
    path = tmp_path / "state.safetensors"
    origin = Origin(model_digest=model().digest, engine_hash=engine_hash(), request_digest=digest)
    write_checkpoint(path, states[stop - 1], origin)
    *_, resumed = sample(model(), plan, read_checkpoint(path, origin), prompt)
    assert resumed.finished
    assert torch.equal(resumed.latent, states[-1].latent)


def test_a_request_is_bound_to_its_prompt_seed_and_plan() -> None:
    plan, prompt = short_plan(), model().text.encode(PROMPT)
    digest = request_digest(plan, prompt, 3)
    assert digest == request_digest(short_plan(), model().text.encode(PROMPT), 3)
    others = (
        request_digest(plan, prompt, 4),
        request_digest(short_plan(steps=5), prompt, 3),
        request_digest(plan, model().text.encode("a blue ball"), 3),
    )
    assert len({digest, *others}) == 4


@pytest.mark.parametrize("aspect", ["16:9", "9:16", "1:1", "4:3"])
def test_clips_have_the_planned_shape(aspect: str) -> None:
    plan = plan_generation(model().config, tier="REALTIME", aspect_ratio=aspect, duration_s=1.25, steps=1)
    *_, state = sample(model(), plan, start(plan, 1), model().text.encode(PROMPT))
    chunks = list(decode(model(), plan, state.latent, chunk_frames=2))
    width, height = model().config.sizes[aspect]
    assert np.concatenate(chunks).shape == (15, height, width, 3)
    whole = np.concatenate(list(decode(model(), plan, state.latent, chunk_frames=99)))
    assert np.array_equal(np.concatenate(chunks), whole)


@pytest.mark.parametrize(
    "wrong", [{"tier": "FAST"}, {"aspect_ratio": "2:1"}, {"duration_s": 0.5}, {"duration_s": 61.0}]
)
def test_impossible_requests_are_refused(wrong: dict[str, object]) -> None:
    request = {"tier": "REALTIME", "aspect_ratio": "16:9", "duration_s": 5.0} | wrong
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        plan_generation(model().config, **request)  # type: ignore[arg-type]


def test_a_long_clip_attends_through_a_sliding_window() -> None:
    plans = [
        plan_generation(model().config, tier="REALTIME", aspect_ratio="16:9", duration_s=duration)
        for duration in (5, 10)
    ]
    assert [plan.mode.kind for plan in plans] == ["full", "sliding"]


@pytest.mark.parametrize(
    ("prompt", "colour", "motion"),
    [(PROMPT, "red", "bounce"), ("a blue square moving left", "blue", "left")],
)
def test_samples_do_what_the_prompt_says(prompt: str, colour: str, motion: str) -> None:
    """Of three seeds at least two move as told, and all show the colour throughout."""
    found = [find_object(generate(model(), prompt, seed, Settings("REALTIME")), colour) for seed in range(3)]
    assert min(sighting.seen.mean() for sighting in found) > 0.6
    assert sum(motion_of(sighting) == motion for sighting in found) >= 2
