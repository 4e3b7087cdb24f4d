"""Infinity as a generator: the laws of core/generators/base.py on tiny random models, and what only large ones need."""

import weakref
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from core.generators import infinity, parking, room
from core.generators.infinity import Infinity, Sampling
from core.models.infinity.bits import next_input
from core.models.infinity.config import CONFIGS, config_of
from core.models.infinity.kv import Segment
from core.models.infinity.schedule import schedule_of
from core.models.infinity.thumbnails import Thumbnails
from core.models.infinity.transformer import InfinityTransformer
from core.models.infinity.vae import Vae, VaeConfig
from core.search.budget import Cost
from core.search.errors import BadRequest, OutOfMemory, WeightsMissing
from core.search.events import Failed, Finished, RunSpec
from core.search.search import Search
from core.search.sizing import estimate
from tests.infinity_released import release
from tests.test_models import counted, peak_bytes

PROMPT = "a red car to the left of a green apple"
ROOMY = 1.5  # a figure of working memory is right within this factor


class Reader:
    """Features by chance, the same for the same prompt."""

    def __init__(self, width=256, words=64):
        self.width, self.words, self.read = width, words, []

    def encode(self, prompts):
        self.read += prompts
        seeds = [sum(map(ord, prompt)) for prompt in prompts]
        return [torch.randn(self.words, self.width, generator=torch.Generator().manual_seed(s)) for s in seeds]


def tiny(name="tiny", sampling=None, ratio=1.0, **changes):
    """A network in which every parameter matters, and a decoder that makes two pixels of a latent position."""
    torch.manual_seed(5)
    config = replace(config_of(name), tau=1.0, **changes)
    model = InfinityTransformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    vae = Vae(VaeConfig(config.latent_channels, (1, 1), 32), encoder=False).eval().requires_grad_(False)
    return Infinity(config, model.placed("cpu", torch.float32), vae, Reader(), ratio=ratio, sampling=sampling)


def unguided():
    return tiny(sampling=Sampling((1.0,) * 7, (1.0,) * 7, (0.97,) * 7))


def tall():
    return tiny(ratio=1.5)


BACKENDS = {"tiny": tiny, "patchify": lambda: tiny("tiny-patchify"), "unguided": unguided, "tall": tall}


@pytest.fixture(scope="module", params=BACKENDS)
def generator(request):
    return BACKENDS[request.param]()


def full_path(generator, first=11, prompt=PROMPT):
    """The states of one path, the bare prompt first."""
    states = [generator.start(prompt)]
    for seed in range(first, first + generator.num_steps):
        states += generator.step([states[-1]], [seed])
    return states


def passes_of(generator, monkeypatch):
    """The number of candidates in each forward pass from now on."""
    counts, forward = [], generator.model.step

    def step(scale, grid, text, cache, schedule):
        counts.append(cache.count)
        return forward(scale, grid, text, cache, schedule)

    monkeypatch.setattr(generator.model, "step", step)
    return counts


# The contract


def test_a_batch_of_siblings_and_strangers_equals_single_steps(generator):
    [a, b] = generator.step([generator.start(PROMPT)] * 2, [1, 2])
    batch = generator.step([a, b, a, b], [5, 6, 7, 8])
    images = generator.preview(batch).astype(int)
    for state, image, parent, seed in zip(batch, images, [a, b, a, b], [5, 6, 7, 8], strict=True):
        [single] = generator.step([parent], [seed])
        assert torch.equal(state.bits[-1], single.bits[-1]) and torch.equal(state.total, single.total)
        assert np.abs(image - generator.preview([single])[0]).max() <= 1


def test_a_fork_equals_two_separate_paths(generator):
    """Two that part after three scales and go on in one batch, against each from the bare prompt."""
    stem = full_path(generator)[3]
    pair, ends = [stem, stem], []
    for step in range(3, generator.num_steps):
        pair = generator.step(pair, [100 + step, 200 + step])
    for branch in (100, 200):
        state = generator.start(PROMPT)
        for step in range(generator.num_steps):
            [state] = generator.step([state], [11 + step if step < 3 else branch + step])
        ends.append(state)
    for one, other in zip(pair, ends, strict=True):
        assert all(map(torch.equal, one.bits, other.bits)) and torch.equal(one.total, other.total)
    assert not torch.equal(pair[0].total, pair[1].total)


def test_cached_steps_equal_one_pass_over_all_scales(generator):
    states = full_path(generator)
    grids = [None, *(next_input(states[k].total[None], generator.schedule, k) for k in range(1, generator.num_steps))]
    together = generator.model(grids, states[0].text, generator.schedule)
    for step, logits in enumerate(together):
        [(probabilities, _)] = generator._forward([states[step]], step)
        cfg, p = generator.sampling.cfg[step], generator.sampling.top_p[step]
        mixed = logits[0] if cfg == 1 else cfg * logits[0] + (1 - cfg) * logits[1]
        open_ = mixed[0].softmax(-1).amin(-1) > 1 - p + 1e-3
        assert torch.allclose(probabilities[open_], mixed[0].softmax(-1)[open_], atol=1e-4) and open_.any()


def test_a_step_changes_no_state_it_was_given(generator):
    [state] = generator.step([generator.start(PROMPT)], [1])
    before, kv = state.total.clone(), state.past.kv.clone()
    generator.step([state, state], [2, 3])
    assert torch.equal(state.total, before) and torch.equal(state.past.kv, kv)


def test_the_same_path_gives_the_same_image_and_another_path_or_prompt_another(generator):
    paths = (full_path(generator), full_path(generator), full_path(generator, 50), full_path(generator, prompt="a dog"))
    one, same, path, prompt = (generator.preview([states[-1]]) for states in paths)
    assert (one == same).all() and (one != path).any() and (one != prompt).any()


def test_seeds_matter_at_every_step(generator):
    assert generator.branching_steps == generator.sharing_steps == frozenset(range(generator.num_steps))
    for state in full_path(generator)[:-1]:
        a, b = generator.step([state] * 2, [100, 200])
        assert not torch.equal(a.total, b.total)


def test_a_thawed_state_is_the_frozen_one_and_grows_alike(generator):
    states = full_path(generator)
    for state in states:
        thawed = generator.thaw(PROMPT, generator.freeze(state))
        assert torch.equal(thawed.total, state.total) and generator.freeze(thawed) == generator.freeze(state)
    for step in (0, 2, 5):
        thawed = generator.thaw(PROMPT, generator.freeze(states[step]))
        [a], [b] = generator.step([thawed], [9]), generator.step([states[step]], [9])
        assert torch.equal(a.total, b.total)


def test_a_finished_image_is_thawed_without_a_pass(monkeypatch):
    generator = tiny()
    data = generator.freeze(full_path(generator)[-1])
    counts = passes_of(generator, monkeypatch)
    assert len(generator.thaw(PROMPT, data).bits) == 7 and not counts


@pytest.mark.parametrize("data", [b"", b"x" * 3, b"\x03", b"\xff" * 4001])
def test_bytes_of_something_else_are_refused(generator, data):
    with pytest.raises(ValueError, match="not a frozen state"):
        generator.thaw(PROMPT, data)


def test_there_is_no_step_beyond_the_image():
    generator = tiny()
    with pytest.raises(ValueError, match="there is no further one"):
        generator.step(full_path(generator)[-1:], [1])


def test_previews_are_images_at_every_step(generator):
    for state in full_path(generator)[1:]:
        rows, columns = generator.preview_grid(len(state.bits))
        images = generator.preview([state, state])
        assert images.shape == (2, 2 * rows, 2 * columns, 3) and images.dtype == np.uint8 and images.std() > 1
    assert generator.preview_grid(generator.num_steps) == generator.schedule.latent()


def test_signatures_are_as_far_apart_as_the_latents(generator):
    states = generator.step([generator.start(PROMPT)] * 4, range(4))
    latents = torch.stack([state.total for state in states]).flatten(1)
    signatures = torch.tensor(generator.signature(states))
    assert signatures.shape == (4, 64)
    for a, b in combinations(range(4), 2):
        assert 0.6 < float((signatures[a] - signatures[b]).norm() / (latents[a] - latents[b]).norm()) < 1.5


# Siblings are free, prefixes shared


def test_siblings_share_a_pass_and_keys_and_values(monkeypatch):
    generator = tiny()
    counts = passes_of(generator, monkeypatch)
    a, b, *_ = generator.step([generator.start(PROMPT)] * 6, range(6))
    assert counts == [1] and a.past is b.past and a.past.parent is None
    [c, d, _] = generator.step([a, b, a], [3, 4, 5])
    assert counts == [1, 2] and c.past is not d.past and c.past.parent is d.past.parent is a.past


def test_nothing_is_kept_of_the_last_scale():
    states = full_path(tiny())
    assert [len(state.past.chain()) if state.past else 0 for state in states] == [0, 1, 2, 3, 4, 5, 6, 0]


def test_without_guidance_there_is_no_second_half():
    plain, guided = unguided(), tiny()
    assert (plain.start(PROMPT).text.halves, guided.start(PROMPT).text.halves) == (1, 2)
    assert all(2 * plain.step_cost(step).flops == guided.step_cost(step).flops for step in range(7))


def test_coarse_scales_are_drawn_more_freely_unless_the_official_values_are_asked_for():
    config = config_of("infinity-2b")
    free, official = (make(config, schedule_of(config)) for make in (Sampling.of, Sampling.official))
    assert (set(official.tau), set(official.top_p), set(official.cfg)) == ({0.5}, {0.97}, {3.0})
    assert free.tau == (1.0,) * 5 + (0.5,) * 8 and free.top_p == (0.99,) * 5 + (0.97,) * 8 and free.cfg == official.cfg


def test_a_prompt_is_read_once():
    generator = tiny()
    first, again = generator.start(PROMPT), generator.start(PROMPT)
    assert first.text is again.text and generator.reader.read == [PROMPT]


def test_dropping_a_state_frees_what_only_it_used_and_at_once(generator):
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


# Prices


@pytest.mark.parametrize("make", [tiny, unguided])
def test_every_pass_costs_what_torch_counts(make):
    generator = make()
    price, passes = generator.start_cost.flops_generator, counted(lambda: generator.start(PROMPT))
    assert price == pytest.approx(passes, rel=0.02)
    state = generator.start(PROMPT)
    for step in range(generator.num_steps):
        passes = counted(lambda s=state: generator.step([s], [1]))
        assert generator.step_cost(step).flops_generator == pytest.approx(passes, rel=0.02)
        [state] = generator.step([state], [1])
    assert counted(lambda: generator.preview([state])) == pytest.approx(generator.decode_cost.flops_decoder, rel=0.02)


def test_working_memory_of_a_candidate_is_about_what_is_said():
    generator = tiny()
    for step in (3, 5, 6):
        states = [generator.start(PROMPT) for _ in range(8)]
        for _ in range(step):
            states = generator.step(states, range(8))
        few, many = (peak_bytes(lambda n=n, s=states: generator.step(s[:n], range(n))) for n in (4, 8))
        assert 1 / ROOMY < generator.step_bytes(step) / ((many - few) / 4) < ROOMY
    few, many = (peak_bytes(lambda n=n: generator.preview(states[:n])) for n in (4, 8))
    assert 1 / ROOMY < generator.decode_bytes / ((many - few) / 4) < ROOMY


class Brightness:
    name, max_batch, weights_bytes, image_bytes = "brightness", 16, 0, 0
    cost = Cost(flops_verifier=1e6, verifier_calls=1)

    def score(self, prompt, images):
        return [float(image.mean()) for image in images]


def search(generator, look="preview", **options):
    spec = RunSpec(PROMPT, generator.name, "beam_search", {"width": 2, "branch": 3, "look": look}, "brightness", seed=3)
    found = Search(generator, {"brightness": Brightness()}, spec, display=False, **options)
    return found, list(found.run())


@pytest.mark.parametrize("look", ["preview", "rollout"])
def test_a_search_is_charged_what_was_estimated_and_what_ran(look, monkeypatch):
    generator = tiny()
    counts = passes_of(generator, monkeypatch)
    found, events = search(generator, look)
    assert isinstance(events[-1], Finished) and found.tree.best().has_final
    foreseen = estimate(found.spec, generator, {"brightness": Brightness()}, display=False)
    spent = found.tree.spent
    assert (spent.flops, spent.nfe, spent.tokens) == (foreseen.flops, foreseen.nfe, foreseen.tokens)
    assert len(counts) >= 7 and sum(counts) < spent.nfe, "siblings shared passes"


# Large images, little memory


def test_thumbnails_stand_in_for_previews_but_not_for_the_image(monkeypatch):
    plain = tiny("tiny-patchify", pixels="0.25M")
    colours = Thumbnails(torch.randn(3, 6) / 5, torch.zeros(3))
    generator = Infinity(plain.config, plain.model, plain.vae, Reader(), thumbnails=colours)
    states, decoded, decode = full_path(generator), [], generator.vae.decode
    monkeypatch.setattr(generator.vae, "decode", lambda latents: decoded.append(len(latents)) or decode(latents))
    for state in states[1:-1]:
        [image] = generator.preview([state])
        rows, columns = generator.preview_grid(len(state.bits))
        assert image.shape == (2 * rows, 2 * columns, 3) and image.std() > 1 and not decoded
        assert generator.preview_cost(len(state.bits)).flops < generator.decode_cost.flops / 1000
    assert (generator.preview(states[-1:]) == plain.preview(states[-1:])).all() and decoded == [1, 1]
    mean = (colours(states[1].total[None]).mean((0, 2, 3)) + 1) * 127.5
    assert np.allclose(generator.preview(states[1:2])[0].mean((0, 1)), mean, atol=1.5)


@pytest.mark.parametrize("make", [tiny, lambda: tiny("tiny-patchify", pixels="1M"), tall])
def test_a_model_draws_latents_of_its_own_without_a_prompt(make, monkeypatch):
    """To fit thumbnails on: without the text encoder, differing, and of a large image only the first 256 tokens."""
    generator = make()
    passes = passes_of(generator, monkeypatch)
    latents = infinity.own_latents(generator, 3)
    rows, columns = latents.shape[-2:]
    assert not generator.reader.read and len(passes) == 7
    assert 256 <= rows * columns / generator.schedule.patch**2 < 400
    assert all((a - b).abs().max() > 0.1 for a, b in combinations(latents, 2))
    assert torch.equal(infinity.own_latents(generator, 3), latents)


def test_early_states_of_large_images_are_shown_small():
    """256 px while grids are coarse, then a grid of four times as many tokens, the image itself at last."""
    generator = tiny(pixels="1M")
    sides = [generator.preview_grid(taken)[0] for taken in range(1, 14)]
    assert sides == [16, 16, 16, 16, 16, 24, 32, 40, 48, 64, 64, 64, 64]
    costs = [generator.preview_cost(taken).flops for taken in range(1, 14)]
    assert costs[0] * 15 < costs[-1] == generator.decode_cost.flops
    [state] = generator.step([generator.start(PROMPT)], [1])
    assert generator.preview([state]).shape == (1, 32, 32, 3)


def test_where_memory_is_short_a_pass_is_split_and_the_bits_are_the_same(monkeypatch):
    generator = tiny()
    states = generator.step([generator.start(PROMPT)] * 5, range(5))
    usual = generator.step(states, range(5))
    counts = passes_of(generator, monkeypatch)
    for free, parts in ((10**9, [5]), (generator._least(1, 5) + generator.plan.passing(1), [2, 2, 1])):
        monkeypatch.setattr(infinity, "free_bytes", lambda device, free=free: free)
        split = generator.step(states, range(5))
        assert counts == parts and all(torch.equal(a.total, b.total) for a, b in zip(usual, split, strict=True))
        counts.clear()


def test_on_a_gpu_that_is_too_small_keys_and_values_wait_in_main_memory(monkeypatch):
    """No more than is needed, what the pass does not read first; the bits are the same."""
    generator, parked = tiny(), []
    states = generator.step([generator.start(PROMPT)] * 4, range(4))
    states = generator.step(states, range(4))
    usual = [state.total for state in generator.step(states[:2], [8, 9])]
    monkeypatch.setattr(Segment, "park", lambda segment: parked.append(segment))
    others, each = {state.past for state in states[2:]}, states[2].past.kv.nbytes
    wanted = 2 * generator.step_bytes(2) + parking.SPARE
    for short, count in ((0, 0), (1, 1), (each + 1, 2), (2 * each + 1, 3), (10**9, 5)):
        generator.parking = parking.Parking(torch.device("cuda"))
        generator.parking.add(segment for state in states for segment in state.past.chain())
        monkeypatch.setattr(parking, "free_bytes", lambda device, short=short: wanted - short)
        parked.clear()
        grown = generator.step(states[:2], [8, 9])
        assert all(torch.equal(state.total, total) for state, total in zip(grown, usual, strict=True))
        assert len(parked) == count and (set(parked) <= others if count <= 2 else others <= set(parked))
        assert not generator.parking._here & set(parked)
        assert generator.parking._here >= {state.past for state in grown}
    parked, others, grown, states = [], [], [], []
    assert not generator.parking._here, "nothing here keeps what no state holds"


def test_room_is_made_for_decoding_too(monkeypatch):
    generator, parked = tiny(), []
    states = generator.step([generator.start(PROMPT)] * 2, range(2))
    monkeypatch.setattr(Segment, "park", lambda segment: parked.append(segment))
    generator.parking = parking.Parking(torch.device("cuda"))
    generator.parking.add([states[0].past])
    monkeypatch.setattr(parking, "free_bytes", lambda device: generator.preview_bytes(1))
    assert len(generator.preview(states)) == 2 and parked == [states[0].past]


def test_what_does_not_fit_into_main_memory_is_not_begun(monkeypatch):
    """There the system would end the process."""
    generator = tiny()
    states = generator.step([generator.start(PROMPT)] * 8, range(8))
    states = generator.step(states, range(8))
    counts = passes_of(generator, monkeypatch)
    monkeypatch.setattr(infinity, "free_bytes", lambda device: generator._least(2, 8) - 1)
    with pytest.raises(OutOfMemory, match=r"8 candidates of tiny do not fit at 4x4.*there is room for \d+; search"):
        generator.step(states, range(8))
    monkeypatch.setattr(infinity, "free_bytes", lambda device: -generator.held_bytes(states))
    with pytest.raises(OutOfMemory, match="nor does one on cpu: choose a smaller model"):
        generator.step(states, range(8))
    assert not counts


def test_the_advised_number_of_candidates_fits(monkeypatch):
    generator = tiny()
    states = [generator.start(PROMPT) for _ in range(12)]
    for _ in range(3):
        states = generator.step(states, range(12))
    held = generator.held_bytes(states)
    free = generator._least(3, 12) - generator.plan.segment(3)
    monkeypatch.setattr(infinity, "free_bytes", lambda device: free)
    with pytest.raises(OutOfMemory) as caught:
        generator.step(states, range(12))
    most = int(str(caught.value).partition("room for ")[2].split(";")[0])
    assert 6 < most < 12
    monkeypatch.setattr(infinity, "free_bytes", lambda device: free + held - generator.held_bytes(states[:most]))
    assert len(generator.step(states[:most], range(most))) == most


def test_a_call_that_does_not_fit_is_halved_until_it_does():
    tried = []

    def call(part):
        tried.append(len(part))
        if len(part) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return [item * 10 for item in part]

    assert room.in_parts(call, range(10), 10) == [item * 10 for item in range(10)]
    assert tried == [10, 5, 2, 2, 2, 2, 2]
    with pytest.raises(ZeroDivisionError):
        room.in_parts(lambda part: [1 // 0], range(3), 3)


def test_a_search_ends_with_advice_where_not_even_one_fits(monkeypatch):
    generator = tiny()
    forward = generator._forward

    def short(states, number):
        if number == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return forward(states, number)

    monkeypatch.setattr(generator, "_forward", short)
    found, events = search(generator)
    assert isinstance(events[-1], Failed) and events[-1].code == "out_of_memory"
    said = "out of memory at scale 8x8; the tree so far is kept: free some memory and search again"
    assert events[-1].message.startswith(f"{said} (1 candidates of tiny do not fit at 8x8")
    assert {node.step for node in found.tree.nodes.values()} == {0, 1, 2, 3, 4}


def test_decoding_is_split_too(monkeypatch):
    generator = tiny()
    states = generator.step([generator.start(PROMPT)] * 5, range(5))
    usual, parts, decode = generator.preview(states), [], generator.vae.decode
    monkeypatch.setattr(generator.vae, "decode", lambda latents: parts.append(len(latents)) or decode(latents))
    monkeypatch.setattr(infinity, "free_bytes", lambda device: 2 * generator.preview_bytes(1))
    assert np.abs(generator.preview(states).astype(int) - usual).max() <= 1 and parts == [2, 2, 1]


def test_this_machine_has_free_memory():
    assert 10**6 < room.free_bytes(torch.device("cpu")) < 10**14


# Loading


LOADERS = {"infinity-125m": infinity.load_125m, "infinity-8b-512": infinity.load_8b_512}


@pytest.mark.parametrize("name", LOADERS)
def test_official_files_become_a_generator(monkeypatch, tmp_path, name):
    """Tiny ones under the released names: the whole way from files and a prompt in words to an image."""
    release(monkeypatch, tmp_path, name)
    generator = LOADERS[name]()
    assert generator.name == name and generator.schedule == schedule_of(CONFIGS[name])
    [state] = generator.step([generator.start("a red cat")], [1])
    image = generator.preview([state])
    assert image.shape == (1, 256, 256, 3) and image.std() > 1
    assert not torch.equal(generator.start("a dog").text.start, state.text.start)


def test_missing_weights_are_told_with_the_way_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    for load in (infinity.load_125m, infinity.load_2b, infinity.load_8b, infinity.load_8b_512):
        with pytest.raises(WeightsMissing, match="python -m core.cli download"):
            load()


def test_features_of_another_text_encoder_are_refused():
    generator = tiny()
    generator.reader = Reader(width=512)
    with pytest.raises(BadRequest, match="of 256 numbers"):
        generator.start(PROMPT)
