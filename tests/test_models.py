"""The embedded networks: discrete bottleneck, causality, algebra of diffusion, prices against torch's own counter."""

from itertools import accumulate

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from core.generators.emoji_ar import DECODE_FLOPS
from core.models.flow import LEAST_T, Flow, velocity, x0_from_velocity
from core.models.next_scale import NextScale, block_causal, corrupted_history
from core.models.text import NOMINAL_WORDS, tokenise
from core.models.tokenizer import SCALES, Tokenizer
from core.models.weights import FOLDER, from_images, load_config, load_weights, save_weights, sha256, to_images


def awake(model: torch.nn.Module) -> torch.nn.Module:
    """A random model whose zero-initialised layers say something too."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    return awake(Tokenizer())


def test_bits_alone_rebuild_the_latent(tokenizer):
    """The bottleneck is discrete: what is decoded depends on the bits and on nothing else of the image."""
    latent = torch.randn(3, 32, 8, 8)
    bits, sums, _ = tokenizer.quantise(latent)
    total = sum(tokenizer.code(b, k) for k, b in enumerate(bits))
    assert torch.allclose(total, sums[-1], atol=1e-5)
    again, _, _ = tokenizer.quantise(latent + 0)
    assert all(torch.equal(a, b) for a, b in zip(bits, again, strict=True))
    assert [b.shape[-1] for b in bits] == list(SCALES)


def test_each_scale_brings_the_running_sum_nearer():
    """Residual quantisation with the trained step lengths reduces the error at every scale."""
    path = FOLDER / "tokenizer.safetensors"
    trained = load_weights(Tokenizer(), path)
    latent = trained.encode(torch.rand(4, 3, 128, 128) * 2 - 1)
    sums = trained.quantise(latent)[1]
    errors = [float((latent - total).square().mean()) for total in sums]
    assert errors == sorted(errors, reverse=True)


def test_a_clean_history_has_the_quantiser_s_own_bits(tokenizer):
    latent = torch.randn(2, 32, 8, 8)
    _, targets = corrupted_history(tokenizer, latent, torch.zeros(1, 1, 1, 1), torch.Generator())
    assert all(torch.equal(a, b) for a, b in zip(targets, tokenizer.quantise(latent)[0], strict=True))


def test_targets_after_a_flip_are_recomputed(tokenizer):
    latent, rate = torch.randn(2, 32, 8, 8), torch.full((1, 1, 1, 1), 0.3)
    _, clean = corrupted_history(tokenizer, latent, 0 * rate, torch.Generator())
    _, targets = corrupted_history(tokenizer, latent, rate, torch.Generator().manual_seed(1))
    assert torch.equal(targets[0], clean[0]) and not torch.equal(targets[-1], clean[-1])


def test_no_scale_sees_a_later_one(tokenizer):
    torch.manual_seed(1)
    model, prompt = awake(NextScale()), tokenise(["a red car"])
    grids = [None, *(torch.randn(1, 32, side, side) for side in SCALES[1:])]
    before = model(grids, prompt)
    changed = model([*grids[:5], grids[5] + 1], prompt)
    tokens = sum(side**2 for side in SCALES[:5])
    assert torch.allclose(before[:, :tokens], changed[:, :tokens], atol=1e-5)
    assert not torch.allclose(before[:, tokens:], changed[:, tokens:], atol=1e-2)
    assert block_causal(SCALES).sum() == sum(s**2 * sum(r**2 for r in SCALES[: k + 1]) for k, s in enumerate(SCALES))


def test_velocity_and_x0_invert_each_other():
    x, x0 = torch.randn(4, 2, 3, 3), torch.randn(4, 2, 3, 3)
    t = torch.tensor([LEAST_T, 0.3, 0.7, 1.0])
    assert torch.allclose(x0_from_velocity(x, velocity(x, x0, t), t), x0, atol=1e-5)


def test_one_step_from_noise_with_a_perfect_model_is_the_image():
    x0, noise = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    t = torch.ones(1)
    assert torch.allclose(noise - velocity(noise, x0, t), x0, atol=1e-6)


def counted(run) -> float:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        run()
    return counter.get_total_flops()


def peak_bytes(run) -> int:
    """The most memory that torch's allocator held at a time for what `run` made, after a first run to warm up."""
    with torch.no_grad():
        run()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            kept = run()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    del kept
    return max(sizes)


def nominal_prompt():
    return torch.ones(1, NOMINAL_WORDS, dtype=torch.long)


def test_price_of_every_scale_agrees_with_torch_s_counter():
    model = NextScale().eval()
    context = model.read(nominal_prompt())
    for number, side in enumerate(SCALES):
        grid = torch.randn(1, 32, side, side) if number else None
        cache = model.cache(number, 1).normal_()

        def run(number=number, grid=grid, cache=cache):
            model.step(number, grid, model.read(nominal_prompt()) if number == 0 else context, cache)

        assert model.step_flops(number, NOMINAL_WORDS) == pytest.approx(counted(run), rel=0.02)


def test_price_of_a_flow_step_and_of_a_decode_agree_with_torch_s_counter(tokenizer):
    model = Flow().eval()
    read = model.read(nominal_prompt())
    x, t = torch.randn(1, 32, 8, 8), torch.ones(1)
    assert model.step_flops(NOMINAL_WORDS) == pytest.approx(counted(lambda: model.predict(x, t, read)), rel=0.02)
    assert model.text_flops(NOMINAL_WORDS) == pytest.approx(counted(lambda: model.read(nominal_prompt())), rel=0.02)
    assert pytest.approx(counted(lambda: tokenizer.decode(x)), rel=0.02) == DECODE_FLOPS


def test_weights_round_trip_strictly(tmp_path):
    torch.manual_seed(2)
    model = Flow()
    sha = save_weights(model, tmp_path / "flow.safetensors", {"size": "XS"})
    assert sha == sha256(tmp_path / "flow.safetensors")
    assert load_config(tmp_path / "flow.safetensors") == {"size": "XS"}
    again = load_weights(Flow(), tmp_path / "flow.safetensors")
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)
    with pytest.raises(RuntimeError, match="Missing key"):
        load_weights(NextScale(), tmp_path / "flow.safetensors")


def test_pixels_survive_the_way_to_the_model_and_back():
    images = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8).numpy()
    assert (to_images(from_images(images)) == images).all()
