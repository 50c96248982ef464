"""Open-Sora's published weights, each a directory with a `config.json` and a `model.safetensors`, to our networks.

Tables of patterns turn their names into ours; a few tensors are also cut or reshaped. Every tensor must find its place
and every place its tensor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor

from ..attention import rotary_angles
from ..engine import CPU, Network, ready
from ..shapes import PATCH
from .spatial_vae import SpatialConfig
from .stdit3 import STDiT3, STDiT3Config
from .temporal_vae import TemporalConfig
from .vae import OpenSoraVAE, OpenSoraVAEConfig

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

Config = TypeVar("Config")
Names = tuple[tuple[str, str], ...]
"""Patterns of published names, and what to put in their place; all are applied, in this order."""

_STDIT3_NAMES: Names = (
    (r"^x_embedder\.proj\.", "patch_in."),
    (r"^t_embedder\.mlp\.", "time."),
    (r"^fps_embedder\.mlp\.", "frame_rate."),
    (r"^t_block\.1\.", "modulation."),
    (r"^y_embedder\.y_embedding$", "null_text_KD"),
    (r"^y_embedder\.y_proj\.fc1\.", "text_in.0."),
    (r"^y_embedder\.y_proj\.fc2\.", "text_in.2."),
    (r"^(spatial|temporal)_blocks\.", r"\1."),
    (r"\.attn\.([qk])_norm\.weight$", r".attention.\1_norm.gain"),
    (r"\.attn\.qkv\.", ".attention.to_qkv."),
    (r"\.attn\.proj\.", ".attention.out."),
    (r"\.cross_attn\.(q|kv)_linear\.", r".cross.to_\1."),
    (r"\.cross_attn\.proj\.", ".cross.out."),
    (r"\.mlp\.fc1\.", ".feed_forward.0."),
    (r"\.mlp\.fc2\.", ".feed_forward.2."),
    (r"^final_layer\.scale_shift_table$", "out_table"),
    (r"\.scale_shift_table$", ".modulation_table"),
    (r"^final_layer\.linear\.", "patch_out."),
    (r"^rope\.freqs$", "time_rates"),
)

_VAE_NAMES: Names = (
    (r"^spatial_vae\.module\.", "spatial."),
    (r"^temporal_vae\.", "temporal."),
    (r"^(temporal\..*)\.conv\.(weight|bias)$", r"\1.\2"),
    (r"^(temporal\..*)\.conv3\.", r"\1.shortcut."),
    (r"^(temporal\.\w+)\.norm1\.", r"\1.norm."),
    (r"^temporal\.encoder\.conv2\.", "temporal.encoder.conv_out."),
    (r"^temporal\.decoder\.conv1\.", "temporal.decoder.conv_in."),
    (r"^(temporal\.\w+)\.block_res_blocks\.", r"\1.levels."),
    (r"^(temporal\.\w+)\.res_blocks\.", r"\1.deepest."),
    (r"^(temporal\.\w+)\.conv_blocks\.", r"\1.resamplers."),
)


def load_stdit3(directory: Path, dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> STDiT3:
    """Returns the transformer in a directory like that of hpcai-tech/OpenSora-STDiT-v3, on a device.

    Raises:
        OSError: a file is missing.
        ValueError: the configuration is of another network.
        RuntimeError: the weights do not fit the configuration.
    """
    config = stdit3_config(_read_config(directory))
    tensors = stdit3_tensors(load_file(directory / WEIGHTS_FILE), config)
    return ready(_filled(STDiT3, config, {name: _in(dtype, name, tensor) for name, tensor in tensors.items()}), device)


def load_vae(directory: Path, device: torch.device = CPU) -> OpenSoraVAE:
    """Returns the autoencoder in a directory like that of hpcai-tech/OpenSora-VAE-v1.2, on a device, in float32.

    Errors as `load_stdit3`.
    """
    config = vae_config(_read_config(directory))
    tensors = vae_tensors(load_file(directory / WEIGHTS_FILE))
    return ready(_filled(OpenSoraVAE, config, {name: tensor.float() for name, tensor in tensors.items()}), device)


def stdit3_config(fields: Mapping[str, Any]) -> STDiT3Config:
    """Returns our configuration of theirs; fields that do not change the result are ignored.

    Raises:
        ValueError: the configuration is of a network that is not STDiT3 as Open-Sora 1.2 uses it.
    """
    known = {"model_type": "STDiT3", "patch_size": [1, PATCH, PATCH], "qk_norm": True, "skip_y_embedder": False}
    _require(fields, known)
    names = {
        "hidden_size": "width",
        "depth": "depth",
        "num_heads": "heads",
        "mlp_ratio": "feed_forward",
        "in_channels": "channels",
        "caption_channels": "text_width",
        "model_max_length": "text_tokens",
        "input_sq_size": "known_size",
    }
    return STDiT3Config(**{ours: fields[theirs] for theirs, ours in names.items() if theirs in fields})


def vae_config(fields: Mapping[str, Any]) -> OpenSoraVAEConfig:
    """Returns our configuration of theirs.

    The published file names the networks alone; sizes that are not its networks' stand beside their names, as
    diffusers and Open-Sora call them.

    Raises:
        ValueError: the configuration is of another autoencoder.
    """
    _require(fields, {"model_type": "VideoAutoencoderPipeline"})
    spatial, temporal = fields.get("vae_2d") or {}, fields.get("vae_temporal") or {}
    names = {
        "in_out_channels": "channels",
        "filters": "width",
        "num_res_blocks": "blocks",
        "channel_multipliers": "multipliers",
        "temporal_downsample": "halved",
        "num_groups": "groups",
    }
    return OpenSoraVAEConfig(
        spatial=SpatialConfig(
            **{name: _hashable(spatial[name]) for name in SpatialConfig.__dataclass_fields__ if name in spatial}
        ),
        temporal=TemporalConfig(**{names[name]: _hashable(temporal[name]) for name in names if name in temporal}),
        batch=fields.get("micro_frame_size") or OpenSoraVAEConfig.batch,
    )


def stdit3_tensors(published: Mapping[str, Tensor], config: STDiT3Config) -> dict[str, Tensor]:
    """Returns the transformer's state; what it says of the velocity's variance, which no sampler asks, is left out."""
    tensors = {"time_rates": rotary_angles(torch.ones(1), config.width // config.heads, 1e4)[0]}
    for name, tensor in _renamed(published, _STDIT3_NAMES).items():
        tensors |= _fitted(name, tensor, config)
    return tensors


def _fitted(name: str, tensor: Tensor, config: STDiT3Config) -> dict[str, Tensor]:
    if ".to_qkv." in name:
        q, kv = tensor.tensor_split([config.width])
        return {name.replace("to_qkv", "to_q"): q, name.replace("to_qkv", "to_kv"): kv}
    if name == "patch_in.weight":
        return {name: rearrange(tensor, "d c 1 p q -> d (p q c)")}
    if name.startswith("patch_out."):
        rows = rearrange(tensor, "(pq c) ... -> pq c ...", pq=PATCH * PATCH)
        return {name: rows[:, : config.channels].flatten(0, 1)}
    return {name: tensor}


def _in(dtype: torch.dtype, name: str, tensor: Tensor) -> Tensor:
    """Rotary rates stay as they are: rounded, they would move the later frames."""
    return tensor if name == "time_rates" else tensor.to(dtype)


def vae_tensors(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the autoencoder's state."""
    tensors = _renamed(published, _VAE_NAMES)
    return tensors | {name: tensors[name].flatten() for name in ("scale", "shift") if name in tensors}


def _renamed(published: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    return {_ours(name, names): tensor for name, tensor in published.items()}


def _ours(name: str, names: Names) -> str:
    for pattern, replacement in names:
        name = re.sub(pattern, replacement, name)
    return name


def _filled(kind: Callable[[Config], Network], config: Config, tensors: dict[str, Tensor]) -> Network:
    """The network around the tensors as they are: no memory is taken for weights that are replaced at once."""
    with torch.device("meta"):
        network = kind(config)
    network.load_state_dict(tensors, assign=True)
    return network


def _read_config(directory: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((directory / CONFIG_FILE).read_text())
    return fields


def _require(fields: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if fields.get(name, value) != value:
            raise ValueError(f"{CONFIG_FILE} has {name} {fields[name]!r}, only {value!r} is known")


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
