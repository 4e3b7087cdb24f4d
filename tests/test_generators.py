"""The contract of core/generators/base.py, on random weights and, where committed, on the trained ones."""

import random
import weakref
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from core.generators import emoji_ar, emoji_ar_flow, emoji_flow
from core.generators.recipes import Draw, Neighbour, pack
from core.generators.registry import GENERATORS, load_generator
from core.models.flow import Flow, velocity
from core.models.next_scale import NextScale
from core.models.text import NOMINAL_WORDS, tokenise
from core.models.tokenizer import SCALES, Tokenizer
from tests.test_models import awake, counted, peak_bytes

PROMPT = "a red car to the left of a green apple"
NOMINAL = "two red cars and a blue dog to the left of a green apple"
ROOMY = 1.5  # a figure of working memory is right within this factor


def random_ar():
    torch.manual_seed(3)
    return emoji_ar.EmojiAr(awake(NextScale()), awake(Tokenizer()))


def random_flow(eta=0.0):
    torch.manual_seed(4)
    sampling = emoji_flow.Sampling(steps=5, eta=eta)
    model = awake(Flow())
    model.latent_std.fill_(0.7)
    return emoji_flow.EmojiFlow("random-flow", model, awake(Tokenizer()), sampling)


def random_flow_sde():
    return random_flow(0.5)


def random_hybrid():
    return emoji_ar_flow.EmojiArFlow(random_ar(), random_flow(), emoji_ar_flow.Sampling(skipped=2))


OWN = [name for name, entry in GENERATORS.items() if not entry.foreign]
BACKENDS = {
    "random-ar": random_ar,
    "random-flow": random_flow,
    "random-flow-sde": random_flow_sde,
    "random-ar-flow": random_hybrid,
    **{name: lambda name=name: load_generator(name) for name in OWN},
}


@pytest.fixture(scope="module", params=BACKENDS)
def generator(request):
    return BACKENDS[request.param]()


def able(ability):
    """The random backends that have the ability."""
    makers = (random_ar, random_flow, random_flow_sde, random_hybrid)
    return [make for make in makers if ability in make().abilities]


def latent(state):
    if isinstance(state, emoji_ar_flow.HybridState):
        return latent(state.flow if state.flow.taken else state.ar)
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
    assert a.past is b.past and a.past.parent is None
    [c, d] = generator.step([a, b], [3, 4])
    assert c.past is not d.past and c.past.parent is d.past.parent is a.past


def test_nothing_is_kept_of_the_last_scale():
    states = full_path(random_ar())
    assert [len(state.past.chain()) if state.past else 0 for state in states] == [0, 1, 2, 3, 4, 5, 0]


def test_a_step_of_the_ode_sampler_is_euler_s():
    generator = random_flow()
    [state] = generator.step([generator.start(PROMPT)], [1])
    [after] = generator.step([state], [2])
    t, following = generator.noising.sigmas[:2]
    v = velocity(state.x[None], state.x0_hat[None], torch.tensor([t]))[0]
    assert torch.allclose(after.x, state.x + (following - t) * v, atol=1e-5)


def test_siblings_of_the_sde_sampler_preview_differently():
    """A preview that comes from the parent alone would rank siblings by chance."""
    generator = random_flow(0.5)
    [state] = generator.step([generator.start(PROMPT)], [1])
    a, b = generator.preview(generator.step([state] * 2, [2, 3]))
    assert (a != b).any()


# Memory


def test_dropping_a_state_frees_what_only_it_used_and_at_once(generator):
    """A batch once left views of its tensors in every state, so that one survivor kept all of them in memory."""
    parents = generator.step([generator.start(PROMPT)] * 2, [1, 2])
    [a, b] = generator.step(parents, [3, 4])
    parents = None
    shared = {id(tensor) for tensor in a.tensors()}
    own = [tensor for tensor in b.tensors() if id(tensor) not in shared]
    assert own and all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in own)
    assert generator.held_bytes([a, b, a]) - generator.held_bytes([a]) == sum(tensor.nbytes for tensor in own)
    ends = [weakref.ref(tensor) for tensor in own]
    del b, own
    assert not any(end() is not None for end in ends)


def test_weights_are_counted_once():
    ar, flow = load_generator("emoji-ar"), load_generator("emoji-flow")
    shared = sum(part.nbytes for part in (*ar.tokenizer.parameters(), *ar.tokenizer.buffers()))
    assert load_generator("emoji-ar-flow").weights_bytes == ar.weights_bytes + flow.weights_bytes - shared


def some_states(generator, step, count):
    """Different states after `step` decisions; no object twice, so that none share a pass."""
    states = [generator.start(PROMPT) for _ in range(count)]
    for _ in range(step):
        states = generator.step(states, range(count))
    return states


@pytest.mark.parametrize("make", able("signature"))
def test_working_memory_of_a_candidate_is_about_what_is_said(make):
    """What four more candidates add to the peak of a call."""
    generator = make()
    for step in range(generator.num_steps):
        states = some_states(generator, step, 8)
        few, many = (peak_bytes(lambda n=n, s=states: generator.step(s[:n], range(n))) for n in (4, 8))
        assert 1 / ROOMY < generator.step_bytes(step) / ((many - few) / 4) < ROOMY
    states = some_states(generator, 1, 8)
    few, many = (peak_bytes(lambda n=n: generator.preview(states[:n])) for n in (4, 8))
    assert 1 / ROOMY < generator.decode_bytes / ((many - few) / 4) < ROOMY


# Prices


@pytest.mark.parametrize("make", able("signature"))
def test_every_pass_costs_what_torch_counts(make):
    generator = make()
    assert tokenise([NOMINAL]).shape[1] == NOMINAL_WORDS
    state = generator.start(NOMINAL)
    price = generator.start_cost.flops_generator
    passes = counted(lambda: generator.start(NOMINAL))
    for step in range(generator.num_steps):
        price += generator.step_cost(step).flops_generator
        passes += counted(lambda s=state: generator.step([s], [1]))
        assert price == pytest.approx(passes, rel=0.02)
        [state], price, passes = generator.step([state], [1]), 0, 0
    assert counted(lambda: generator.preview([state])) == pytest.approx(generator.decode_cost.flops_decoder, rel=0.02)
    if "renoise" in generator.abilities:
        for step in range(getattr(generator, "handover_step", 0) + 1, generator.num_steps):
            passes = counted(lambda n=step: generator.renoise([state], n, [1]))
            assert generator.step_cost(step - 1).flops_generator == pytest.approx(passes, rel=0.02)
    if "neighbours" in generator.abilities:
        passes = counted(lambda: generator.neighbours([state], [1], 0.9))
        assert generator.step_cost(0).flops_generator == pytest.approx(passes, rel=0.02)


# Abilities


@pytest.mark.parametrize("name", OWN)
def test_a_generator_can_do_what_the_registry_says(name):
    generator = load_generator(name)
    assert generator.abilities == GENERATORS[name].abilities
    assert ("branches" in generator.abilities) == (max(generator.branching_steps) > 0)
    for ability in ("signature", "renoise", "neighbours", "handover"):
        member = "handover_step" if ability == "handover" else ability
        assert hasattr(generator, member) == (ability in generator.abilities)


def test_signatures_are_as_far_apart_as_the_images_in_the_latent(generator):
    states = generator.step([generator.start(PROMPT)] * 4, range(4))
    images = torch.stack([image_latent(generator, state) for state in states]).flatten(1)
    signatures = torch.tensor(generator.signature(states))
    assert signatures.shape[1] <= 64
    for a, b in combinations(range(4), 2):
        ratio = (signatures[a] - signatures[b]).norm() / (images[a] - images[b]).norm()
        assert 0.6 < float(ratio) < 1.5


def image_latent(generator, state):
    if isinstance(state, emoji_ar_flow.HybridState):
        return image_latent(generator.flow, state.flow) if state.flow.taken else state.ar.total
    return state.total if isinstance(state, emoji_ar.ArState) else state.x0_hat * generator.model.latent_std


def wander(generator, rng, length):
    """States along a path that goes on, back and aside, as far as the generator can."""
    [state], states = generator.step([generator.start(PROMPT)], [rng.getrandbits(63)]), []
    taken, first = 1, getattr(generator, "handover_step", 0)
    for _ in range(length):
        moves = ["step"] * 2 * (taken < generator.num_steps) + ["renoise"] * (taken > first + 1)
        moves += ["neighbours"] * ("neighbours" in generator.abilities) + ["handover"] * (0 < taken <= first)
        move, seed = rng.choice(moves), rng.getrandbits(63)
        if move == "step":
            [state], taken = generator.step([state], [seed]), taken + 1
        elif move == "neighbours":
            [state], taken = generator.neighbours([state], [seed], rng.uniform(-1, 1)), 1
        else:
            step = rng.randint(first + 1, generator.num_steps if move == "handover" else taken - 1)
            [state], taken = generator.renoise([state], step, [seed]), step
        states.append(state)
    return states


@pytest.mark.parametrize("make", able("renoise"))
@pytest.mark.parametrize("seed", range(3))
def test_a_thawed_state_is_the_live_one_however_it_was_made(make, seed):
    generator = make()
    for state in wander(generator, random.Random(seed), 10):
        thawed = generator.thaw(PROMPT, generator.freeze(state))
        assert torch.allclose(latent(thawed), latent(state), atol=1e-3)
        assert torch.allclose(image_latent(generator, thawed), image_latent(generator, state), atol=1e-3)
        assert generator.freeze(thawed) == generator.freeze(state)


@pytest.mark.parametrize("make", able("renoise"))
def test_going_back_in_a_batch_is_going_back_alone(make):
    generator = make()
    a, b = (grown(generator, range(first, first + generator.num_steps))[-1] for first in (1, 50))
    step = generator.num_steps - 2
    moves = [lambda states, seeds: generator.renoise(states, step, seeds)]
    if "neighbours" in generator.abilities:
        moves.append(lambda states, seeds: generator.neighbours(states, seeds, 0.7))
    for move in moves:
        batch = move([a, b, a], [5, 6, 7])
        for state, parent, seed in zip(batch, [a, b, a], [5, 6, 7], strict=True):
            [single] = move([parent], [seed])
            assert torch.allclose(latent(state), latent(single), atol=1e-4)
            assert torch.allclose(image_latent(generator, state), image_latent(generator, single), atol=1e-3)
        assert not torch.allclose(latent(batch[0]), latent(batch[2]), atol=0.1)


@pytest.mark.parametrize("make", [random_flow, random_hybrid])
@pytest.mark.parametrize("back", [1, 2])
def test_renoised_latents_are_as_if_noised_from_the_image_at_once(make, back):
    """Given x0: mean (1 - t) x0, standard deviation t, and of the old noise what the scaling leaves."""
    generator, count = make(), 48
    state, flow = full_path(generator)[-1], getattr(generator, "flow", generator)
    at = generator.num_steps - 1 - back
    before, t = flow.noising.sigmas[-1], flow.noising.sigmas[-1 - back]
    x0, noise = torch.randn(32, 8, 8), torch.randn(count, 32, 8, 8)
    xs = [(1 - before) * x0 + before * one for one in noise]
    if flow is generator:
        states = [replace(state, x=x) for x in xs]
    else:
        states = [replace(state, flow=replace(state.flow, x=x)) for x in xs]
    x = torch.stack([latent(new) for new in generator.renoise(states, at + 1, range(count))])
    rest = x - (1 - t) * x0
    assert abs(float(rest.mean())) < 5 * t / rest.numel() ** 0.5
    assert abs(float((rest * x0).mean())) < 5 * t / rest.numel() ** 0.5
    assert float(rest.std()) == pytest.approx(t, rel=0.02)
    assert float((rest * noise).mean()) == pytest.approx((1 - t) / (1 - before) * before, abs=0.02)


@pytest.mark.parametrize("closeness", [-0.5, 0.0, 0.9, 0.99])
def test_neighbours_keep_the_norm_and_have_the_cosine_asked_for(closeness):
    generator = random_flow()
    states = full_path(generator)
    first = states[1].x
    for near in generator.neighbours([states[1], states[3], states[-1]], [1, 2, 3], closeness):
        assert near.taken == 1
        assert float(near.x.norm()) == pytest.approx(float(first.norm()), rel=1e-4)
        cosine = torch.nn.functional.cosine_similarity(near.x.flatten(), first.flatten(), 0)
        assert float(cosine) == pytest.approx(closeness, abs=1e-4)
        [further] = generator.neighbours([near], [4], 0.8)
        cosine = torch.nn.functional.cosine_similarity(near.x.flatten(), further.x.flatten(), 0)
        assert float(cosine) == pytest.approx(0.8, abs=1e-4)


def test_the_nearest_neighbour_is_the_original():
    generator = random_flow(0.5)
    states = full_path(generator)
    [same] = generator.neighbours([states[-1]], [9], 1.0)
    assert torch.allclose(same.x, states[1].x, atol=1e-5)
    assert torch.allclose(same.x0_hat, states[1].x0_hat, atol=1e-4)


@pytest.mark.parametrize("make", able("renoise"))
def test_there_is_no_way_back_to_where_a_state_has_not_been(make):
    generator = make()
    states = full_path(generator)
    first = getattr(generator, "handover_step", 0) + 1
    for step in (first - 1, generator.num_steps, generator.num_steps + 1, -1):
        with pytest.raises(ValueError, match="cannot renoise"):
            generator.renoise([states[-1]], step, [1])
    with pytest.raises(ValueError, match="cannot renoise"):
        generator.renoise([states[0]], first, [1])


def test_neighbours_need_a_cosine_and_a_first_noise():
    generator = random_flow()
    states = grown(generator, [1])
    for state, closeness in ((states[0], 0.5), (states[1], 1.5), (states[1], float("nan"))):
        with pytest.raises(ValueError, match="closeness"):
            generator.neighbours([state], [1], closeness)


@pytest.mark.parametrize("recipe", [(Neighbour(1, 0.5),), (Draw(1),) * 6])
def test_recipes_that_no_sampler_can_follow_are_refused(recipe):
    """A neighbour of nothing; a step more than there are."""
    with pytest.raises(ValueError, match="random-flow"):
        random_flow().thaw(PROMPT, pack(recipe))


# The handover


def test_the_handover_is_a_partial_noising_of_the_scales():
    generator = random_hybrid()
    states, step = full_path(generator), generator.handover_step
    last, t = states[step], generator.flow.noising.sigmas[generator.sampling.skipped]
    rest = latent(states[step + 1]) - (1 - t) * last.ar.total / generator.flow.model.latent_std
    assert float(rest.std()) == pytest.approx(t, rel=0.05) and abs(float(rest.mean())) < 0.1
    [again] = generator.renoise([last], step + 1, [11 + step])
    assert torch.equal(latent(again), latent(states[step + 1]))


def test_any_scale_can_be_handed_over_to_any_flow_step():
    generator = random_hybrid()
    states, first = full_path(generator), generator.handover_step + 1
    for scales in (1, 3, 6):
        for step in range(first, generator.num_steps + 1):
            [state] = generator.renoise([states[scales]], step, [3])
            t = generator.flow.noising.sigmas[step - 1 - generator.offset]
            rest = latent(state) - (1 - t) * states[scales].ar.total / generator.flow.model.latent_std
            assert float(rest.std()) == pytest.approx(t, rel=0.05)
            for _ in range(step, generator.num_steps):
                [state] = generator.step([state], [0])
            with pytest.raises(ValueError, match="no further one"):
                generator.step([state], [0])


def test_nothing_is_kept_of_the_scales_after_the_handover_but_their_bits():
    generator = random_hybrid()
    states = full_path(generator)
    [early] = generator.renoise([states[3]], generator.handover_step + 1, [3])
    assert early.ar.past is None and states[3].ar.past is not None
    assert generator.held_bytes([early]) < generator.held_bytes([states[3]])
