import numpy as np
import torch
from torch.nn import functional as fn

from triton_models.modeling.upsampler import Upsampler, UpsamplerConfig

CONFIG = UpsamplerConfig(width=8, depth=2)


def moved() -> Upsampler:
    """A network whose zero-initialised layer has been moved, so that the correction is not nothing."""
    torch.manual_seed(4)
    network = Upsampler(CONFIG)
    torch.nn.init.normal_(network.conv_out.weight, std=0.05)
    return network.eval()


def test_an_untrained_network_scales_bilinearly() -> None:
    video = torch.rand(2, 3, 6, 10) * 2 - 1
    assert torch.equal(Upsampler(CONFIG)(video), fn.interpolate(video, scale_factor=2, mode="bilinear"))


def test_frames_enlarge_alike_one_by_one_and_together() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)
    network = moved()
    whole = network.enlarge(frames)
    assert whole.shape == (5, 32, 48, 3)
    assert np.array_equal(whole, np.concatenate([network.enlarge(frames[:2]), network.enlarge(frames[2:])]))


def test_the_correction_is_seen() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), dtype=np.uint8)
    assert not np.array_equal(moved().enlarge(frames), Upsampler(CONFIG).enlarge(frames))
