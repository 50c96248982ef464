from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from triton_models.modeling.dit import DiTConfig, VideoDiT
from triton_models.modeling.turbo.int8 import (
    Int8Linear,
    calibrate,
    int8_matmul,
    load_quantised,
    quantise,
    quantise_rows,
    save_quantised,
)

CONFIG = DiTConfig(width=32, depth=2, heads=2, text_width=8, summary_tokens=2)


def network() -> VideoDiT:
    """A transformer whose every branch is open, unlike a new one's."""
    torch.manual_seed(0)
    dit = VideoDiT(CONFIG)
    for parameter in dit.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return dit.eval().requires_grad_(False)


def velocity(dit: VideoDiT) -> Tensor:
    latent = torch.randn(1, 2, 4, 4, 16, generator=torch.Generator().manual_seed(1))
    out: Tensor = dit(latent, torch.tensor([0.7]), dit.null_text(1, 3))
    return out


@pytest.mark.parametrize("shape", [(1, 8, 8), (17, 64, 24), (100, 1032, 40)])
def test_products_are_exact(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    a = torch.randint(-128, 128, (m, k), dtype=torch.int8)
    b = torch.randint(-128, 128, (n, k), dtype=torch.int8).T
    assert torch.equal(int8_matmul(a, b).long(), a.long() @ b.long())


def test_the_layer_is_its_integers_times_its_scales() -> None:
    linear = nn.Linear(64, 24)
    layer = Int8Linear.of(linear)
    x = torch.randn(5, 7, 64)
    rows, row_scale = quantise_rows(x.flatten(0, 1))
    products = rows.long() @ layer.weight_int8.long().T
    expected = products.double() * row_scale * layer.scale + linear.bias
    torch.testing.assert_close(layer(x).double().flatten(0, 1), expected, atol=1e-6, rtol=1e-6)
    assert (layer(x) - linear(x)).norm() < 0.02 * linear(x).norm()


def test_rounding_is_to_the_nearest_level_and_zeros_stay_zero() -> None:
    levels, scale = quantise_rows(torch.tensor([[-2.54, 1.27, 0.013], [0, 0, 0]]))
    assert levels.tolist() == [[-127, 64, 1], [0, 0, 0]]
    assert scale[0].item() == pytest.approx(0.02)


def test_autocast_decides_the_dtype_as_it_does_for_any_linear_layer() -> None:
    layer = Int8Linear.of(nn.Linear(16, 16))
    assert layer(torch.randn(3, 16)).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(3, 16)).dtype == torch.bfloat16


def test_sizes_that_no_int8_product_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        Int8Linear(12, 16)


def test_only_layers_in_blocks_are_quantised_and_the_velocity_stays_close() -> None:
    dit = network()
    exact = velocity(dit)
    report = quantise(dit)
    assert all(layer.name.startswith("blocks.") for layer in report.layers)
    assert {"patch_in", "patch_out", "modulation", "time.0", "summary"} <= set(report.kept)
    assert len(report.layers) == CONFIG.depth * 11
    assert report.parameters == sum(m.weight_int8.numel() for m in dit.modules() if isinstance(m, Int8Linear))
    assert 0 < report.worst_error < 0.01
    error = (velocity(dit) - exact).norm() / exact.norm()
    assert 0 < error < 0.02


def test_smoothing_by_calibration_tames_an_outlier_channel() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64))
    x = torch.randn(256, 64)
    x[:, 3] *= 100
    exact = model(x)
    peaks = calibrate(model, lambda: model(x), chosen=lambda _: True)
    assert peaks["0"][3] == x[:, 3].abs().max()
    plain, smoothed = nn.Sequential(model[0]), nn.Sequential(model[0])
    quantise(plain, chosen=lambda _: True)
    quantise(smoothed, peaks, chosen=lambda _: True)
    errors = [(net(x) - exact).norm().item() for net in (plain, smoothed)]
    assert errors[1] < 0.5 * errors[0]
    assert not model[0]._forward_pre_hooks


@pytest.mark.parametrize("smooth", [False, True])
def test_a_file_gives_back_the_same_integers(tmp_path: Path, smooth: bool) -> None:
    dit = network().bfloat16().float()
    peaks = calibrate(dit, lambda: velocity(dit)) if smooth else None
    quantise(dit, peaks)
    save_quantised(dit, tmp_path / "dit.safetensors")
    again = VideoDiT(CONFIG).eval().requires_grad_(False)
    load_quantised(again, tmp_path / "dit.safetensors")
    assert torch.equal(velocity(again), velocity(dit))
