"""The VAE: one set of weights decodes in a stream and in one go, and time runs one way."""

import numpy as np
import pytest
import torch

from aapt_env.model.vae import VAE, VAEConfig


def vae(k=4, seed=0, patch=4, widths=(8, 16)):
    """A float64 VAE whose every weight matters, with a scale of its own."""
    torch.manual_seed(seed)
    made = VAE(VAEConfig(k=k, channels=4, patch=patch, encoder=widths, decoder=widths))
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.05 if p.ndim == 1 else p[0].numel() ** -0.5)
    made.shift.copy_(torch.randn(4))
    made.scale.copy_(torch.rand(4) + 0.5)
    return made.double().eval().requires_grad_(False)


def video(count, k, batch=2, size=(32, 48)):
    """uint8 [B, 1 + count*k, H, W, 3] noise."""
    rng = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 1 + count * k, *size, 3), generator=rng, dtype=torch.uint8)


def encode(made, frames):
    """`VAE.encode` in float64."""
    x = made.groups(frames).double()
    mean, _ = made.encoder(x.flatten(0, 1))
    return ((mean - made.shift[:, None, None]) / made.scale[:, None, None]).unflatten(
        0, x.shape[:2]
    )


def latents(count, batch=2):
    return torch.randn(
        batch, count, 4, 4, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("pieces", [(9,), (1,) * 9, (4, 5), (1, 7, 1), (2, 3, 4)])
def test_a_stream_in_pieces_of_any_length_is_the_parallel_decoding(k, pieces):
    made, z = vae(k), latents(9)
    whole, end = made.decode_float(z, made.start(2, 4, 6))
    state, parts = made.start(2, 4, 6), []
    for piece in z.split(pieces, dim=1):
        pixels, state = made.decode_float(piece, state)
        parts.append(pixels)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-12)
    for a, b in zip(state, end, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert whole.shape == (2, 9, k, 3, 32, 48) and whole.std() > 0.1


def test_uint8_in_a_stream_differs_by_rounding_at_most():
    made, z = vae().float(), latents(6).float()
    whole, _ = made.decode(z)
    state, parts = None, []
    for i in range(6):
        frames, state = made.decode(z[:, i : i + 1], state)
        parts.append(frames)
    gap = (torch.cat(parts, dim=1).int() - whole.int()).abs()
    assert gap.max() <= 1 and (gap > 0).double().mean() < 1e-3
    assert whole.shape == (2, 6, 4, 32, 48, 3) and whole.dtype == torch.uint8


@pytest.mark.parametrize("k", [1, 2, 4])
def test_bytes_are_the_pixels_that_training_sees_rounded(k):
    made, z = vae(k).float(), 3 * latents(3).float()
    frames, _ = made.decode(z)
    pixels, _ = made.decode_float(z, made.start(2, 4, 6))
    rounded = (pixels.clamp(-1, 1) * 127.5 + 127.5).round().byte()
    assert torch.equal(frames, rounded.movedim(3, -1)) and frames.float().std() > 20


@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_latent_is_a_function_of_its_own_frames(k):
    made, frames = vae(k), video(5, k)
    reference = encode(made, frames)
    for latent in range(6):
        own = slice(0, 1) if latent == 0 else slice(1 + k * (latent - 1), 1 + k * latent)
        changed = frames.clone()
        changed[:, own] = 255 - changed[:, own]
        moved = (encode(made, changed) - reference).abs().flatten(2).amax(-1)
        assert (moved[:, latent] > 1e-6).all()
        moved[:, latent] = 0
        assert moved.max() == 0


@pytest.mark.parametrize("k", [1, 2, 4])
def test_every_frame_of_a_latent_counts(k):
    made, frames = vae(k), video(2, k)
    reference = encode(made, frames)
    for i in range(k):
        changed = frames.clone()
        changed[:, 1 + k + i] = 255 - changed[:, 1 + k + i]
        assert (encode(made, changed) - reference)[:, 2].abs().max() > 1e-6


@pytest.mark.parametrize("k", [1, 2, 4])
def test_latent_0_is_frame_0_alone(k):
    made, frames = vae(k).float(), video(3, k)
    alone = made.encode_alone(frames[:, 0])
    torch.testing.assert_close(made.encode(frames)[:, 0], alone, rtol=1e-4, atol=1e-5)
    assert made.encode(frames).shape == (2, 4, 4, 4, 6)


def test_a_frame_depends_on_no_later_latent_and_on_the_one_before():
    made, z = vae(), latents(6)
    reference, _ = made.decode_float(z, made.start(2, 4, 6))
    changed = z.clone()
    changed[:, 3] += 1
    moved, _ = made.decode_float(changed, made.start(2, 4, 6))
    gap = (moved - reference).abs().flatten(2).amax(dim=(0, 2))
    assert gap[:3].max() == 0 and gap[3] > 1e-3
    assert gap[4] > 1e-6, "the decoder remembers one latent"


def test_normalise_and_decode_undo_each_other():
    made = vae()
    raw = latents(1)[:, 0]
    z = made.double().normalise(raw)
    back = z * made.scale[:, None, None] + made.shift[:, None, None]
    torch.testing.assert_close(back, raw, rtol=0, atol=1e-5)


def test_a_bf16_decoder_is_close_to_the_float32_one():
    """The decoder plays in bf16 where that is fast."""
    made, z = vae().float(), latents(5).float()
    exact, _ = made.decode(z)
    made.decoder.bfloat16()
    rough, state = made.decode(z)
    gap = (rough.float() - exact.float()).abs()
    assert all(s.dtype == torch.bfloat16 for s in state)
    assert gap.mean() < 1.5 and gap.max() < 16


@pytest.mark.parametrize(
    "frames",
    [
        torch.zeros(2, 4, 32, 48, 3, dtype=torch.uint8),
        torch.zeros(2, 0, 32, 48, 3, dtype=torch.uint8),
        torch.zeros(2, 5, 30, 48, 3, dtype=torch.uint8),
        torch.zeros(2, 5, 32, 20, 3, dtype=torch.uint8),
        torch.zeros(2, 5, 3, 32, 48, dtype=torch.uint8),
        torch.zeros(5, 32, 48, 3, dtype=torch.uint8),
        torch.zeros(2, 5, 32, 48, 3),
    ],
    ids=["no 1 + nk", "none", "height", "width", "axes", "no batch", "float"],
)
def test_frames_of_a_wrong_shape_are_refused_in_a_sentence(frames):
    with pytest.raises(
        ValueError, match=r"expected uint8 \[B, 1 \+ n\*4, H, W, 3\] with H and W multiples of 8"
    ):
        vae().encode(frames)


@pytest.mark.parametrize("shape", [(2, 4, 4, 6), (2, 1, 5, 4, 6), (2, 0, 4, 4, 6)])
def test_latents_of_a_wrong_shape_are_refused_in_a_sentence(shape):
    with pytest.raises(ValueError, match=r"expected \[B, T, 4, h, w\], T >= 1"):
        vae().decode(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (dict(k=3), "k=3; expected 1, 2 or 4"),
        (dict(channels=0), "expected whole numbers >= 1"),
        (dict(patch=2.0), "expected whole numbers >= 1"),
        (dict(encoder=(8,), decoder=(8, 16)), "must have equal length"),
        (dict(encoder=(), decoder=()), "must have equal length"),
    ],
)
def test_sizes_that_make_no_vae(sizes, message):
    with pytest.raises(ValueError, match=message):
        VAEConfig(**sizes)


@pytest.mark.parametrize(
    ("patch", "widths", "stride"), [(4, (8, 16), 8), (2, (8, 8, 16), 8), (1, (4, 8, 8), 4)]
)
def test_the_stride_is_what_the_sizes_say(patch, widths, stride):
    made = vae(patch=patch, widths=widths).float()
    assert made.config.stride == stride
    z = made.encode(torch.zeros(1, 5, 32, 48, 3, dtype=torch.uint8))
    assert z.shape == (1, 2, 4, 32 // stride, 48 // stride)
    assert made.decode(z)[0].shape == (1, 2, 4, 32, 48, 3)


def test_decoding_is_the_same_for_a_row_alone():
    made, z = vae().float(), latents(3, batch=4).float()
    many, _ = made.decode(z)
    lone, _ = made.decode(z[2:3])
    assert np.abs(many[2].int().numpy() - lone[0].int().numpy()).max() <= 1
