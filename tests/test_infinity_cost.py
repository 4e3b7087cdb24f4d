"""What Infinity costs: the figures of the specification, torch's own count, and what the planner makes of memory."""

from dataclasses import replace

import pytest
import torch

from core.models.infinity.config import CONFIGS, config_of
from core.models.infinity.cost import (
    Planner,
    decode_bytes,
    decode_flops,
    image_flops,
    read_flops,
    step_flops,
    token_bytes,
)
from core.models.infinity.kv import KVBatch, Segment
from core.models.infinity.schedule import schedule_of
from core.models.infinity.transformer import InfinityTransformer
from core.models.infinity.vae import VAES, Vae, VaeConfig
from tests.test_models import counted, peak_bytes

ROOMY = 1.25  # a figure of working memory is right within this factor
# 2B at 1024 px with guidance: GFLOP of a scale, its share, share up to it, MB of keys and values of one half up to it.
SCALES_2B = """
7.6 .00007 .0001 0.3 | 30 .00026 .0003 1.3 | 121 .00105 .0014 5.5 | 273 .00237 .0037 15 | 487 .00422 .0080 32
1107 .00960 .0176 69 | 2003 .01736 .0349 137 | 3213 .02786 .0628 241 | 4801 .04162 .1044 392 | 9084 .07876 .1832 661
15537 .13471 .3179 1080 | 25156 .21811 .5360 1684 | 53517 .46401 1.0 2758
""".replace("\n", "|")
SHARES = {
    "infinity-125m": (.0018, .0072, .0290, .0656, .1180, .2724, .5060),
    "infinity-8b-512": (.0004, .0015, .0060, .0135, .0240, .0543, .0975, .1547, .2277, .4204),
}  # fmt: skip
TOTALS = {("infinity-2b", "1M"): 115.3, ("infinity-2b", "0.25M"): 21.1, ("infinity-8b", "1M"): 382,
          ("infinity-8b-512", "0.25M"): 77.3, ("infinity-125m", "0.06M"): 0.22}  # fmt: skip
KEPT_GB = {"16x16": 0.27, "24x24": 0.78, "32x32": 1.32, "40x40": 2.16, "48x48": 3.37, "64x64": 3.37}  # 2B, both halves


def told(text):
    """A printed figure and half of its last digit."""
    return pytest.approx(float(text), abs=0.5000001 * 10.0 ** -len(text.partition(".")[2]))


def planner(name, itemsize=2):
    return Planner(config_of(name), schedule_of(config_of(name)), itemsize)


# FLOPs


def test_flops_and_bytes_of_every_scale_of_2b():
    config, grids = config_of("infinity-2b"), schedule_of(config_of("infinity-2b"))
    rows, total = [row.split() for row in SCALES_2B.split("|") if row.strip()], image_flops(config, grids)
    assert len(rows) == len(grids.tokens)
    so_far = 0
    for scale, (gflop, share, cumulative, megabytes) in enumerate(rows):
        flops = step_flops(config, grids, scale)
        so_far += flops
        assert flops / 1e9 == told(gflop) and flops / total == told(share) and so_far / total == told(cumulative)
        assert grids.seen(scale) * token_bytes(config) / 1e6 == told(megabytes)


@pytest.mark.parametrize("name, pixels", TOTALS)
def test_flops_of_an_image(name, pixels):
    config = replace(config_of(name), pixels=pixels)
    assert image_flops(config, schedule_of(config)) / 1e12 == told(str(TOTALS[name, pixels]))


@pytest.mark.parametrize("name", SHARES)
def test_shares_of_the_scales(name):
    config, grids = config_of(name), schedule_of(config_of(name))
    for scale, share in enumerate(SHARES[name]):
        assert step_flops(config, grids, scale) / image_flops(config, grids) == pytest.approx(share, abs=5.1e-5)


@pytest.mark.parametrize("name, kept", [("infinity-2b", 262_144), ("infinity-8b", 573_440), ("infinity-125m", 36_864)])
def test_bytes_of_a_token(name, kept):
    assert token_bytes(config_of(name)) == kept


def test_the_last_scale_without_its_unguided_half_saves_23_percent():
    config, grids = config_of("infinity-2b"), schedule_of(config_of("infinity-2b"))
    assert step_flops(config, grids, 12, halves=1) / image_flops(config, grids) == pytest.approx(0.232, abs=1e-3)


@pytest.mark.parametrize("side, teraflops", [(64, 9.85), (48, 5.54), (32, 2.46), (20, 0.96), (16, 0.62)])
def test_flops_of_a_preview(side, teraflops):
    assert decode_flops(VAES["infinity-vae-d32reg"], (side, side)) / 1e12 == told(str(teraflops))


@pytest.mark.parametrize("name", ["tiny", "tiny-patchify"])
def test_torch_counts_the_same(name):
    torch.manual_seed(0)
    config, grids = config_of(name), schedule_of(config_of(name))
    model = InfinityTransformer(config).placed("cpu", torch.float32)
    features = torch.randn(64, config.text_dim)
    assert read_flops(config) == pytest.approx(counted(lambda: model.read(features)), rel=0.02)
    text, past = model.read(features), None
    for scale, n in enumerate(grids.tokens):
        cache = KVBatch([past], config.depth)
        grid = torch.randn(1, n, config.bits) if scale else None
        passes = counted(lambda s=scale, g=grid, c=cache: model.step(s, g, text, c, grids))
        assert step_flops(config, grids, scale) == pytest.approx(passes, rel=0.01)
        [past] = cache.segments()


@pytest.mark.parametrize("config", [VaeConfig(8, (1, 1, 1, 1, 1), 32), VaeConfig(14, (1, 2, 4, 4), 32)])
def test_torch_counts_the_decoder_the_same(config):
    vae = Vae(config, encoder=False).eval()
    passes = counted(lambda: vae.decode(torch.randn(1, config.latent_channels, 4, 6)))
    assert decode_flops(config, (4, 6)) == pytest.approx(passes, rel=1e-6)


# Memory


def test_what_a_candidate_of_2b_keeps():
    plan = planner("infinity-2b")
    for label, gigabytes in KEPT_GB.items():
        scale = plan.schedule.labels.index(label)
        kept = sum(map(plan.segment, range(scale + 1)))
        assert kept / 1e9 == told(str(gigabytes)) and kept < plan.held(scale) < kept + 2e6


def test_a_candidate_of_125m_keeps_20_megabytes_and_one_of_8b_7_gigabytes():
    assert planner("infinity-125m").held(6) / 1e6 == pytest.approx(20, abs=1)
    assert planner("infinity-8b").held(12) / 1e9 == pytest.approx(7.4, abs=0.05)


@pytest.mark.parametrize("name, dtype", [("tiny", torch.float32), ("tiny", torch.bfloat16),
                                         ("tiny-patchify", torch.float32)])
def test_working_memory_of_a_pass_is_about_what_is_said(name, dtype):
    """What two more candidates add to the peak."""
    torch.manual_seed(0)
    plan = planner(name, dtype.itemsize)
    config, grids = plan.config, plan.schedule
    model = InfinityTransformer(config).placed("cpu", dtype)
    text, pasts = model.read(torch.randn(64, config.text_dim)), [None] * 4
    for scale, n in enumerate(grids.tokens):
        grid = torch.randn(4, n, config.bits) if scale else None

        def run(count, scale=scale, grid=grid, pasts=pasts):
            cache = KVBatch(pasts[:count], config.depth, keep=scale < len(grids.tokens) - 1)
            model.step(scale, grid if grid is None else grid[:count], text, cache, grids)
            return cache.segments()

        if scale >= 3:
            each = (peak_bytes(lambda: run(4)) - peak_bytes(lambda: run(2))) / 2
            assert 1 / ROOMY < (plan.passing(scale) + plan.segment(scale)) / each < ROOMY
        pasts = run(4)


def test_held_memory_is_what_segments_hold():
    plan = planner("tiny")
    config, past = plan.config, None
    for scale, n in enumerate(plan.schedule.tokens[:-1]):
        kv = torch.empty(config.depth, 2, 2, config.heads, n, config.head_dim, dtype=torch.bfloat16)
        past = Segment(past, kv)
        assert kv.nbytes == plan.segment(scale)
    latent, bits = torch.empty(8, 16, 16).nbytes, 8 * sum(plan.schedule.tokens)
    assert plan.held(6) == sum(segment.kv.nbytes for segment in past.chain()) + latent + bits


@pytest.mark.parametrize("config", [VaeConfig(8, (1, 1, 1, 1, 1), 32), VaeConfig(14, (1, 2, 4, 4), 32)])
def test_working_memory_of_the_decoder_is_about_what_is_said(config):
    vae, latents = Vae(config, encoder=False).eval(), torch.randn(3, config.latent_channels, 8, 12)
    each = (peak_bytes(lambda: vae.decode(latents)) - peak_bytes(lambda: vae.decode(latents[:1]))) / 2
    assert 1 / ROOMY < decode_bytes(config, (8, 12)) / each < ROOMY


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("room", [10**8, 10**9, 12 * 10**9, 80 * 10**9])
def test_as_many_candidates_are_planned_as_fit_and_no_more(name, room):
    plan, before = planner(name), None
    for scale in range(len(plan.schedule.tokens)):
        count = plan.candidates(scale, room)
        assert count * plan.held(scale) + plan.passing(scale) <= room or count == 0
        assert (count + 1) * plan.held(scale) + plan.passing(scale) > room
        assert before is None or count <= before
        before = count


def test_a_pass_is_split_where_memory_is_short():
    """Eight of 2B with 3 GB left: together while grids are small, and five at the last."""
    plan = planner("infinity-2b")
    assert [plan.batch(scale, 8, 3 * 10**9) for scale in (0, 5, 8, 12)] == [8, 8, 8, 5]
    assert plan.batch(12, 8, 0) == 1 and plan.batch(12, 8, 10**12) == 8


def test_2b_fits_a_card_of_12_gb_and_several_candidates_one_of_24():
    """4.5 GB of weights, 0.4 of the autoencoder, 2 to decode; the text encoder is elsewhere by then."""
    plan, weights = planner("infinity-2b"), int((4.5 + 0.4 + 2) * 1e9)
    assert plan.candidates(12, 12 * 10**9 - weights) >= 1
    assert 4 <= plan.candidates(12, 24 * 10**9 - weights) <= 5
