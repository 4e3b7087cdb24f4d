"""Linear thumbnails: right where the decoder is linear, better than a constant picture where not, and nearly free."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.models.infinity import tiny
from core.models.infinity.cost import decode_flops
from core.models.infinity.thumbnails import Thumbnails, crops, fit, fit_to_decoder, stored
from core.models.infinity.vae import VAES, Vae, VaeConfig, area, code, upsampled


def random_latents(channels, count, seed=0):
    """Sums of random codes on growing grids, [count, channels, 8, 8]."""
    generator, total = torch.Generator().manual_seed(seed), torch.zeros(count, channels, 8, 8)
    for side in (1, 2, 4, 6, 8):
        total = total + upsampled(code(torch.rand(count, channels, side, side, generator=generator) < 0.5), (8, 8))
    return total


def calm() -> Vae:
    """A random decoder whose residual branches are quiet, as in a network that can be trained."""
    vae = tiny.random_vae()
    for name, parameter in vae.named_parameters():
        if "conv2" in name:
            parameter.mul_(0.1)
    return vae


def test_a_linear_decoder_is_found_exactly():
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(3, 5, generator=generator) / 30, torch.randn(3, generator=generator) / 30   # none is cut
    latents = random_latents(5, 8)
    images = nn.functional.interpolate(Thumbnails(weight, bias)(latents), scale_factor=16.0, mode="nearest")
    found = fit(latents, images)
    torch.testing.assert_close(found.weight, weight, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.bias, bias, atol=1e-5, rtol=0)


def test_it_beats_the_best_constant_picture_on_latents_it_has_not_seen():
    vae = calm()
    held_out = random_latents(8, 6, seed=1)
    wanted = area(vae.decode(held_out), (8, 8))
    error = (fit_to_decoder(vae, random_latents(8, 12))(held_out) - wanted).square().mean()
    constant = (wanted - wanted.mean((0, 2, 3), keepdim=True)).square().mean()
    assert error < 0.93 * constant


@pytest.mark.parametrize("package", VAES)
def test_it_costs_less_than_a_hundredth_of_a_decode(package):
    """In truth far less; torch's own counter counts both."""
    with torch.device("meta"):
        vae, latent = Vae(VAES[package], encoder=False), torch.empty(1, VAES[package].latent_channels, 16, 12)
        linear = Thumbnails(torch.empty(3, latent.shape[1]), torch.empty(3))
    counts = []
    for draw in (linear, vae.decode):
        with FlopCounterMode(display=False) as counter:
            draw(latent)
        counts.append(counter.get_total_flops())
    assert counts[0] == linear.flops(16, 12) < 0.01 * counts[1]
    assert counts[1] == decode_flops(vae.config, (16, 12))


def test_any_size_and_dtype_give_colours():
    found = Thumbnails(torch.randn(3, 8) * 9, torch.randn(3))
    for shape in ((1, 8, 1, 1), (2, 8, 5, 3)):
        colours = found(torch.randn(shape).bfloat16())
        assert colours.shape == (shape[0], 3, *shape[2:]) and colours.dtype == torch.float32
        assert colours.abs().max() <= 1


def test_crops_are_taken_evenly_from_all_latents():
    latents = torch.arange(3.0)[:, None, None, None] + torch.zeros(3, 2, 9, 20)
    taken = crops(latents, 6, 8)
    assert taken.shape == (6, 2, 8, 8) and taken[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    where = torch.arange(20.0).expand(1, 1, 20, 20)
    assert len({(crop[0, 0, 0].item(), crop[0, 0, -1].item()) for crop in crops(where, 9)}) > 3
    assert crops(where[..., :8, :8], 2).shape == (2, 1, 8, 8)


def test_the_fit_is_made_once_and_kept(tmp_path):
    made, path = [], tmp_path / "slim" / "thumbnails.json"
    vae, another = (Vae(VaeConfig(channels, (1, 1), 32), encoder=False).eval() for channels in (6, 8))

    def draw():
        made.append(1)
        return random_latents(6, 4)

    first, again = stored(path, vae, draw), stored(path, vae, draw)
    assert len(made) == 1 and torch.equal(first.weight, again.weight) and torch.equal(first.bias, again.bias)
    other = stored(path, another, lambda: random_latents(8, 4))  # of another autoencoder: not taken
    assert other.weight.shape == (3, 8)
    path.write_text("{}")
    stored(path, vae, draw)
    assert len(made) == 2
    (tmp_path / "file").write_text("in the way")
    assert torch.equal(stored(tmp_path / "file" / "inside.json", vae, draw).weight, first.weight)
