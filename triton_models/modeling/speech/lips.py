"""Moves the lips of a talking face to what is said (the source's optional `refine_lips`).

A network in the manner of Wav2Lip (Prajwal et al. 2020), but driven by the mouth's wanted shape rather than by sound:
it sees the area of the mouth and the shape, and paints over what differs. A second one says whether there is a face at
all; frames without one are left as they are.

Legend: T frames, H/W height and width of the picture, h/w of the mouth's area.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from triton_models.modeling.checkpoint import write_atomically
from triton_models.modeling.engine import CPU, device_of, ready

from .mouths import MOUTH_BELOW_MIDDLE, Frames, mouth_area

LIPS_FILE = "lips.safetensors"

_FACE_SIZE = 24
_WIDTH = 24


class FaceNet(nn.Module):
    """Whether the middle square of a picture is a talking face."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(24, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(24 * 9, 1),
        )  # fmt: skip

    def forward(self, frames_T3HW: Tensor) -> Tensor:
        """Logits [T] of frames in 0..1."""
        height, width = frames_T3HW.shape[2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = frames_T3HW[:, :, top : top + side, left : left + side]
        logits: Tensor = self.layers(functional.adaptive_avg_pool2d(square, _FACE_SIZE) - 0.5)
        return logits[:, 0]


class LipNet(nn.Module):
    """Paints a mouth of the wanted shape over the one that is there."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(7, _WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=2, dilation=2), nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=4, dilation=4), nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(_WIDTH, 4, 3, padding=1),
        )  # fmt: skip

    def forward(self, areas_T3hw: Tensor, shapes_T2: Tensor, places_2hw: Tensor) -> Tensor:
        """The areas repainted, in 0..1; `shapes_T2` are apertures and widths, `places_2hw` see `places_in`."""
        frames, _, height, width = areas_T3hw.shape
        wanted = shapes_T2[:, :, None, None].expand(-1, -1, height, width)
        seen = torch.cat([areas_T3hw - 0.5, wanted, places_2hw.expand(frames, -1, -1, -1)], dim=1)
        painted, share = self.layers(seen).split([3, 1], dim=1)
        cover = torch.sigmoid(share) * _fade(places_2hw)
        return areas_T3hw + cover * (torch.sigmoid(painted) - areas_T3hw)


@dataclass(frozen=True)
class LipRefiner:
    """Both networks, in evaluation mode."""

    faces: FaceNet
    lips: LipNet

    @property
    def device(self) -> torch.device:
        """Where both compute."""
        return device_of(self.lips)

    def shows_face(self, frames_THW3: Frames) -> bool:
        """Whether most frames show a talking face."""
        with torch.inference_mode():
            return bool((self.faces(as_tensor(frames_THW3).to(self.device)) > 0).float().mean() > 0.5)

    def refined(self, frames_THW3: Frames, shapes_T2: NDArray[np.float64]) -> Frames:
        """The frames with mouths of the given apertures and widths; the same bits for the same frames."""
        height, width = frames_THW3.shape[1:3]
        area = mouth_area(height, width)
        patch = frames_THW3[:, area.top : area.bottom, area.left : area.right]
        seen = as_tensor(patch), torch.from_numpy(shapes_T2).float(), places_in(height, width)
        with torch.inference_mode():
            painted = self.lips(*(each.to(self.device) for each in seen))
        result = frames_THW3.copy()
        levels = (painted * 255).round().clamp(0, 255).to(torch.uint8)
        result[:, area.top : area.bottom, area.left : area.right] = levels.permute(0, 2, 3, 1).cpu().numpy()
        return result


def as_tensor(frames_THW3: Frames) -> Tensor:
    """[T, 3, H, W] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(frames_THW3)).permute(0, 3, 1, 2).float() / 255


def places_in(height: int, width: int) -> Tensor:
    """[2, h, w] x and y of each pixel of the mouth's area from its middle, in quarters of the frame's shorter side."""
    area, shorter = mouth_area(height, width), min(height, width)
    y = (torch.arange(area.top, area.bottom) + 0.5 - height / 2) / shorter - MOUTH_BELOW_MIDDLE
    x = (torch.arange(area.left, area.right) + 0.5 - width / 2) / shorter
    return 4 * torch.stack(torch.meshgrid(x, y, indexing="xy"))


def _fade(places_2hw: Tensor) -> Tensor:
    """[h, w] 1 inside and 0 at the rim, so that no edge shows."""
    x, y = places_2hw.abs()
    fade: Tensor = ((x.max() - x) * 8).clamp(0, 1) * ((y.max() - y) * 8).clamp(0, 1)
    return fade


def find_lip_refiner(directory: Path, device: torch.device = CPU) -> LipRefiner | None:
    """The refiner in `directory`, on a device; None if it holds none.

    Raises:
        RuntimeError: the weights are not of these networks.
    """
    file = directory / LIPS_FILE
    if not file.exists():
        return None
    refiner = LipRefiner(FaceNet(), LipNet())
    both = _both(refiner)
    both.load_state_dict(load(file.read_bytes()))
    ready(both, device)
    return refiner


def save_lip_refiner(refiner: LipRefiner, directory: Path) -> None:
    """Writes the weights."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in _both(refiner).state_dict().items()}
    write_atomically(directory / LIPS_FILE, save(tensors))


def _both(refiner: LipRefiner) -> nn.ModuleDict:
    return nn.ModuleDict({"faces": refiner.faces, "lips": refiner.lips})
