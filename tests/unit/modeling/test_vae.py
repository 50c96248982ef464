import pytest
import torch

from triton_models.modeling.vae import VAEConfig, VideoVAE


@pytest.fixture(scope="module")
def vae() -> VideoVAE:
    """A small VAE with an orthonormal basis, whose zero-initialised last layer has been moved."""
    torch.manual_seed(4)
    network = VideoVAE(VAEConfig(widths=(8, 8, 6, 4)))
    with torch.no_grad():
        network.refiner.conv_out.weight.normal_(std=0.3)
        network.basis.copy_(torch.linalg.qr(torch.randn(768, 16)).Q.T)
        network.scale.uniform_(0.5, 2)
        network.mean.normal_()
    return network.eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2), (21, 6)])
def test_shapes(vae: VideoVAE, frames: int, latents: int) -> None:
    latent = vae.encode(torch.rand(2, 3, frames, 16, 24))
    assert latent.shape == (2, latents, 2, 3, 16)
    assert vae.decode(latent).shape == (2, 3, frames, 16, 24)


@pytest.mark.parametrize("shape", [(4, 16, 16), (5, 15, 16), (5, 16, 20)])
def test_clips_off_the_grid_are_refused(vae: VideoVAE, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="grid"):
        vae.encode(torch.rand(1, 3, *shape))


def test_the_encoder_is_causal_to_the_bit(vae: VideoVAE) -> None:
    video = torch.rand(1, 3, 21, 16, 16)
    changed = video.clone()
    changed[:, :, 9:] = 0
    before, after = vae.encode(video), vae.encode(changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])


@pytest.mark.parametrize("parallel", [True, False])
def test_the_decoder_is_causal_to_the_bit(vae: VideoVAE, parallel: bool) -> None:
    latent = 0.1 * torch.randn(1, 6, 2, 2, 16)
    changed = latent.clone()
    changed[:, 3:] = 0
    decode = vae.forward if parallel else vae.decode
    frames = 12 if parallel else 9
    before, after = decode(latent), decode(changed)
    assert torch.equal(before[:, :, :frames], after[:, :, :frames])
    assert not torch.equal(before[:, :, frames:], after[:, :, frames:])


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1, 1), (2, 4), (5, 1), (1, 2, 3)])
def test_chunks_decode_to_the_bits_of_the_whole(vae: VideoVAE, sizes: tuple[int, ...]) -> None:
    latent = torch.randn(1, 6, 2, 3, 16)
    chunks = list(vae.decode_chunks(torch.split(latent, list(sizes), 1)))
    assert [chunk.shape[2] for chunk in chunks] == [
        4 * size - (3 if not index else 0) for index, size in enumerate(sizes)
    ]
    assert torch.equal(torch.cat(chunks, 2), vae.decode(latent))


@pytest.mark.parametrize("sizes", [(1, 4, 4, 4, 4, 4, 4), (13, 12), (9, 4, 12), (25,)])
def test_chunks_encode_to_the_bits_of_the_whole(vae: VideoVAE, sizes: tuple[int, ...]) -> None:
    video = torch.rand(1, 3, 25, 64, 112) * 2 - 1
    chunks = list(vae.encode_chunks(torch.split(video, list(sizes), 2)))
    assert [chunk.shape[1] for chunk in chunks] == [-(-size // 4) for size in sizes]
    assert torch.equal(torch.cat(chunks, 1), vae.encode(video))


def test_a_later_chunk_off_the_grid_is_refused(vae: VideoVAE) -> None:
    with pytest.raises(ValueError, match="grid"):
        list(vae.encode_chunks([torch.rand(1, 3, 5, 16, 16), torch.rand(1, 3, 5, 16, 16)]))


def test_training_and_streaming_agree(vae: VideoVAE) -> None:
    latent = 0.1 * torch.randn(1, 5, 2, 2, 16)
    torch.testing.assert_close(vae(latent)[:, :, 3:].clamp(-1, 1), vae.decode(latent), atol=1e-5, rtol=1e-5)


def test_the_linear_part_is_a_projection() -> None:
    network = VideoVAE(VAEConfig(widths=(8, 8, 6, 4)))
    network.basis.copy_(torch.linalg.qr(torch.randn(768, 16)).Q.T)
    once = network.forward(network.encode(torch.rand(1, 3, 5, 16, 16)))[:, :, 3:]
    again = network.forward(network.encode(once))[:, :, 4:]
    torch.testing.assert_close(again, once[:, :, 1:], atol=1e-5, rtol=1e-4)
