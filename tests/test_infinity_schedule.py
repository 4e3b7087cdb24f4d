"""Infinity's grids are the official ones, for every shape and size."""

import pytest

from core.models.infinity.config import CONFIGS, config_of
from core.models.infinity.schedule import LENGTHS, TEMPLATES, schedule, schedule_of
from core.search.errors import BadRequest

# Pixels and tokens at 1M, by height over width.
TALL = {
    1.0: (1024, 1024, 10521), 1.25: (1120, 896, 10774), 1.333: (1152, 864, 10973), 1.5: (1248, 832, 10997),
    1.75: (1344, 768, 11252), 2.0: (1440, 720, 11269), 2.5: (1600, 640, 10805), 3.0: (1776, 592, 11123),
}  # fmt: skip


@pytest.mark.parametrize("ratio", TALL)
def test_sizes_and_tokens_of_every_shape(ratio):
    height, width, tokens = TALL[ratio]
    tall, wide = schedule(ratio), schedule(1 / ratio)
    assert tall.size == (height, width) and wide.size == (width, height)
    assert sum(tall.tokens) == sum(wide.tokens) == tokens
    assert [(w, h) for h, w in tall.grids] == list(wide.grids)


@pytest.mark.parametrize("pixels, scales, tokens, side", [
    ("0.06M", 7, 521, 256), ("0.25M", 10, 2521, 512), ("0.60M", 12, 6425, 768), ("1M", 13, 10521, 1024)
])
def test_smaller_images_take_a_prefix_but_the_same_reference(pixels, scales, tokens, side):
    square = schedule(1.0, pixels)
    assert (len(square.grids), sum(square.tokens), square.size) == (scales, tokens, (side, side))
    assert square.grids == schedule(1.0).grids[:scales] and square.reference == (64, 64)


def test_grids_grow_and_no_shape_has_more_scales_than_level_embeddings():
    for grids in TEMPLATES.values():
        assert len(grids) == max(LENGTHS.values()) <= 15
        assert all(a[0] <= b[0] and a[1] <= b[1] and a != b for a, b in zip(grids, grids[1:], strict=False))


@pytest.mark.parametrize("wanted, found", [(9 / 16, 0.571), (16 / 9, 1.75), (1.04, 1.0), (10, 3.0), (2 / 3, 0.666)])
def test_the_nearest_trained_shape_is_taken(wanted, found):
    assert schedule(wanted).ratio == found


@pytest.mark.parametrize("ratio, pixels", [(0, "1M"), (float("nan"), "1M"), (1, "2M")])
def test_impossible_images_are_refused_with_what_is_possible(ratio, pixels):
    with pytest.raises(BadRequest, match="0.06M, 0.25M"):
        schedule(ratio, pixels)


@pytest.mark.parametrize("name, bits, hidden, size, scales", [
    ("infinity-125m", 16, 3072, 256, 7), ("infinity-2b", 32, 8192, 1024, 13),
    ("infinity-8b", 56, 14336, 1024, 13), ("infinity-8b-512", 56, 14336, 512, 10),
])
def test_a_model_is_bound_to_its_size_and_its_vae(name, bits, hidden, size, scales):
    config, grids = config_of(name), schedule_of(config_of(name))
    assert (config.bits, config.hidden, grids.size, len(grids.grids)) == (bits, hidden, (size, size), scales)
    assert grids.latent()[0] * config.stride == size and config.vae.startswith("infinity-vae-")
    assert config.dim == config.heads * config.head_dim and config.head_dim % 4 == 0


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(BadRequest, match=", ".join(CONFIGS)):
        config_of("infinity-20b")
