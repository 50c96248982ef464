from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.weights import write_random_weights
from triton_models.benchmarks.attention import attentions, linears
from triton_models.benchmarks.machine import flops_of, matmul_rate, median_s, medians_s, memory_mib
from triton_models.benchmarks.memory import decode_memory
from triton_models.benchmarks.models import measure_clip
from triton_models.benchmarks.source import source_cost
from triton_models.benchmarks.video import clip_of, variants
from triton_models.modeling.dit import DiTConfig
from triton_models.modeling.reference import ReferenceModel, load_reference
from triton_models.modeling.shapes import VideoShape
from triton_models.modeling.turbo.int8 import Int8Linear
from triton_models.modeling.turbo.sparse_linear import SparseLinearConfig, SparseSpatialAttention


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights")
    write_random_weights(directory)
    (directory / "audio.json").unlink()
    return directory


@pytest.fixture(scope="module")
def model(weights: Path) -> ReferenceModel:
    return load_reference(weights)


def test_operations_are_counted() -> None:
    linear = nn.Linear(8, 16, bias=False)
    assert flops_of(lambda: linear(torch.randn(3, 8))) == 2 * 3 * 8 * 16


def test_the_median_ignores_the_first_run_and_one_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    clock = iter((100.0, 101.0, 200.0, 290.0, 300.0, 302.0))
    monkeypatch.setattr("triton_models.benchmarks.machine.time.perf_counter", lambda: next(clock))
    assert median_s(lambda: runs.append(1), 3) == 2
    assert len(runs) == 4


def test_what_is_compared_takes_turns() -> None:
    order: list[str] = []
    assert len(medians_s([lambda: order.append("a"), lambda: order.append("b")], 2)) == 2
    assert order == ["a", "b"] * 3


def test_the_machines_rate_is_plausible() -> None:
    assert matmul_rate(torch.float32, repeats=1) > 1e9


def test_the_peak_of_memory_is_not_below_what_is_held() -> None:
    assert 50 < memory_mib("VmRSS") <= memory_mib("VmHWM")


def test_variants_differ_in_what_they_are_named_after(model: ReferenceModel) -> None:
    clip = clip_of(model, 1.0)
    base, exact, few, sparse, eight_bit, everything = variants(model, model.dit, clip, SparseLinearConfig())
    assert base.plan.guidance > 1
    assert exact.model.config.precision == "float32" != base.model.config.precision
    assert len(base.plan.timesteps) == 51
    assert few.plan.guidance == everything.plan.guidance == 1
    assert len(few.plan.timesteps) == len(everything.plan.timesteps) == 5
    for variant, is_sparse, is_eight_bit in (
        (base, False, False),
        (exact, False, False),
        (few, False, False),
        (sparse, True, False),
        (eight_bit, False, True),
        (everything, True, True),
    ):
        kinds = {type(module) for module in variant.model.dit.modules()}
        assert (SparseSpatialAttention in kinds) == is_sparse
        assert (Int8Linear in kinds) == is_eight_bit


def test_the_table_of_a_clip(weights: Path, model: ReferenceModel, capsys: pytest.CaptureFixture[str]) -> None:
    measure_clip(model, weights, 1.0, repeats=1)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith("audio no weights") for line in lines)
    rows = {line[:28].strip(): line[28:].split() for line in lines if "x " in line}
    assert rows["baseline, guided"][3:5] == ["1.00x", "1.00x"]
    steps, step_ms, total_s, factor = rows["distilled"][:4]
    base_s = float(rows["baseline, guided"][2])
    assert int(steps) == 4
    assert float(total_s) == pytest.approx(4 * float(step_ms) / 1e3, abs=0.02)
    assert float(factor[:-1]) == pytest.approx(base_s / float(total_s), rel=0.2)


def test_decoding_is_measured_in_a_process_of_its_own(weights: Path) -> None:
    loaded, peak = decode_memory(weights, 1.0)
    assert 50 < loaded < peak < 2000


def test_duels_are_positive() -> None:
    config = SparseLinearConfig(query_block=16, key_block=16, dense_below=0)
    duels = [*attentions((64,), config, 1, "cpu"), *linears(((32, 16, 16),), 1, "cpu")]
    assert all(before > 0 and after > 0 for _, before, after in duels)


def test_the_source_configuration_is_measured_by_the_same_code_at_any_size() -> None:
    config = DiTConfig(width=32, depth=1, heads=2, text_width=16, summary_tokens=0)
    cost = source_cost(config, VideoShape(5, 32, 48), "cpu", torch.bfloat16, repeats=1)
    assert cost.baseline_s == 50 * cost.guided_step_s > 0
    assert cost.student_s == 4 * cost.student_step_s > 0
    assert cost.student_step_flops > 0
    assert torch.get_default_dtype() == torch.float32
