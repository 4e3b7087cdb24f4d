"""Laws of Infinity's transformer, and the tables of its official files, which it must be able to hold."""

import pytest
import torch

from core.models.infinity.bits import code, gather, next_input, pack, spread, unpack
from core.models.infinity.config import CONFIGS, config_of
from core.models.infinity.kv import KVBatch, Segment
from core.models.infinity.rope import rope_table
from core.models.infinity.sampling import bit_probabilities, draw, exponential_noise, mix_guidance, node_noise
from core.models.infinity.schedule import schedule_of
from core.models.infinity.transformer import InfinityTransformer
from core.search.errors import BadRequest

TOTALS = {"infinity-125m": (0.1252, 274), "infinity-2b": (2.2047, 694), "infinity-8b": (8.3761, 862)}  # 1e9, tensors
TINY = ("tiny", "tiny-patchify")


def tiny(name="tiny", dtype=torch.float32):
    """A network in which every parameter matters."""
    torch.manual_seed(5)
    model = InfinityTransformer(config_of(name))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.placed("cpu", dtype)


def features(model, words=5, seed=0):
    return torch.randn(words, model.config.text_dim, generator=torch.Generator().manual_seed(seed))


def random_bits(model, grids, count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(count, n, model.config.bits, generator=generator) > 0.5 for n in grids.tokens]


def inputs(bits, grids, config):
    """What each scale reads, if these are the bits of all."""
    total, read = torch.zeros(len(bits[0]), config.latent_channels, *grids.latent()), [None]
    for scale, one in enumerate(bits[:-1]):
        total = total + code(one, grids, scale)
        read.append(next_input(total, grids, scale + 1))
    return read


def incremental(model, text, bits, grids, pasts=None):
    """Logits scale by scale with cached keys and values, and the last segments."""
    pasts, found = pasts or [None] * len(bits[0]), []
    for scale, grid in enumerate(inputs(bits, grids, model.config)):
        cache = KVBatch(pasts, model.config.depth)
        found.append(model.step(scale, grid, text, cache, grids))
        pasts = cache.segments()
    return found, pasts


# The official files


def table(config):
    """Names and shapes in an official file, with blocks counted through; zero_k_bias, which is constant, apart."""
    c, t, h, pool = config.dim, config.text_dim, config.heads, config.text_dim // 128
    outside = {
        "cfg_uncond": (512, t), "pos_start": (1, 1, c), "text_norm.weight": (t,), "lvl_embed.weight": (15, c),
        "text_proj_for_sos.ca.mat_q": (1, pool, c // pool), "text_proj_for_sos.ca.mat_kv.weight": (2 * c, t),
        "text_proj_for_sos.ca.v_bias": (c,), "text_proj_for_sos.ca.proj.weight": (c, c),
        "text_proj_for_sos.ca.proj.bias": (c,), "text_proj_for_ca.0.weight": (c, t), "text_proj_for_ca.0.bias": (c,),
        "text_proj_for_ca.2.weight": (c, c), "text_proj_for_ca.2.bias": (c,),
        "word_embed.weight": (c, config.bits), "word_embed.bias": (c,),
        "shared_ada_lin.1.weight": (6 * c, c), "shared_ada_lin.1.bias": (6 * c,),
        "head_nm.ada_lin.1.weight": (2 * c, c), "head_nm.ada_lin.1.bias": (2 * c,),
        "head.weight": (2 * config.bits, c), "head.bias": (2 * config.bits,),
    }  # fmt: skip
    block = {
        "ada_gss": (1, 1, 6, c), "sa.scale_mul_1H11": (1, h, 1, 1), "sa.mat_qkv.weight": (3 * c, c),
        "sa.q_bias": (c,), "sa.v_bias": (c,), "sa.proj.weight": (c, c), "sa.proj.bias": (c,),
        "ca_norm.weight": (c,), "ca_norm.bias": (c,), "ca.mat_q.weight": (c, c), "ca.mat_q.bias": (c,),
        "ca.mat_kv.weight": (2 * c, c), "ca.v_bias": (c,), "ca.proj.weight": (c, c), "ca.proj.bias": (c,),
        "ffn.fc1.weight": (4 * c, c), "ffn.fc1.bias": (4 * c,), "ffn.fc2.weight": (c, 4 * c), "ffn.fc2.bias": (c,),
    }  # fmt: skip
    return outside | {f"blocks.{i}.{key}": shape for i in range(config.depth) for key, shape in block.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_names_and_shapes_are_those_of_the_official_file(name):
    config = config_of(name)
    with torch.device("meta"):
        weights = InfinityTransformer(config).state_dict()
    assert {key: tuple(value.shape) for key, value in weights.items()} == table(config)


@pytest.mark.parametrize("name", TOTALS)
def test_the_official_model_has_as_many_parameters_and_tensors(name):
    """Its keys' zero biases counted: two a block, and the pool's."""
    config = config_of(name)
    zeros = 2 * config.depth + 1
    with torch.device("meta"):
        weights = InfinityTransformer(config).state_dict()
    total = sum(value.numel() for value in weights.values()) + zeros * config.dim
    assert (round(total / 1e9, 4), len(weights) + zeros) == TOTALS[name]


# Laws


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_cached_scales_equal_one_pass_over_all(name):
    model, grids = tiny(name), schedule_of(config_of(name))
    text, bits = model.read(features(model)), random_bits(model, grids, 2)
    together = model(inputs(bits, grids, model.config), text, grids)
    alone, _ = incremental(model, text, bits, grids)
    for one, other in zip(alone, together, strict=True):
        assert torch.allclose(one, other.expand_as(one), atol=1e-4)


@torch.no_grad()
def test_a_batch_of_beams_equals_each_alone():
    model, grids = tiny(), schedule_of(config_of("tiny"))
    text, bits = model.read(features(model)), random_bits(model, grids, 3)
    together, _ = incremental(model, text, bits, grids)
    for row in range(3):
        alone, _ = incremental(model, text, [one[row : row + 1] for one in bits], grids)
        for one, other in zip(alone, together, strict=True):
            assert torch.allclose(one[:, 0], other[:, row], atol=1e-5)


@torch.no_grad()
def test_beams_that_share_a_prefix_read_the_same_as_beams_that_hold_one_each():
    """A segment shared by all is spread at once, others are copied one by one: both make the same batch."""
    first, kv = Segment(None, torch.randn(3, 2, 2, 4, 1, 8)), torch.randn(3, 2, 2, 4, 6, 8)
    key, value = torch.randn(2, 6, 4, 2, 8)  # [G * B, H, n, E]
    same, pasts = Segment(first, kv), [Segment(first, kv.clone()) for _ in range(3)]
    for layer in range(3):
        a = KVBatch(pasts, 3).extend(layer, key, value)
        b = KVBatch([same] * 3, 3).extend(layer, key, value)
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        assert a[0].shape == (6, 4, 1 + 6 + 2, 8)


@torch.no_grad()
def test_the_unguided_half_does_not_depend_on_the_prompt_but_on_its_length():
    model = tiny()
    a, b, longer = (model.read(features(model, words, seed)) for words, seed in ((5, 0), (5, 1), (6, 1)))
    assert torch.equal(a.start[1], b.start[1]) and not torch.equal(a.start[0], b.start[0])
    assert not torch.allclose(a.start[1], longer.start[1], atol=1e-3)
    alone = model.read(features(model), guided=False)
    assert alone.halves == 1 and torch.allclose(alone.start[0], a.start[0], atol=1e-5)


@torch.no_grad()
def test_half_precision_is_of_the_blocks_only_and_near():
    exact, half = tiny(), tiny(dtype=torch.bfloat16)
    assert half.blocks[0].ffn.fc1.weight.dtype == torch.bfloat16
    assert {half.head.weight.dtype, half.blocks[0].ada_gss.dtype, half.cfg_uncond.dtype} == {torch.float32}
    grids = schedule_of(exact.config)
    bits = random_bits(exact, grids, 1)
    one, two = (incremental(model, model.read(features(model)), bits, grids)[0] for model in (exact, half))
    for a, b in zip(one, two, strict=True):
        assert b.dtype == torch.float32 and 0 < (a - b).abs().max() < 0.1 * a.std() + 0.1


def test_features_of_another_encoder_are_refused():
    model = tiny()
    for wrong in (torch.zeros(5, 128), torch.zeros(0, 256), torch.zeros(513, 256), torch.zeros(1, 5, 256)):
        with pytest.raises(BadRequest, match="1 to 512 tokens of 256 numbers"):
            model.read(wrong)


# Positions, bits, draws


def test_a_place_keeps_its_angle_while_grids_grow():
    """Row 8 of 16, 16 of 32 and 32 of 64 are the middle of the picture; the corner is never turned."""
    tables = [rope_table((side, side), (64, 64), 32, torch.device("cpu")) for side in (16, 32, 64)]
    middles = [table[:, side // 2 * side + side // 2] for table, side in zip(tables, (16, 32, 64), strict=True)]
    assert torch.equal(middles[0], middles[1]) and torch.equal(middles[1], middles[2])
    assert torch.equal(tables[0][:, 0], torch.stack([torch.ones(16), torch.zeros(16)]))


def test_places_between_two_rows_go_to_the_even_one():
    table = rope_table((4, 1), (10, 1), 4, torch.device("cpu"))  # 2.5 and 7.5; the first rate is 1
    assert torch.allclose(table[0, :, 0], torch.tensor([0.0, 2.0, 5.0, 8.0]).cos())


@pytest.mark.parametrize("name", TINY)
def test_tokens_become_a_picture_and_tokens_again(name):
    config, grids = config_of(name), schedule_of(config_of(name), 1.5)
    for scale, n in enumerate(grids.tokens):
        tokens = torch.randn(2, n, config.bits)
        picture = spread(tokens, grids, scale)
        assert picture.shape == (2, config.latent_channels, *grids.latent(scale))
        assert torch.equal(gather(picture, grids), tokens)


def test_packed_bits_come_back_and_others_are_refused():
    grids = schedule_of(config_of("tiny"))
    bits = [one[0] for one in random_bits(tiny(), grids, 1)]
    for scales in (0, 1, 7):
        back = unpack(pack(bits[:scales]), grids, 8, scales)
        assert len(back) == scales and all(map(torch.equal, back, bits))
    for data, scales in ((pack(bits), 6), (b"", 1), (pack(bits), 8)):
        with pytest.raises(ValueError, match="do not hold"):
            unpack(data, grids, 8, scales)


def test_a_draw_is_torch_s_multinomial():
    p = torch.rand(500, 2).softmax(-1)
    ours = draw(p, exponential_noise((500, 2), torch.Generator().manual_seed(3)))
    assert torch.equal(ours, torch.multinomial(p, 1, True, generator=torch.Generator().manual_seed(3))[:, 0].bool())


def test_bits_are_drawn_as_often_as_they_are_probable_and_certain_ones_always():
    logits = torch.tensor([[0.0, 1.0], [0.0, 3.4], [3.6, 0.0]])
    p = bit_probabilities(logits, 1.0, 0.97)
    assert torch.allclose(p[:2], logits[:2].softmax(-1)) and p[2].tolist() == [1.0, 0.0]
    drawn = draw(p.expand(4000, 3, 2), node_noise(7, 0, (4000, 3, 2))).float().mean(0)
    assert torch.allclose(drawn, p[:, 1], atol=0.03) and drawn[2] == 0


def test_even_bits_stay_open_whatever_is_cut():
    assert bit_probabilities(torch.zeros(3, 2), 0.5, 0.1).tolist() == [[0.5, 0.5]] * 3


def test_guidance_one_is_the_prompt_s_half_and_zero_the_other():
    both = torch.randn(2, 1, 4, 8, 2)
    assert torch.equal(mix_guidance(both, 1.0), both[0]) and torch.equal(mix_guidance(both, 0.0), both[1])
    assert torch.equal(mix_guidance(both[:1], 3.0), both[0])


def test_noise_belongs_to_a_node_and_a_scale():
    one, same, other_node, other_scale = (node_noise(*at, (64, 8, 2)) for at in ((1, 2), (1, 2), (2, 2), (1, 3)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other_node) and not torch.equal(one, other_scale)


@torch.no_grad()
def test_attention_is_never_sharper_than_a_hundred():
    """Trained values may be larger; they count as that, as officially."""
    model, grids = tiny(), schedule_of(config_of("tiny"))
    text = model.read(features(model), guided=False)

    def logits(sharpness):
        model.blocks[0].sa.scale_mul_1H11.fill_(sharpness)
        found, _ = incremental(model, text, random_bits(model, grids, 1)[:3], grids)
        return found[-1]

    hundred = logits(torch.tensor(100.0).log().item())
    assert torch.equal(logits(9.0), hundred) and not torch.allclose(logits(4.0), hundred)
