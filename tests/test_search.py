"""Laws of the search core, on a world of digits with a known optimum."""

import itertools
import json
from base64 import b64decode
from dataclasses import replace

import pytest

from core.search.budget import Cost
from core.search.errors import BadRequest, UnsupportedStrategy
from core.search.events import (
    KINDS,
    Asked,
    Cancelled,
    Expanded,
    Failed,
    Finished,
    Improved,
    Picked,
    Previewed,
    Pruned,
    RunSpec,
    Scored,
    Shrunk,
    Steered,
    from_json,
)
from core.search.search import Search
from core.search.states import SEEDS, derive_seed
from core.search.strategies.registry import STRATEGIES, unsupported
from core.search.tree import Tree
from tests.toy import Brightness, Closeness, ToyGenerator

LOOKS = ("preview", "rollout", 1, 3, 4)
CASES = [
    ("random_search", {"n": 10}),
    *[("greedy_tokens", {"branch": 4, "look": look}) for look in LOOKS],
    *[("beam_search", {"width": 3, "branch": 4, "look": look}) for look in LOOKS],
    ("adaptive_beam", {"width": 2, "branch": 4}),
    ("diverse_beam", {"width": 3, "branch": 3}),
    ("resampling_search", {"particles": 3, "widen": 3}),
    ("backtracking_search", {"branch": 3, "visits": 5, "threshold": -2.0}),
    ("zero_order", {"neighbours": 2, "rounds": 3, "closeness": 0.7}),
    ("search_over_paths", {"paths": 2, "branch": 2, "start": 2, "jump": 1, "gain": 1}),
    ("fk_steering", {"particles": 5, "every": 1}),
]
every_case = pytest.mark.parametrize(("strategy", "params"), CASES, ids=lambda value: str(value))


def spec_of(strategy, params, **fields):
    usual = {"verifier": "closeness", "observers": ("brightness",), "seed": 7}
    return RunSpec("digits", "toy", strategy, params, **usual | fields)


def verifiers():
    return {"closeness": Closeness(), "brightness": Brightness()}


def searched(strategy, params, generator=None, display=True, cancelled=lambda: False, **fields):
    """A search that has run, and its events."""
    search = Search(
        generator or ToyGenerator(), verifiers(), spec_of(strategy, params, **fields), cancelled, display=display
    )
    return search, list(search.run())


def drained(steps):
    """What a primitive returns, its events dropped."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def timeless(data):
    """JSON without its times: nothing else may differ between two runs of one spec."""
    if isinstance(data, dict):
        return {key: timeless(value) for key, value in data.items() if key != "seconds"}
    return [timeless(value) for value in data] if isinstance(data, list) else data


def log_of(events):
    return [timeless(event.to_json()) for event in events]


# What strategies find


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("reliable", [True, False])
def test_beam_of_width_one_is_greedy(look, reliable):
    generator = ToyGenerator(reliable=reliable)
    _, beam = searched("beam_search", {"width": 1, "branch": 6, "look": look}, generator)
    _, greedy = searched("greedy_tokens", {"branch": 6, "look": look}, generator)
    rules = [{**event, "rule": None} if event["kind"] == "pruned" else event for event in log_of(beam)[1:]]
    assert rules == [{**event, "rule": None} if event["kind"] == "pruned" else event for event in log_of(greedy)[1:]]


@pytest.mark.parametrize("seed", range(5))
def test_exhaustive_beam_finds_the_optimum(seed):
    """256 rollouts meet all 16 images of two digits (they miss one in 1e6 runs), however bad the previews are;
    with good previews 256 candidates a step hold every digit of five, and the optimum is 0."""
    wide = {"width": 16, "branch": 16}
    rolled, _ = searched("beam_search", {**wide, "look": "rollout"}, ToyGenerator(2, reliable=False), seed=seed)
    images = ToyGenerator(2).preview(list(itertools.product(range(2), repeat=4)))
    assert rolled.tree.improvements[-1][2] == max(Closeness().score("", images))
    previewed, _ = searched("beam_search", {**wide, "look": "preview"}, ToyGenerator(5), seed=seed)
    assert previewed.tree.improvements[-1][2] == 0


@pytest.mark.parametrize("seed", range(5))
def test_more_samples_are_never_worse(seed):
    """Random search nests: the first n samples are the same whatever comes after them."""
    runs = [searched("random_search", {"n": n}, seed=seed)[0].tree for n in (1, 2, 5, 8, 9, 30, 64)]
    best = [tree.improvements[-1][2] for tree in runs]
    assert best == sorted(best) and best[0] < best[-1]
    seeds = [[child.seed for child in tree.children(0)] for tree in runs]
    assert all(longer[: len(shorter)] == shorter for shorter, longer in itertools.pairwise(seeds))


@every_case
def test_the_result_is_the_best_finished_image_seen(strategy, params):
    """Elitism: a rollout's image counts even if its node is pruned later."""
    for seed in range(5):
        search, events = searched(strategy, params, ToyGenerator(reliable=False), seed=seed)
        finished = [scores["closeness"] for event in events if isinstance(event, Scored) and event.finished
                    for scores in event.scores.values()]
        assert events[-1].score == max(finished) == search.tree.best().score
        assert events[-1].scores.keys() == {"closeness", "brightness"}
        curve = search.tree.curve()
        assert curve == sorted(curve) and len({score for _, score in curve}) == len(curve)


# Logs


@every_case
def test_one_seed_gives_one_log(strategy, params):
    once, again, other = (log_of(searched(strategy, params, seed=seed)[1]) for seed in (7, 7, 8))
    assert once == again != other
    assert [event["seq"] for event in once] == list(range(len(once)))


@every_case
def test_the_tree_of_the_log_is_the_live_tree(strategy, params):
    search, events = searched(strategy, params)
    lines = [json.dumps(event.to_json(), allow_nan=False) for event in events]
    assert Tree.of(from_json(json.loads(line)) for line in lines) == search.tree


def test_every_kind_of_event_survives_json():
    _, events = searched("beam_search", {"look": "rollout"}, judge="brightness")
    events += [Cancelled(seq=0, seconds=0.5, node=None), Failed(seq=1, seconds=0.5, code="x", message="y"),
               Asked(seq=2, seconds=0.5, step=1, candidates=(3, 1), keep=1),
               Steered(seq=3, seconds=0.5, node=1, action="pin"), Picked(seq=4, seconds=0.5, node=1, images={1: None}),
               Shrunk(seq=5, seconds=0.5, step=1, message="z", params={"width": 1}, given_up=(3, 1))]
    assert {event.kind for event in events} == set(KINDS)
    for event in events:
        data = json.loads(json.dumps(event.to_json()))
        read = from_json(data)
        assert type(read) is type(event) and read.to_json() == data
        if not hasattr(event, "images"):
            assert read == event


def test_a_log_of_another_version_is_refused():
    with pytest.raises(BadRequest, match="version 2.*reads version 1"):
        from_json({"v": 2, "kind": "started"})


@every_case
def test_observers_and_display_change_nothing_but_what_is_looked_at(strategy, params):
    shown, _ = searched(strategy, params)
    bare, events = searched(strategy, params, display=False, observers=())
    assert not any(isinstance(event, Previewed) for event in events)
    assert [(n.id, n.seed, n.status, n.score) for n in shown.tree.nodes.values()] == [
        (n.id, n.seed, n.status, n.score) for n in bare.tree.nodes.values()
    ]
    seen = {"flops_display": 0.0, "seconds": 0.0, "peak_bytes": 0}
    assert replace(shown.tree.spent, **seen) == replace(bare.tree.spent, **seen)
    assert bare.tree.spent.flops_display == 0 < shown.tree.spent.flops_display


def test_without_a_display_observers_see_the_result_only():
    _, events = searched("beam_search", {}, display=False)
    scores = [scores for event in events if isinstance(event, Scored) for scores in event.scores.values()]
    assert all(score.keys() == {"closeness"} for score in scores)
    assert events[-1].scores.keys() == {"closeness", "brightness"}


@every_case
def test_every_node_of_a_displayed_run_has_a_picture(strategy, params):
    nodes = searched(strategy, params)[0].tree.nodes.values()
    assert all(node.has_preview or node.has_final for node in nodes if node.step)


def test_scored_says_what_the_verifier_saw():
    _, events = searched("beam_search", {"width": 2, "branch": 2, "look": 3})
    assert [(event.look, event.finished) for event in events if isinstance(event, Scored)] == [
        (3, False), (3, False), ("preview", False), ("final", True)
    ]  # fmt: skip
    _, events = searched("beam_search", {"width": 2, "branch": 2, "look": 4})
    assert [event.look for event in events if isinstance(event, Scored)] == ["rollout"] * 3 + ["final"]


# Paths and batches


def made(generator, state, child, params):
    """The child's state made of its parent's again, alone."""
    match child.made:
        case "step":
            return generator.step([state], [child.seed])
        case "renoise":
            return generator.renoise([state], child.step, [child.seed])
        case "neighbour":
            return generator.neighbours([state], [child.seed], params["closeness"])


@every_case
def test_a_node_is_what_its_path_of_seeds_gives(strategy, params):
    """Whether it was drawn among siblings or found by a rollout: recomputed alone, step by step, it is the same."""
    search, _ = searched(strategy, params)
    for node in search.tree.nodes.values():
        generator, state = ToyGenerator(), ()
        for parent, child in itertools.pairwise(search.tree.path(node.id)):
            assert child.seed == derive_seed(parent.seed, child.index)
            [state] = made(generator, state, child, params)
        assert b64decode(node.state) == generator.freeze(state)
        if node.has_final and node.step == 4:
            assert [node.score] == Closeness().score("", generator.preview([state]))


@every_case
def test_memory_holds_only_what_may_still_grow(strategy, params):
    search, _ = searched(strategy, params)
    finished = {node.id for node in search.tree.nodes.values() if node.status == "finished"}
    assert set(search._states.held) == {0} | finished


def test_an_expanded_batch_equals_singles():
    def grown(batched):
        search = Search(ToyGenerator(), verifiers(), spec_of("random_search", {}))
        parents = drained(search.expand([drained(search.start())], 3))
        groups = [parents] if batched else [[parent] for parent in parents]
        children = [child for group in groups for child in drained(search.expand(group, 4))]
        return [(child.parent, child.index, child.seed, child.state, child.flops) for child in children]

    assert grown(batched=True) == grown(batched=False)


def test_further_children_are_new_ones():
    search = Search(ToyGenerator(), verifiers(), spec_of("random_search", {}))
    root = drained(search.start())
    children = [*drained(search.expand([root], 2)), *drained(search.expand([root], 3))]
    assert [child.index for child in children] == [0, 1, 2, 3, 4]
    assert [child.seed for child in children] == [derive_seed(7, index) for index in range(5)]
    assert all(0 <= child.seed < SEEDS for child in children) and len({child.seed for child in children}) == 5


def test_where_the_generator_does_not_branch_a_node_has_one_child():
    generator = ToyGenerator(branching=frozenset({0, 1, 2}))
    search, _ = searched("beam_search", {"width": 2, "branch": 3}, generator)
    assert [len(search.tree.children(node.id)) for node in search.tree.nodes.values() if node.status == "kept"] == [
        3, 3, 3, 3, 1, 1
    ]  # fmt: skip


# Endings


@every_case
def test_a_cancelled_run_leaves_a_valid_log(strategy, params):
    """Whichever model call is the last."""
    _, whole = searched(strategy, params)
    for calls in itertools.count():
        left = iter(range(calls))
        search, events = searched(strategy, params, cancelled=lambda left=left: next(left, None) is None)
        if not isinstance(events[-1], Cancelled):
            break
        best = search.tree.best()
        assert events[-1].node == (best.id if best else None)
        assert search.tree.spent == search.ledger.spent == Tree.of(events).spent
        assert log_of(events[:-1]) == log_of(whole)[: len(events) - 1]
    assert log_of(events) == log_of(whole) and calls > 8


@pytest.mark.parametrize("method", ["start", "step", "preview", "freeze"])
def test_a_model_that_raises_ends_the_log_with_failed(method, monkeypatch):
    generator = ToyGenerator()

    def broken(*_):
        raise RuntimeError("shapes do\nnot fit")

    monkeypatch.setattr(generator, method, broken)
    search, events = searched("beam_search", {}, generator)
    assert (events[-1].code, events[-1].message) == ("model_error", "RuntimeError: shapes do not fit")
    assert search.tree.end == events[-1] and search.tree.spent == search.ledger.spent


@pytest.mark.parametrize("scores", [[float("nan")] * 15, [1.0] * 14, [float("inf")] * 15])
def test_a_score_that_is_none_never_becomes_a_rank(scores, monkeypatch):
    monkeypatch.setattr(Closeness, "score", lambda *_: scores)
    _, events = searched("beam_search", {})
    assert isinstance(events[-1], Failed) and "one finite number each" in events[-1].message
    assert not any(isinstance(event, Pruned) for event in events)


# Refusals


@pytest.mark.parametrize(
    ("strategy", "params", "sentence"),
    [
        ("dream", {}, "unknown strategy 'dream': choose one of random_search, greedy_tokens, beam_search"),
        ("beam_search", {"n": 4}, "beam_search takes no n: it takes width, branch, look"),
        ("beam_search", {"width": 0}, "width 0 is impossible: it is a whole number from 1 to 64"),
        ("beam_search", {"width": 65}, "from 1 to 64"),
        ("beam_search", {"width": 2.0}, "from 1 to 64"),
        ("beam_search", {"width": True}, "from 1 to 64"),
        ("beam_search", {"width": 64, "branch": 5}, "width 64 x branch 5 makes 320 candidates a step: at most 256"),
        ("beam_search", {"look": "ahead"}, "look 'ahead' is impossible: it is preview, rollout, or a scale from 1"),
        ("beam_search", {"look": 5}, "look 5 is impossible: .* a scale from 1 to 4"),
        ("greedy_tokens", {"look": 0}, "look 0 is impossible"),
        ("random_search", {"n": 257}, "n 257 is impossible: it is a whole number from 1 to 256"),
    ],
)
def test_impossible_parameters_are_refused_with_what_is_allowed(strategy, params, sentence):
    with pytest.raises(BadRequest, match=sentence):
        searched(strategy, params)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"seed": -1}, "seed -1 is impossible"),
        ({"seed": 2**63}, "seed .* is impossible"),
        ({"budget_flops": 0.0}, "a budget of 0 GFLOP is impossible"),
        ({"budget_flops": float("nan")}, "a budget of nan GFLOP is impossible"),
        ({"observers": ("taste",)}, "verifier taste is not loaded: loaded are closeness, brightness"),
    ],
)
def test_impossible_requests_are_refused_before_any_event(fields, sentence):
    with pytest.raises(BadRequest, match=sentence):
        searched("beam_search", {}, **fields)


def test_an_empty_prompt_is_refused():
    with pytest.raises(BadRequest, match="the prompt is empty"):
        Search(ToyGenerator(), verifiers(), replace(spec_of("beam_search", {}), prompt=" \n"))


@pytest.mark.parametrize("strategy", ["greedy_tokens", "beam_search"])
def test_an_ode_sampler_refuses_choices_at_every_step(strategy):
    ode = ToyGenerator(branching=frozenset({0}))
    with pytest.raises(UnsupportedStrategy) as refusal:
        searched(strategy, {}, ode)
    assert str(refusal.value) == unsupported(strategy, "toy", ode.abilities)
    assert str(refusal.value).startswith(f"{strategy} chooses between candidates at every step, but toy branches only")
    assert unsupported(strategy, "toy", {"branches"}) is unsupported("random_search", "toy", set()) is None
    _, events = searched("random_search", {}, ode)
    assert isinstance(events[-1], Finished)


def test_every_strategy_describes_itself():
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name and strategy.description and strategy.params
        assert {param.name for param in strategy.params} >= set(strategy.dials)
        assert all(param.checked(param.default) == param.default for param in strategy.params)


# The tree


def test_why_says_what_was_computed():
    search, events = searched("beam_search", {"width": 2, "branch": 3})
    tree = search.tree
    first = next(event for event in events if isinstance(event, Pruned))
    ranked = sorted(first.ranks, key=first.ranks.get)
    assert tree.why(ranked[0]).startswith("Kept: ranked 1 of 6 at digit 1, 2 kept.")
    lost = tree.nodes[ranked[3]]
    short = tree.nodes[ranked[1]].score - lost.score
    assert tree.why(lost.id).startswith(
        f"Pruned: ranked 4 of 6 at digit 1, 2 kept. Score {lost.score:.3f}, "
        f"cut {first.cut:.3f}, short by {short:.3f}. It would have survived with 4 kept"
    )
    assert tree.why(0).startswith("The prompt")


def test_why_names_an_observer_that_would_have_kept_the_node():
    """The counterfactual is checked against a ranking by that observer."""
    search, events = searched("beam_search", {"width": 2, "branch": 4})
    for event in events:
        if isinstance(event, Pruned):
            by_brightness = sorted(event.ranks, key=lambda id: -search.tree.nodes[id].scores["brightness"])
            cut = search.tree.nodes[by_brightness[1]].scores["brightness"]
            for id in set(event.ranks) - set(event.kept):
                saved = search.tree.nodes[id].scores["brightness"] >= cut
                assert ("brightness as verifier" in search.tree.why(id)) == saved


def test_the_lane_of_a_pruned_sample_is_pruned():
    tree = searched("random_search", {"n": 5})[0].tree
    for leaf in tree.leaves():
        lane = {node.status for node in tree.path(leaf.id)[1:-1]}
        assert lane == {"pruned" if leaf.status == "pruned" else "kept"}
    assert sorted(leaf.status for leaf in tree.leaves()) == ["finished", *["pruned"] * 4]
    for leaf in tree.leaves():
        first = tree.path(leaf.id)[1]
        assert tree.why(first.id) == f"Not ranked itself. What grew from it, node {leaf.id}: {tree.why(leaf.id)}"


def test_paths_children_and_leaves_agree_with_networkx():
    tree = searched("beam_search", {})[0].tree
    graph = tree.as_networkx()
    assert len(graph) == len(tree.nodes) == 61
    for node in tree.nodes.values():
        assert [child.id for child in tree.children(node.id)] == sorted(graph.successors(node.id))
        assert [above.id for above in tree.path(node.id)][::-1][1:2] == list(graph.predecessors(node.id))
    assert {leaf.id for leaf in tree.leaves()} == {id for id in graph if graph.out_degree(id) == 0}
    assert graph.nodes[3]["score"] == tree.nodes[3].score


def test_a_tree_does_not_change():
    _, events = searched("beam_search", {})
    half = Tree.of(events[: len(events) // 2])
    before = (len(half.nodes), half.spent)
    half.apply(events[len(events) // 2])
    assert (len(half.nodes), half.spent) == before


def test_cost_adds_and_multiplies():
    cost = Cost(nfe=1, tokens=4, flops_generator=2.0, flops_decoder=1.0, flops_verifier=0.5, flops_display=9.0)
    assert 3 * cost == cost + cost + cost == cost * 3
    assert cost.flops == 3.5 and cost.for_display() == Cost(flops_display=3.5)
    assert Cost.from_json(cost.to_json()) == cost and Cost().to_json() == {}


@every_case
def test_a_node_is_shown_before_it_grows(strategy, params):
    """A display is fed step by step."""
    tree, improved = Tree(), False
    for event in searched(strategy, params)[1]:
        if isinstance(event, Expanded):
            parents = [tree.nodes[node.parent] for node in event.nodes if node.parent]
            assert all(node.has_preview or node.has_final for node in parents)
        improved |= isinstance(event, Improved)
        tree = tree.apply(event)
    assert improved
