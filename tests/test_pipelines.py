"""Foreign diffusion models behind our loop, on random pipelines of their real classes.

What they compute is the stock pipelines' own; what can be done with them is the contract of core/generators/base.py.
"""

import ast
import random
from base64 import b64decode
from itertools import combinations
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from diffusers import FluxTransformer2DModel

from core.generators import pipelines
from core.generators.pipelines import diffusion, loading, lodging
from core.generators.pipelines.diffusion import Diffusion
from core.generators.pipelines.family import Sampling
from core.generators.pipelines.flux import Flux, flux_flops, packed
from core.generators.pipelines.pictures import FullPictures, TinyPictures
from core.generators.pipelines.sd3 import StableDiffusion3
from core.generators.pipelines.sdxl import StableDiffusionXL
from core.generators.pipelines.z_image import ZImage
from core.search.budget import Cost
from core.search.errors import BadRequest, WeightsMissing
from core.search.events import Failed, RunSpec
from core.search.search import Search
from core.search.sizing import estimate
from tests import tiny_pipelines as tiny
from tests.test_models import counted, peak_bytes
from tests.tiny_pipelines import PROMPT, SIDE

STEPS = 4
ROOMY = 1.5  # a figure of working memory is right within this factor
# Each with how a stock pipeline is called for the same.
FAMILIES = {
    "flux-schnell": (tiny.flux, Flux, 0.0, {"max_sequence_length": 256}),
    "flux-dev": (lambda: tiny.flux(True), Flux, 3.5, {"max_sequence_length": 512}),
    "sdxl": (tiny.sdxl, StableDiffusionXL, 5.0, {}),
    "sd35-medium": (tiny.sd3, StableDiffusion3, 4.5, {"max_sequence_length": 256}),
    "z-image-turbo": (tiny.z_image, ZImage, 0.0, {}),
}


UNGUIDED = ("sdxl", "sd35-medium")  # which may also run without guidance, in half the passes


def made(name, eta=0.0, quick=True, max_batch=4, cfg=None):
    make, family, usual, _ = FAMILIES[name]
    pipe, cfg = make(), usual if cfg is None else cfg
    pictures = TinyPictures(tiny.tiny_vae(4)) if quick else None
    network = family(pipe, Sampling(STEPS, cfg, eta, SIDE))
    return Diffusion(f"tiny-{name}", network, FullPictures(pipe.vae), pictures, max_batch=max_batch)


LAWS = ("flux-dev", "sdxl", "sd35-medium", "z-image-turbo")  # one of each kind of network
every_model = pytest.mark.parametrize("name", FAMILIES)
every_family = pytest.mark.parametrize("name", LAWS)
samplers = pytest.mark.parametrize("eta", [0.0, 0.5], ids=["ode", "sde"])


def path(generator, seeds):
    """The states of one path, root first."""
    states = [generator.start(PROMPT)]
    for seed in seeds:
        states += generator.step([states[-1]], [seed])
    return states


def full_path(generator, first=11):
    return path(generator, range(first, first + generator.num_steps))


def stock(name, seed, output="latent", cfg=None):
    """What the stock pipeline makes of the seed."""
    make, _, usual, settings = FAMILIES[name]
    pipe, cfg = make(), usual if cfg is None else cfg
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        PROMPT, height=SIDE, width=SIDE, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(seed),
        guidance_scale=cfg, output_type=output, **settings,
    ).images


# What is computed


@every_model
def test_latents_are_those_of_the_stock_pipeline(name):
    """The seed of the first step is all that an ODE sampler draws."""
    [*_, last] = path(made(name), [5, 6, 7, 8])
    ours, theirs = last.x0_hat[None], stock(name, 5)
    ours = packed(ours) if theirs.ndim == 3 else ours
    assert theirs.std() > 0.1 and torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("name", UNGUIDED)
def test_without_guidance_too_and_for_half_the_price(name):
    plain, usual = made(name, cfg=1.0), made(name)
    [*_, last], guided = path(plain, [5, 6, 7, 8]), path(usual, [5, 6, 7, 8])[-1]
    assert torch.allclose(last.x0_hat[None], stock(name, 5, cfg=1.0), atol=1e-4)
    assert not torch.allclose(last.x0_hat, guided.x0_hat, atol=0.01)
    passes = counted(lambda: plain.step([plain.start(PROMPT)], [1]))
    assert plain.step_cost(0).flops_generator == pytest.approx(passes, rel=0.02)
    assert plain.step_cost(0).flops_generator == usual.step_cost(0).flops_generator / 2


@every_model
def test_a_finished_image_is_the_stock_pipeline_s(name):
    [*_, last] = path(made(name), [5, 6, 7, 8])
    theirs = stock(name, 5, "np") * 255
    assert np.abs(made(name).preview([last]) - theirs).max() < 0.51  # rounded


@every_family
def test_the_prompt_matters(name):
    generator = made(name)
    [state] = generator.step([generator.start(PROMPT)], [5])
    [other] = generator.step([generator.start("two blue dogs")], [5])
    assert torch.equal(state.x, other.x) and not torch.allclose(state.x0_hat, other.x0_hat, atol=1e-3)


@every_model
def test_every_pass_costs_what_torch_counts(name):
    generator = made(name)
    read = counted(lambda: generator.start(PROMPT))
    assert generator.start_cost.flops_generator == pytest.approx(read, rel=0.02)
    states = full_path(generator)
    for step in range(STEPS):
        passes = counted(lambda n=step: generator.step([states[n]], [1]))
        assert generator.step_cost(step).flops_generator == pytest.approx(passes, rel=0.02)
    back = counted(lambda: generator.renoise([states[-1]], 2, [1]))
    assert generator.step_cost(1).flops_generator == pytest.approx(back, rel=0.02)
    aside = counted(lambda: generator.neighbours([states[-1]], [1], 0.9))
    assert generator.step_cost(0).flops_generator == pytest.approx(aside, rel=0.02)


@every_family
def test_pictures_cost_what_torch_counts(name):
    generator = made(name)
    states = full_path(generator)
    preview, image = (counted(lambda state=state: generator.preview([state])) for state in (states[2], states[-1]))
    assert generator.decode_cost.flops_decoder == pytest.approx(preview, rel=0.02)
    assert generator.preview_cost(2) == generator.decode_cost
    assert generator.preview_cost(STEPS).flops_decoder == pytest.approx(image, rel=0.02)


@every_family
def test_working_memory_of_a_candidate_is_about_what_is_said(name):
    """What four more candidates add to the peak of a call."""
    generator = made(name)
    states = generator.step([generator.start(PROMPT)] * 8, range(8))
    few, many = (peak_bytes(lambda n=n: generator.step(states[:n], range(n))) for n in (4, 8))
    assert 1 / ROOMY < generator.step_bytes(1) / ((many - few) / 4) < ROOMY
    few, many = (peak_bytes(lambda n=n: generator.preview(states[:n])) for n in (4, 8))
    assert 1 / ROOMY < generator.preview_bytes(1) / ((many - few) / 4) < ROOMY
    images = full_path(generator)[-1:] * 8
    few, many = (peak_bytes(lambda n=n: generator.preview(images[:n])) for n in (4, 8))
    assert 1 / ROOMY < generator.preview_bytes(STEPS) / ((many - few) / 4) < ROOMY


def test_weights_are_all_networks_counted_once():
    generator, pipe = made("flux-schnell"), tiny.flux()
    networks = (pipe.text_encoder, pipe.text_encoder_2, pipe.transformer, pipe.vae, tiny.tiny_vae(4))
    tensors = [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]
    assert generator.weights_bytes == sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def test_at_full_size_too():
    """FLUX.1 at 1024 pixels by its published configuration: 74.4 TFLOP a step, without a weight in memory."""
    shapes = {
        "hidden_states": (1, 4096, 64), "encoder_hidden_states": (1, 512, 4096), "pooled_projections": (1, 768),
        "txt_ids": (512, 3), "img_ids": (4096, 3), "timestep": (1,), "guidance": (1,),
    }
    with torch.device("meta"):
        full = FluxTransformer2DModel(guidance_embeds=True)
        passes = counted(lambda: full(**{name: torch.zeros(shape) for name, shape in shapes.items()}))
    assert flux_flops(full, 4096, 512) == pytest.approx(passes, rel=1e-6) == pytest.approx(74.4e12, rel=0.001)
    assert sum(parameter.numel() for parameter in full.parameters()) == 11_901_408_320


# Pictures


@every_family
def test_unfinished_images_come_from_the_small_decoder_and_finished_ones_from_the_pipeline_s(name):
    states, slow = full_path(made(name)), made(name, quick=False)
    quick = made(name).preview(states[1:])
    for state, image in zip(states[1:], quick, strict=True):
        same = (slow.preview([state])[0] == image).all()
        assert image.shape == (SIDE, SIDE, 3) and image.dtype == np.uint8
        assert same == (state is states[-1])
    assert slow.preview_cost(2) == slow.preview_cost(STEPS) != made(name).preview_cost(2)


def test_large_previews_are_made_smaller_and_images_are_not(monkeypatch):
    generator = made("flux-schnell")
    states = full_path(generator)
    [large] = generator.preview(states[2:3])
    monkeypatch.setattr(diffusion, "PREVIEW_SIDE", SIDE // 2)
    [small] = generator.preview(states[2:3])
    assert small.shape == (SIDE // 2, SIDE // 2, 3) and generator.preview(states[-1:]).shape == (1, SIDE, SIDE, 3)
    squares = large.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).astype(float).mean((1, 3))
    clipped = np.isin(large, (0, 255)).reshape(SIDE // 2, 2, SIDE // 2, 2, 3).any((1, 3))
    assert np.abs(small - squares)[~clipped].max() <= 1
    assert generator.preview(states[2:]).shape == (3, SIDE, SIDE, 3)  # side by side they are of one size


# A state is a value


@every_family
def test_a_batch_equals_single_steps(name):
    generator = made(name, 0.5)
    a, b = generator.step([generator.start(PROMPT)] * 2, [1, 2])
    for move in (generator.step, lambda states, seeds: generator.neighbours(states, seeds, 0.7)):
        batch = move([a, b, a], [5, 6, 7])
        for state, parent, seed in zip(batch, [a, b, a], [5, 6, 7], strict=True):
            [single] = move([parent], [seed])
            assert torch.allclose(state.x, single.x, atol=1e-4)
            assert torch.allclose(state.x0_hat, single.x0_hat, atol=1e-4)
            assert np.abs(generator.preview([state]).astype(int) - generator.preview([single])).max() <= 1


@every_family
@samplers
def test_a_fork_equals_separate_runs(name, eta):
    """Two paths that part in the middle, grown side by side, against each alone."""
    generator = made(name, eta)
    shared = path(generator, [1, 2])[-1]
    both = [shared, shared]
    for seeds in ([3, 4], [5, 6]):
        both = generator.step(both, seeds)
    for state, seeds in zip(both, ([1, 2, 3, 5], [1, 2, 4, 6]), strict=True):
        assert torch.allclose(state.x0_hat, path(made(name, eta), seeds)[-1].x0_hat, atol=1e-4)


@every_family
@samplers
def test_seeds_matter_exactly_at_the_branching_steps(name, eta):
    generator = made(name, eta)
    states = full_path(generator)
    for step in range(STEPS):
        a, b = generator.step([states[step]] * 2, [100, 200])
        assert torch.equal(a.x, b.x) == (step not in generator.branching_steps)
        assert torch.equal(a.x0_hat, b.x0_hat) == (step not in generator.branching_steps)
    assert ("branches" in generator.abilities) == (max(generator.branching_steps) > 0) == (eta > 0)


def test_a_step_changes_no_state_it_was_given():
    generator = made("flux-schnell", 0.5)
    [state] = generator.step([generator.start(PROMPT)], [1])
    before = [tensor.clone() for tensor in state.tensors()]
    generator.step([state, state], [2, 3])
    assert all(torch.equal(a, b) for a, b in zip(before, state.tensors(), strict=True))


def test_dropping_a_state_leaves_nothing_of_it_in_others():
    generator = made("flux-schnell")
    a, b = generator.step([generator.start(PROMPT)] * 2, [1, 2])
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in (a.x, a.x0_hat))
    assert generator.held_bytes([a, b, a]) - generator.held_bytes([a]) == b.x.nbytes + b.x0_hat.nbytes


def test_there_is_no_step_after_the_last():
    generator = made("flux-schnell")
    with pytest.raises(ValueError, match="no further one"):
        generator.step([full_path(generator)[-1]], [0])


def test_a_prompt_is_read_once():
    """Reading moves the largest encoders; clicking nodes of a finished run thaws one state after another."""
    generator = made("flux-schnell")
    assert generator.start(PROMPT).read is generator.start(PROMPT).read


def wander(generator, rng, length):
    """States along a path that goes on, back and aside."""
    [state], states = generator.step([generator.start(PROMPT)], [rng.getrandbits(63)]), []
    for _ in range(length):
        moves = ["step"] * 2 * (state.taken < STEPS) + ["renoise"] * 2 * (state.taken > 1) + ["neighbours"]
        move, seed = rng.choice(moves), rng.getrandbits(63)
        if move == "step":
            [state] = generator.step([state], [seed])
        elif move == "neighbours":
            [state] = generator.neighbours([state], [seed], rng.uniform(-1, 1))
        else:
            [state] = generator.renoise([state], rng.randint(1, state.taken - 1), [seed])
        states.append(state)
    return states


@every_family
@samplers
def test_a_thawed_state_is_the_live_one_however_it_was_made(name, eta):
    generator = made(name, eta)
    for state in [full_path(generator)[-1], *wander(generator, random.Random(3), 6)[1::2]]:
        thawed = generator.thaw(PROMPT, generator.freeze(state))
        assert generator.freeze(thawed) == generator.freeze(state) and thawed.taken == state.taken
        assert torch.allclose(thawed.x, state.x, atol=1e-3)
        assert torch.allclose(thawed.x0_hat, state.x0_hat, atol=1e-3)


def test_the_bare_prompt_is_frozen_too():
    generator = made("flux-schnell")
    assert generator.thaw(PROMPT, generator.freeze(generator.start(PROMPT))).taken == 0


@pytest.mark.parametrize("data", [b"x" * 3, b"\xff" * 4001, bytes(9) * (STEPS + 1)])
def test_bytes_of_something_else_are_refused(data):
    """Of which the last would draw once more than there are steps."""
    with pytest.raises(ValueError, match="tiny-flux-schnell"):
        made("flux-schnell").thaw(PROMPT, data)


# Going back


@every_family
def test_noise_all_the_way_back_is_a_fresh_start(name):
    generator = made(name)
    [fresh] = generator.step([generator.start(PROMPT)], [9])
    [back] = generator.renoise([full_path(generator)[-1]], 1, [9])
    assert torch.equal(back.x, fresh.x) and torch.allclose(back.x0_hat, fresh.x0_hat, atol=1e-4)
    assert generator.freeze(back) == generator.freeze(fresh)


@every_family
@pytest.mark.parametrize("step", [2, 3])
def test_renoised_latents_are_as_if_noised_from_the_image_at_once(name, step):
    """Given x0, what is not keep * x0 has the standard deviation of that step, and no part of the image in it."""
    generator = made(name)
    keeps, sigmas = generator.noising.keeps, generator.noising.sigmas
    generator.family.direction = lambda x, step, read: x  # what is predicted from there does not matter here
    state, x0 = full_path(generator)[-1], torch.randn(generator.family.latent)
    noise = torch.randn(48, *x0.shape)
    noisy = [type(state)(state.read, state.recipe, STEPS, keeps[-1] * x0 + sigmas[-1] * one) for one in noise]
    back = torch.stack([new.x for new in generator.renoise(noisy, step, range(48))])
    rest = back - keeps[step - 1] * x0
    assert float(rest.std()) == pytest.approx(sigmas[step - 1], rel=0.02)
    assert abs(float((rest * x0).mean())) < 5 * sigmas[step - 1] / rest.numel() ** 0.5
    kept = keeps[step - 1] / keeps[-1] * sigmas[-1]  # of the old noise
    assert float((rest * noise).mean()) == pytest.approx(kept, abs=0.02 * sigmas[step - 1])


@every_family
def test_fresh_noise_is_as_strong_as_the_noise_it_replaces(name):
    """Where the prediction is right a path of the SDE sampler has the noise of each step, as one of the ODE sampler."""
    generator = made(name, 0.5)
    x0, sigmas, keeps = torch.randn(generator.family.latent), generator.noising.sigmas, generator.noising.keeps
    generator.family.direction = lambda x, step, read: (x - x0) / sigmas[step]  # whatever x, its image is x0
    [state] = generator.step([generator.start(PROMPT)], [1])
    noise = torch.randn(24, *x0.shape)
    states = [type(state)(state.read, state.recipe, 1, keeps[0] * x0 + sigmas[0] * one, x0) for one in noise]
    for step in range(1, STEPS):
        states = generator.step(states, range(100 * step, 100 * step + 24))
        rest = torch.stack([state.x for state in states]) - keeps[step] * x0
        assert float(rest.std()) == pytest.approx(sigmas[step], rel=0.03)


def test_there_is_no_way_back_to_where_a_state_has_not_been():
    generator = made("flux-schnell")
    states = full_path(generator)
    for state, step in ((states[-1], 0), (states[-1], STEPS), (states[2], 2), (states[0], 1)):
        with pytest.raises(ValueError, match="cannot renoise"):
            generator.renoise([state], step, [1])


@every_family
def test_neighbours_keep_the_norm_and_have_the_cosine_asked_for(name):
    generator = made(name)
    states = full_path(generator)
    for near in generator.neighbours([states[1], states[-1]], [1, 2], 0.9):
        assert near.taken == 1 and float(near.x.norm()) == pytest.approx(float(states[1].x.norm()), rel=1e-4)
        cosine = torch.nn.functional.cosine_similarity(near.x.flatten(), states[1].x.flatten(), 0)
        assert float(cosine) == pytest.approx(0.9, abs=1e-4)
    [same] = generator.neighbours([states[-1]], [9], 1.0)
    assert torch.allclose(same.x0_hat, states[1].x0_hat, atol=1e-3)


def test_neighbours_need_a_cosine_and_a_first_noise():
    generator = made("flux-schnell")
    states = path(generator, [1])
    for state, closeness in ((states[0], 0.5), (states[1], 1.5), (states[1], float("nan"))):
        with pytest.raises(ValueError, match="closeness"):
            generator.neighbours([state], [1], closeness)


@every_family
def test_signatures_are_nearer_for_latents_that_look_alike(name):
    """Distances between averaged latents survive."""
    generator = made(name)
    states = generator.step([generator.start(PROMPT)] * 4, range(4))
    images = torch.stack([state.x0_hat for state in states])
    looks = torch.nn.functional.adaptive_avg_pool2d(images, 16).flatten(1)
    signatures = torch.tensor(generator.signature(states))
    assert signatures.shape == (4, 64)
    for a, b in combinations(range(4), 2):
        assert 0.6 < float((signatures[a] - signatures[b]).norm() / (looks[a] - looks[b]).norm()) < 1.6


# In a search


class Redness:
    """Likes red."""

    name, cost, max_batch, weights_bytes, image_bytes = "redness", Cost(verifier_calls=1, flops_verifier=1e6), 8, 0, 0

    def score(self, prompt, images):
        return [float(image[..., 0].mean() - image[..., 1:].mean()) for image in map(np.asarray, images)]


def searched(generator, strategy, **params):
    spec = RunSpec(PROMPT, generator.name, strategy, params, verifier="redness", seed=3)
    search = Search(generator, {"redness": Redness()}, spec)
    failed = [event for event in search.run() if isinstance(event, Failed)]
    assert not failed
    return search, estimate(spec, generator, {"redness": Redness()})


FEW = [("search_over_paths", 0.0, {"paths": 2, "branch": 2, "start": 2, "jump": 1, "gain": 1}),
       ("beam_search", 0.5, {"width": 1, "branch": 2})]
MORE = [("random_search", 0.0, {"n": 3}), ("zero_order", 0.0, {"neighbours": 2, "rounds": 2}),
        ("beam_search", 0.5, {"width": 2, "branch": 2, "look": "rollout"}),
        ("fk_steering", 0.5, {"particles": 3, "every": 1})]
SEARCHES = [(name, *case) for name in LAWS for case in [*FEW, *MORE * (name == "flux-dev")]]


@pytest.mark.parametrize(("name", "strategy", "eta", "params"), SEARCHES, ids=lambda value: str(value))
def test_a_search_ends_with_an_image_and_costs_no_more_than_was_estimated(name, strategy, eta, params):
    generator = made(name, eta)
    search, expected = searched(generator, strategy, **params)
    spent, best = search.tree.spent, search.tree.best()
    if best.step == STEPS:  # else it was seen ahead of an earlier node
        thawed = generator.thaw(PROMPT, b64decode(best.state))
        [again] = Redness().score(PROMPT, generator.preview([thawed]))
        assert again == pytest.approx(search.tree.best_score(), abs=0.01)
    assert 0 < spent.flops <= expected.flops and 0 < spent.nfe <= expected.nfe
    if strategy == "random_search":
        assert spent.flops == expected.flops
        assert spent.flops_generator == generator.start_cost.flops + 3 * STEPS * generator.step_cost(0).flops
        assert spent.flops_decoder == 3 * generator.preview_cost(STEPS).flops


# From disk


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty folder for downloaded packages."""
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    loading._networks.let_go()
    yield tmp_path
    loading._networks.let_go()


def test_a_pipeline_saved_and_loaded_makes_the_same_image(shelf):
    tiny.flux().save_pretrained(shelf / "flux-schnell")
    tiny.tiny_vae(4).save_pretrained(shelf / "taef1")
    ours = loading.opened("flux-schnell", Flux, "flux-schnell", Sampling(STEPS, side=SIDE))
    states, live = full_path(ours), made("flux-schnell")
    assert torch.allclose(states[-1].x0_hat, full_path(live)[-1].x0_hat, atol=1e-5)
    assert np.abs(ours.preview([states[2]]).astype(int) - live.preview([states[2]])).max() <= 1
    assert ours.decode_cost == live.decode_cost


def test_without_the_small_decoder_the_pipeline_s_own_makes_the_previews(shelf):
    tiny.flux().save_pretrained(shelf / "flux-schnell")
    ours = loading.opened("flux-schnell", Flux, "flux-schnell", Sampling(STEPS, side=SIDE))
    assert ours.preview_cost(2) == ours.preview_cost(STEPS)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_model_loads_by_its_name_with_both_samplers_on_one_set_of_networks(shelf, name):
    FAMILIES[name][0]().save_pretrained(shelf / name)
    ode, sde = (getattr(pipelines, f"load_{name.replace('-', '_')}{end}")() for end in ("", "_sde"))
    assert (ode.name, sde.name) == (name, f"{name}-sde")
    assert ode.family.network is sde.family.network
    assert sde.abilities - ode.abilities == {"branches"} and ode.num_steps == sde.num_steps > 1


def test_half_precision_spares_the_decoder_that_overflows_in_it(shelf, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_DTYPE", "float16")
    tiny.sdxl().save_pretrained(shelf / "sdxl")
    generator = pipelines.load_sdxl()
    assert generator.family.network.dtype == torch.float16 and generator.full.network.dtype == torch.float32


def test_networks_in_bfloat16_and_latents_in_float32(shelf, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_DTYPE", "bfloat16")
    for name, (make, family, cfg, _) in FAMILIES.items():
        make().save_pretrained(shelf / name)
        generator = loading.opened(name, family, name, Sampling(STEPS, cfg, side=SIDE))
        [state] = generator.step([generator.start(PROMPT)], [1])
        exact = made(name).step([made(name).start(PROMPT)], [1])[0]
        assert generator.family.network.dtype == torch.bfloat16 and state.x0_hat.dtype == torch.float32
        assert torch.equal(state.x, exact.x)
        assert torch.nn.functional.cosine_similarity(state.x0_hat.flatten(), exact.x0_hat.flatten(), 0) > 0.95
        assert generator.preview([state]).shape == (1, SIDE, SIDE, 3)


def test_weights_that_are_not_here_are_named_with_licence_and_command(shelf):
    with pytest.raises(WeightsMissing, match="Non-Commercial.*python -m core.cli download flux-dev"):
        pipelines.load_flux_dev()


@pytest.mark.parametrize("file", ["transformer/diffusion_pytorch_model.safetensors", "transformer/config.json"])
def test_a_damaged_package_is_named_with_the_way_to_get_it_again(shelf, file):
    tiny.flux().save_pretrained(shelf / "flux-schnell")
    path = shelf / "flux-schnell" / file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsMissing, match="cannot be read.*download flux-schnell"):
        pipelines.load_flux_schnell()


def test_a_library_that_is_not_installed_is_named_with_the_way_to_install_it(shelf, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == "diffusers" else name)
    with pytest.raises(WeightsMissing, match="needs diffusers, not installed here: run pip install 'diffusers>="):
        pipelines.load_flux_schnell()


def test_diffusers_is_imported_only_by_what_needs_it():
    """It takes seconds."""
    for path in Path(pipelines.__file__).parent.glob("*.py"):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {getattr(node, "module", None) or node.names[0].name for node in top}
        assert not {"diffusers", "accelerate", "transformers"} & {name.split(".")[0] for name in names}, path


# Where the networks are


@every_family
@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_networks_that_come_and_go_make_the_same_image(shelf, monkeypatch, name, offload):
    monkeypatch.setenv("BEAMSCOPE_OFFLOAD", offload)
    make, family, cfg, _ = FAMILIES[name]
    make().save_pretrained(shelf / name)
    ours, live = loading.opened(name, family, name, Sampling(STEPS, cfg, side=SIDE)), made(name, quick=False)
    states = path(ours, [1, 2])
    assert torch.allclose(states[-1].x0_hat, path(live, [1, 2])[-1].x0_hat, atol=1e-4)
    assert ours.preview(states[1:2]).shape == (1, SIDE, SIDE, 3)
    assert ours.weights_bytes < live.weights_bytes
    assert (ours.step_cost(0), ours.start_cost) == (live.step_cost(0), live.start_cost)
    away = {str(tensor.device) for tensor in ours.family.network.parameters()} == {"meta"}
    assert away == (offload == "sequential")


def test_networks_in_turns_are_copied_to_the_device_and_leave_it_without_a_trace(monkeypatch):
    a, b = [torch.nn.Linear(2, 2)], [torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)]
    homes = {tensor: tensor.data_ptr() for group in (a, b) for part in group for tensor in part.parameters()}
    copies = []
    monkeypatch.setattr(lodging, "_copied", lambda data, device: copies.append(device) or data.clone())
    turns = lodging.InTurns((a, b), "cuda")
    for group, other in ((a, b), (b, a), (a, b)):
        copies.clear()
        for _ in range(2):
            with turns.using(group):
                pass
        assert copies == ["cuda"] * sum(len([*part.parameters(), *part.buffers()]) for part in group)
        assert all(tensor.data_ptr() != homes[tensor] for part in group for tensor in part.parameters())
        assert all(tensor.data_ptr() == homes[tensor] for part in other for tensor in part.parameters())


def test_networks_stay_on_the_device_until_their_work_is_done():
    """A search and a picture for somebody who clicks run in different threads."""
    a, b = [torch.nn.Linear(2, 2)], [torch.nn.Linear(3, 3)]
    turns, order = lodging.InTurns((a, b), "cpu"), []

    def other():
        with turns.using(b):
            order.append("b")

    thread = Thread(target=other)
    with turns.using(a):
        thread.start()
        thread.join(0.05)
        order.append("a")
    thread.join()
    assert order == ["a", "b"]


@pytest.mark.parametrize(
    ("free", "choice"), [(None, "none"), (30e9, "none"), (25.9e9, "model"), (18.1e9, "model"), (17.9e9, "sequential")]
)
def test_as_much_is_left_on_the_device_as_it_has_room_for(monkeypatch, free, choice):
    """With networks of 8 and 16 GB, and 2 GB to compute in."""
    monkeypatch.setattr(lodging, "weights_bytes", lambda *networks: sum(networks))
    assert lodging.best_choice(((3e9, 5e9), (16e9,)), free) == choice


def test_no_more_of_a_gpu_is_used_than_may_be(monkeypatch):
    monkeypatch.setattr(lodging, "free_bytes", lambda device: 80_000_000_000)
    assert lodging._room("cuda") == 80e9
    monkeypatch.setenv("BEAMSCOPE_MEMORY", "24GB")
    assert lodging._room("cuda") == 24e9


def test_an_unknown_way_to_offload_is_refused_with_those_that_there_are(monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_OFFLOAD", "some")
    with pytest.raises(BadRequest, match="'some': choose auto, none, model, sequential"):
        lodging.lodged((), "cpu")


def test_a_batch_that_memory_does_not_hold_is_made_in_parts(monkeypatch):
    generator = made("flux-dev")
    states = generator.step([generator.start(PROMPT)] * 3, range(3))
    whole, sizes, real = generator.step(states, range(3)), [], generator.family.direction

    def cramped(x, step, read):
        sizes.append(len(x))
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(x, step, read)

    monkeypatch.setattr(generator.family, "direction", cramped)
    for ours, theirs in zip(generator.step(states, range(3)), whole, strict=True):
        assert torch.allclose(ours.x0_hat, theirs.x0_hat, atol=1e-4)
    assert sizes == [3, 1, 1, 1]
