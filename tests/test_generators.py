"""The contract of core/generators/base.py, on random weights and, where committed, on the trained ones."""

import numpy as np
import pytest
import torch

from core.generators import emoji_ar, emoji_flow
from core.generators.registry import load_generator
from core.models.flow import Flow, velocity
from core.models.next_scale import NextScale
from core.models.text import tokenise
from core.models.tokenizer import SCALES, Tokenizer
from tests.test_models import awake

PROMPT = "a red car to the left of a green apple"


def random_ar():
    torch.manual_seed(3)
    return emoji_ar.EmojiAr(awake(NextScale()), awake(Tokenizer()))


def random_flow(eta=0.0):
    torch.manual_seed(4)
    sampling = emoji_flow.Sampling(steps=5, eta=eta)
    return emoji_flow.EmojiFlow("random-flow", awake(Flow()), awake(Tokenizer()), sampling)


BACKENDS = {
    "random-ar": random_ar,
    "random-flow": random_flow,
    "random-flow-sde": lambda: random_flow(0.5),
    "emoji-ar": lambda: load_generator("emoji-ar"),
    "emoji-flow": lambda: load_generator("emoji-flow"),
    "emoji-flow-sde": lambda: load_generator("emoji-flow-sde"),
}


@pytest.fixture(scope="module", params=BACKENDS)
def generator(request):
    return BACKENDS[request.param]()


def latent(state):
    return state.total if isinstance(state, emoji_ar.ArState) else state.x


def grown(generator, seeds):
    """The states of one path, root first."""
    states = [generator.start(PROMPT)]
    for seed in seeds:
        states += generator.step([states[-1]], [seed])
    return states


def full_path(generator, first=11):
    return grown(generator, range(first, first + generator.num_steps))


def test_labels_and_branching_steps_fit_the_number_of_steps(generator):
    assert len(generator.step_labels) == generator.num_steps
    assert 0 in generator.branching_steps and max(generator.branching_steps) < generator.num_steps


def test_a_batch_of_siblings_and_strangers_equals_single_steps(generator):
    [a, b] = generator.step([generator.start(PROMPT)] * 2, [1, 2])
    batch = generator.step([a, b, a, b], [5, 6, 7, 8])
    for state, parent, seed in zip(batch, [a, b, a, b], [5, 6, 7, 8], strict=True):
        [single] = generator.step([parent], [seed])
        assert torch.allclose(latent(state), latent(single), atol=1e-4)
        again = generator.preview([single])[0].astype(int)
        assert np.abs(generator.preview(batch)[batch.index(state)].astype(int) - again).max() <= 1


def test_a_step_changes_no_state_it_was_given(generator):
    [state] = generator.step([generator.start(PROMPT)], [1])
    before = latent(state).clone()
    generator.step([state, state], [2, 3])
    assert torch.equal(latent(state), before)


def test_the_same_path_gives_the_same_image_and_another_path_another(generator):
    one, two, other = (generator.preview([full_path(generator, first)[-1]]) for first in (11, 11, 12))
    assert (one == two).all() and not (one == other).all()


def test_seeds_matter_exactly_at_the_branching_steps(generator):
    states = full_path(generator)
    for step in range(generator.num_steps):
        a, b = generator.step([states[step]] * 2, [100, 200])
        assert torch.equal(latent(a), latent(b)) == (step not in generator.branching_steps)


def test_a_thawed_state_is_the_frozen_one_and_grows_alike(generator):
    states = full_path(generator)
    for state in states[1:]:
        thawed = generator.thaw(PROMPT, generator.freeze(state))
        assert torch.allclose(latent(thawed), latent(state), atol=1e-4)
    middle = generator.thaw(PROMPT, generator.freeze(states[2]))
    [a], [b] = generator.step([middle], [9]), generator.step([states[2]], [9])
    assert torch.allclose(latent(a), latent(b), atol=1e-4)


@pytest.mark.parametrize("data", [b"x" * 3, b"\xff" * 4001])
def test_bytes_of_something_else_are_refused(generator, data):
    with pytest.raises(ValueError, match="not a frozen state"):
        generator.thaw(PROMPT, data)


def test_previews_are_images_at_every_step(generator):
    for state in full_path(generator)[1:]:
        image = generator.preview([state])
        assert image.shape == (1, 128, 128, 3) and image.dtype == np.uint8


def test_cost_is_positive_where_a_model_runs(generator):
    costs = [generator.step_cost(step) for step in range(generator.num_steps)]
    assert all(cost.flops_generator > 0 for cost in costs) and sum(cost.nfe for cost in costs) >= 5


def test_cached_steps_equal_one_pass_over_all_scales():
    """KV cache against full recomputation, at the last scale, both guidance halves."""
    generator = random_ar()
    states = full_path(generator)
    grids = [None, *(generator.tokenizer.downsample(states[k].total[None], SCALES[k]) for k in range(1, 6))]
    halves = [generator.model(grids, tokenise([prompt]))[:, -64:] for prompt in (PROMPT, "")]
    prompt, empty = (half.transpose(1, 2).unflatten(2, (8, 8)) for half in halves)
    logits, _ = generator._forward([states[5]], 5)
    assert torch.allclose(logits, empty + generator.sampling.cfg[5] * (prompt - empty), atol=1e-4)


def test_siblings_share_keys_and_values():
    generator = random_ar()
    a, b = generator.step([generator.start(PROMPT)] * 2, [1, 2])
    assert a.past[0].data_ptr() == b.past[0].data_ptr()
    assert full_path(generator)[-1].past == ()


def test_a_step_of_the_ode_sampler_is_euler_s():
    generator = random_flow()
    [state] = generator.step([generator.start(PROMPT)], [1])
    [after] = generator.step([state], [2])
    t, following = generator.times[:2]
    v = velocity(state.x[None], state.x0_hat[None], torch.tensor([t]))[0]
    assert torch.allclose(after.x, state.x + (following - t) * v, atol=1e-5)


def test_siblings_of_the_sde_sampler_preview_differently():
    """A preview that comes from the parent alone would rank siblings by chance."""
    generator = random_flow(0.5)
    [state] = generator.step([generator.start(PROMPT)], [1])
    a, b = generator.preview(generator.step([state] * 2, [2, 3]))
    assert (a != b).any()
