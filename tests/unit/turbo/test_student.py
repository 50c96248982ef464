"""A tier whose defaults are those of a distilled student samples with it, and only where nothing else is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.weights import write_random_weights
from triton_models.modeling.dit import VideoDiT
from triton_models.modeling.pipeline import GenerationPlan, plan_generation, request_digest, sample, start
from triton_models.modeling.reference import STUDENT_FILE, ReferenceModel, load_reference, save_config, save_weights
from triton_models.modeling.turbo.student import student_tier


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights")
    config = write_random_weights(directory)
    save_weights(VideoDiT(config.dit), directory / STUDENT_FILE)
    save_config(replace(config, tiers=config.tiers | {"REALTIME": student_tier(4.0)}), directory)
    return directory


@pytest.fixture(scope="module")
def model(weights: Path) -> ReferenceModel:
    return load_reference(weights)


def plan_of(model: ReferenceModel, tier: str, guidance: float | None = None) -> GenerationPlan:
    return plan_generation(model.config, tier=tier, aspect_ratio="1:1", duration_s=1.0, steps=4, guidance=guidance)


@pytest.mark.parametrize(
    ("tier", "guidance", "student"),
    [("REALTIME", None, True), ("REALTIME", 1.0, True), ("REALTIME", 3.0, False), ("STANDARD", 1.0, False)],
)
def test_the_student_samples_where_guidance_is_off(
    model: ReferenceModel, tier: str, guidance: float | None, student: bool
) -> None:
    plan = plan_of(model, tier, guidance)
    assert plan.student == student
    ran = []
    handles = [
        network.register_forward_pre_hook(lambda module, _: ran.append(module))
        for network in (model.dit, model.transformer(student=True))
    ]
    *_, last = sample(model, plan, start(plan, 0), model.text.encode("a red ball"))
    for handle in handles:
        handle.remove()
    assert last.finished
    assert ran == [model.transformer(student=student)] * 4


def test_a_checkpoint_of_the_student_is_not_one_of_the_teacher(model: ReferenceModel, weights: Path) -> None:
    prompt = model.text.encode("a red ball")
    plans = plan_of(model, "REALTIME"), plan_of(model, "STANDARD", 1.0)
    assert len({request_digest(plan, prompt, 0) for plan in plans}) == 2
    before = (weights / STUDENT_FILE).read_bytes()
    try:
        save_weights(VideoDiT(model.config.dit), weights / STUDENT_FILE)
        assert load_reference(weights).digest != model.digest
    finally:
        (weights / STUDENT_FILE).write_bytes(before)


def test_a_tier_without_its_student_does_not_load(weights: Path, tmp_path: Path) -> None:
    for file in weights.iterdir():
        if file.name != STUDENT_FILE:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(FileNotFoundError, match=STUDENT_FILE):
        load_reference(tmp_path)


def test_a_model_without_a_student_says_so(tmp_path: Path) -> None:
    write_random_weights(tmp_path)
    with pytest.raises(ValueError, match="no student"):
        load_reference(tmp_path).transformer(student=True)
