"""A stream with a memory of keys and values makes what one masked batch makes; given frames stay."""

import pytest
import torch
from torch import Tensor

from triton_models.modeling.attention import StreamMemory, TemporalMode, temporal_mask
from triton_models.modeling.dit import DiTConfig, Text, VideoDiT
from triton_models.modeling.guidance import guided_velocity

CHUNK = 2
CAUSAL = TemporalMode(kind="causal", chunk=CHUNK)


@pytest.fixture
def dit() -> VideoDiT:
    """A small transformer whose zero-initialised layers have been moved, so that every path matters."""
    torch.manual_seed(5)
    network = VideoDiT(DiTConfig(width=32, depth=3, heads=2, text_width=12, summary_tokens=3))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval().requires_grad_(requires_grad=False)


@pytest.fixture
def text() -> Text:
    return Text(torch.randn(1, 7, 12), torch.ones(1, 7, dtype=torch.bool))


def test_chunks_see_themselves_and_the_past() -> None:
    mask = temporal_mask(CAUSAL, 5)
    assert mask is not None
    assert mask.sum(1).tolist() == [2, 2, 4, 4, 5]


def recorded(dit: VideoDiT, latent: Tensor, t: float, text: Text, memory: StreamMemory) -> Tensor:
    memory.recording = True
    parts = [dit(chunk, torch.tensor([t]), text, memory=memory) for chunk in torch.split(latent, CHUNK, 1)]
    memory.recording = False
    return torch.cat(parts, 1)


def test_streaming_with_a_memory_is_the_masked_batch(dit: VideoDiT, text: Text) -> None:
    latent = torch.randn(1, 7, 4, 4, 16)
    streamed = recorded(dit, latent, 0.3, text, StreamMemory(limit=16))
    torch.testing.assert_close(streamed, dit(latent, torch.tensor([0.3]), text, CAUSAL), atol=1e-5, rtol=1e-4)


def test_a_noisy_chunk_after_clean_ones_is_the_masked_batch(dit: VideoDiT, text: Text) -> None:
    latent, memory = torch.randn(1, 6, 4, 4, 16), StreamMemory(limit=16)
    recorded(dit, latent[:, :4], 0.0, text, memory)
    streamed = guided_velocity(dit, text, 1, memory=memory)(latent[:, 4:], 0.8)
    whole = dit(latent, torch.tensor([[0.0] * 4 + [0.8] * 2]), text, CAUSAL)
    torch.testing.assert_close(streamed, whole[:, 4:], atol=1e-5, rtol=1e-4)
    assert memory.frames == 4, "what is noisy is not remembered"


def test_the_memory_does_not_grow(dit: VideoDiT, text: Text) -> None:
    memory = StreamMemory(limit=4)
    recorded(dit, torch.randn(1, 12, 4, 4, 16), 0.0, text, memory)
    assert memory.frames == 12
    assert {keys.shape[2] for keys, _ in memory.kept.values()} == {4}
    assert len(memory.kept) == 3


def test_equal_levels_of_all_frames_are_the_clips_level(dit: VideoDiT, text: Text) -> None:
    latent = torch.randn(2, 3, 4, 4, 16)
    both = Text(text.embeddings_BKD.expand(2, -1, -1), text.mask_BK.expand(2, -1))
    levels = torch.tensor([0.3, 0.9])
    torch.testing.assert_close(dit(latent, levels[:, None].expand(2, 3), both), dit(latent, levels, both))


@pytest.mark.parametrize("scale", [1, 3])
def test_a_held_frame_does_not_move_but_moves_the_others(dit: VideoDiT, text: Text, scale: float) -> None:
    latent = torch.randn(1, 4, 4, 4, 16)
    held = guided_velocity(dit, text, scale, held=1)(latent, 0.7)
    assert torch.equal(held[:, 0], torch.zeros_like(held[:, 0]))
    free = guided_velocity(dit, text, scale)(latent, 0.7)
    assert not torch.allclose(held[:, 1:], free[:, 1:]), "the network is told that the frame is given"
