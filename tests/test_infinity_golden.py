"""The transformer equals the official one: logits, drawn bits and the latent, on every reference vector there is."""

import pytest
import torch

from core.models.infinity.bits import code, next_input, spread
from core.models.infinity.kv import KVBatch
from core.models.infinity.sampling import bit_probabilities, draw, exponential_noise, mix_guidance
from tests.infinity_golden import load_case, transformer_cases


def test_there_are_reference_vectors():
    assert transformer_cases()


@pytest.mark.parametrize("name", transformer_cases())
@torch.no_grad()
def test_an_image_is_the_official_one_scale_by_scale(name):
    """One generator in scale order; each scale builds on the bits drawn here, not on the stored ones."""
    case = load_case(name)
    config, schedule, reference = case.config, case.schedule, case.reference
    generator = torch.Generator().manual_seed(case.seed)
    text, past = case.model.read(reference["text_features"]), None
    total = torch.zeros(1, config.latent_channels, *schedule.latent())
    for scale, tokens in enumerate(schedule.tokens):
        cache = KVBatch([past], config.depth, keep=scale < len(schedule.tokens) - 1)
        grid = next_input(total, schedule, scale) if scale else None
        logits = case.model.step(scale, grid, text, cache, schedule)
        official = reference[f"logits.{scale}"].unflatten(-1, (-1, 2))
        assert torch.allclose(logits[:, 0], official, atol=1e-4, rtol=0), (logits[:, 0] - official).abs().max()
        probabilities = bit_probabilities(mix_guidance(logits, config.cfg), config.tau, config.top_p)
        bits = draw(probabilities, exponential_noise((1, tokens, config.bits, 2), generator))
        picture = spread(bits.byte(), schedule, scale).permute(0, 2, 3, 1)
        assert torch.equal(picture, reference[f"bits.{scale}"])
        total = total + code(bits, schedule, scale)
        [past] = cache.segments()
    assert past is None and torch.equal(total, reference["latent"])
