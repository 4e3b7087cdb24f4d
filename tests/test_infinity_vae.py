"""Infinity's autoencoder: equal to the reference vectors, of the official size, and honest about what it cannot do."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.models.infinity.vae import VAES, Vae, VaeConfig, code, config_of, upsampled

DATA = Path(__file__).parent / "data" / "infinity"
GOLDEN = Path(os.environ.get("BEAMSCOPE_GOLDEN_DIR") or DATA)
CASES = [path for path in sorted(GOLDEN.glob("*.weights.safetensors"))
         if path.with_name(path.name.replace(".weights.safetensors", "_case.json")).exists()]
SIZES = {  # millions of parameters of encoder and decoder, tensors: those of the official files
    "infinity-vae-d16": (45.0, 65.0, 268),
    "infinity-vae-d32reg": (45.0, 65.1, 268),
    "infinity-vae-d56": (33.1, 48.5, 224),
}


def tiny(encoder=True):
    torch.manual_seed(0)
    return Vae(VaeConfig(4, (1, 2), 32), encoder).eval().requires_grad_(False)


@pytest.fixture(params=CASES, ids=lambda path: path.name.partition(".")[0])
def case(request):
    """A network with reference weights, its case, and the reference's results."""
    name = request.param.name.partition(".")[0]
    weights = {key: value.float() for key, value in load_file(request.param).items()}
    told = json.loads((GOLDEN / f"{name}_case.json").read_text())
    vae = Vae(config_of({key: value.shape for key, value in weights.items()})).eval().requires_grad_(False)
    vae.load_state_dict(weights, strict=True)
    assert (vae.config.latent_channels, vae.config.base) == (told["latent_channels"], told["base_channels"])
    return vae, told, load_file(GOLDEN / f"{name}.reference.safetensors")


def test_there_are_reference_vectors():
    assert CASES, f"no *.weights.safetensors with a *_case.json beside it in {GOLDEN}"


def test_a_latent_becomes_the_reference_image(case):
    vae, _, reference = case
    torch.testing.assert_close(vae.decode(reference["decode.latent"]), reference["decode.image"], atol=1e-4, rtol=0)


def test_an_image_becomes_the_reference_bits(case):
    vae, told, reference = case
    features = vae.encode(reference["encode.image"])
    torch.testing.assert_close(features, reference["encode.features"], atol=1e-4, rtol=0)
    bits, latent = vae.quantise(features, [tuple(size) for size in told["scales"]])
    for number, found in enumerate(bits):
        assert torch.equal(found.permute(0, 2, 3, 1), reference[f"encode.bits.{number}"].bool())
    torch.testing.assert_close(latent, reference["encode.latent"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SIZES)
def test_each_is_as_large_as_the_official_one(name):
    with torch.device("meta"):
        vae = Vae(VAES[name])
    millions = [round(sum(p.numel() for p in part.parameters()) / 1e6, 1) for part in (vae.encoder, vae.decoder)]
    assert (*millions, len(vae.state_dict())) == SIZES[name]


@pytest.mark.parametrize("name", VAES)
@pytest.mark.parametrize("encoder", [True, False])
def test_the_configuration_is_read_off_the_shapes(name, encoder):
    with torch.device("meta"):
        weights = Vae(VAES[name], encoder).state_dict()
    assert config_of({key: value.shape for key, value in weights.items()}) == VAES[name]


def test_the_latent_is_the_sum_of_the_codes_and_a_lone_coarse_code_keeps_its_bits():
    vae, scales = tiny(), [(1, 1), (2, 3), (4, 6)]
    latent = torch.randn(2, 4, 4, 6, generator=torch.Generator().manual_seed(1)) / 2
    bits, total = vae.quantise(latent, scales)
    assert [tuple(part.shape) for part in bits] == [(2, 4, *size) for size in scales]
    torch.testing.assert_close(total, sum(upsampled(code(part), (4, 6)) for part in bits))
    first = torch.rand(2, 4, 1, 1) > 0.5
    assert torch.equal(vae.quantise(upsampled(code(first), (4, 6)), scales)[0][0], first)


def test_a_code_is_a_unit_vector():
    bits = torch.rand(2, 14, 3, 3) > 0.5
    torch.testing.assert_close(code(bits).norm(dim=1), torch.ones(2, 3, 3))


def test_any_latent_size_decodes_and_stays_an_image():
    images = tiny().decode(10 * torch.randn(1, 4, 3, 5))
    assert images.shape == (1, 3, 6, 10)
    assert images.abs().max() <= 1


def test_what_cannot_be_encoded_says_why():
    with pytest.raises(ValueError, match="multiples of 2 px"):
        tiny().encode(torch.zeros(1, 3, 5, 4))
    with pytest.raises(ValueError, match="encoder=True"):
        tiny(encoder=False).encode(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="the last scale is"):
        tiny().quantise(torch.zeros(1, 4, 4, 4), [(1, 1), (2, 2)])
