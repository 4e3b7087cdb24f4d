"""Laws of the strategies, on the world of digits: where theory says what they must do, they do it."""

import itertools
import json
from base64 import b64decode, b64encode
from collections import Counter
from types import SimpleNamespace

import pytest

from core.search.events import Expanded, Finished, Origin, Pruned, Scored, from_json
from core.search.strategies import adaptive_beam
from core.search.strategies.adaptive_beam import _reliability, _size, _spread_of_siblings
from core.search.strategies.fk_steering import _potential
from core.search.strategies.registry import STRATEGIES, checked_params
from core.search.tree import Node, Tree
from tests.test_search import log_of, searched
from tests.toy import Closeness, Relay, ToyGenerator

SEEDS = range(6)
NEW = {
    "adaptive_beam": {"width": 2, "branch": 4},
    "resampling_search": {"particles": 3, "widen": 3},
    "diverse_beam": {"width": 3, "branch": 3},
    "backtracking_search": {"branch": 3, "visits": 5, "threshold": -2.0},
    "zero_order": {"neighbours": 2, "rounds": 3, "closeness": 0.7},
    "search_over_paths": {"paths": 2, "branch": 2, "start": 2, "jump": 1, "gain": 1},
    "fk_steering": {"particles": 5, "every": 1},
    "ar_then_flow": {"width": 2, "branch": 3, "scales": 1, "draws": 2},
}
CASES = [
    *NEW.items(),
    ("adaptive_beam", {"width": 2, "branch": 4, "look": "rollout", "stop": -3.0}),
    ("resampling_search", {"particles": 3, "resampler": "systematic", "look": "rollout"}),
    ("backtracking_search", {"branch": 2, "visits": 6, "threshold": 0.0, "look": "preview"}),
    ("fk_steering", {"particles": 5, "every": 2, "potential": "difference"}),
]
every_case = pytest.mark.parametrize(("strategy", "params"), CASES, ids=lambda value: str(value))


class Constant(Closeness):
    """Has no opinion."""

    def score(self, prompt, images):
        return [0.5] * len(images)


def run(strategy, params=None, generator=None, **fields):
    if generator is None:
        generator = Relay() if strategy == "ar_then_flow" else ToyGenerator()
    search, events = searched(strategy, NEW[strategy] | (params or {}) if strategy in NEW else params, generator,
                              **fields)
    assert isinstance(events[-1], Finished), events[-1]
    return search, events


def of(kind, events, **fields):
    return [e for e in events if isinstance(e, kind) and all(getattr(e, k) == v for k, v in fields.items())]


def digits(node):
    return tuple(b64decode(node.state))


def births(tree):
    """What fixes the nodes of a tree, whatever their ids."""
    return {(node.step, node.seed, node.state) for node in tree.nodes.values()}


def sizes(tree):
    return Counter(node.step for node in tree.nodes.values() if node.parent is not None)


def optimum(count):
    images = ToyGenerator(count).preview(list(itertools.product(range(count), repeat=4)))
    return max(Closeness().score("", images))


# All of them


@every_case
def test_one_seed_gives_one_log_and_its_tree_is_the_live_one(strategy, params):
    search, once = run(strategy, params)
    again, other = (log_of(run(strategy, params, seed=seed)[1]) for seed in (7, 8))
    assert log_of(once) == again != other
    assert Tree.of(from_json(json.loads(json.dumps(event.to_json()))) for event in once) == search.tree
    assert search.tree.spent == search.ledger.spent


@every_case
@pytest.mark.parametrize("seed", SEEDS)
def test_the_result_is_the_best_finished_image_seen(strategy, params, seed):
    _, events = run(strategy, params, seed=seed)
    finished = [score["closeness"] for event in of(Scored, events, finished=True) for score in event.scores.values()]
    assert events[-1].score == max(finished)


@every_case
def test_no_image_is_drawn_twice(strategy, params):
    """Seeds differ, also between children made in different ways."""
    nodes = run(strategy, params)[0].tree.nodes.values()
    assert len({(node.parent, node.index) for node in nodes}) == len({node.seed for node in nodes}) == len(nodes)


@every_case
def test_a_run_goes_on_from_any_unfinished_node(strategy, params):
    if STRATEGIES[strategy].from_prompt:
        return
    first, _ = run(strategy, params)
    by_step = {node.step: node for node in first.tree.nodes.values() if 0 < node.step < 4}
    assert by_step
    for node in by_step.values():
        path = tuple(above.step for above in first.tree.path(node.id)[1:])
        search, events = run(strategy, params, origin=Origin("earlier", node.id, node.step, node.state, path, {}))
        assert digits(search.tree.best())[: node.step] == digits(node) or strategy == "search_over_paths"


@every_case
def test_a_guide_without_an_opinion_is_no_obstacle(strategy, params, monkeypatch):
    monkeypatch.setattr(Closeness, "score", Constant.score)
    assert run(strategy, params)[1][-1].score == 0.5


@pytest.mark.parametrize("strategy", ["resampling_search", "fk_steering"])
def test_temper_does_not_depend_on_the_scale_of_the_scores(strategy, monkeypatch):
    plain = [births(run(strategy, seed=seed)[0].tree) for seed in SEEDS]
    score = Closeness.score
    monkeypatch.setattr(Closeness, "score", lambda *args: [64 * value + 8 for value in score(*args)])
    assert [births(run(strategy, seed=seed)[0].tree) for seed in SEEDS] == plain


# Adaptive beam


@pytest.mark.parametrize("look", ["preview", "rollout", 3])
@pytest.mark.parametrize(("width", "branch"), [(1, 1), (2, 1), (1, 4), (3, 2), (3, 5), (2, 9)])
def test_an_adaptive_beam_never_exceeds_its_allowance(width, branch, look):
    for seed in SEEDS:
        tree = run("adaptive_beam", {"width": width, "branch": branch, "look": look}, seed=seed)[0].tree
        drawn = sizes(tree)
        assert sum(drawn.values()) <= width * branch * 4
        assert all(min(2, branch) * width <= drawn[step] <= 3 * width * branch for step in range(1, 5))


def test_steps_of_equal_worth_get_equal_shares_and_worthless_ones_a_pilot(monkeypatch):
    left, drawn = 60, []
    for steps_left in (4, 3, 2, 1):
        drawn.append(_size(left, steps_left, 6, [0.7] * (5 - steps_left)))
        left -= drawn[-1]
    assert drawn == [15] * 4   # as beam search draws
    monkeypatch.setattr(Closeness, "score", Constant.score)
    assert sizes(run("adaptive_beam", {"width": 3, "branch": 5})[0].tree) == dict.fromkeys(range(1, 5), 6)


@pytest.mark.parametrize("matters", [1, 2, 3])
def test_an_adaptive_beam_spends_most_where_candidates_differ(matters, monkeypatch):
    """One digit decides; before it is drawn, and once it is chosen, the score says nothing about the others."""
    monkeypatch.setattr(Closeness, "score", lambda self, _, images: [
        -float(abs(int(image[0, matters, 0]) - 4)) * (image[0, matters, 0] != 255) for image in images
    ])  # fmt: skip
    for seed in SEEDS:
        drawn = sizes(run("adaptive_beam", {"width": 2, "branch": 9}, seed=seed)[0].tree)
        assert drawn[matters + 1] > max(drawn[step] for step in range(2, 5) if step != matters + 1)
        assert matters < 3 or drawn == {1: 4, 2: 4, 3: 4, 4: 3 * 18}   # of 60 left, what fits into memory


def test_an_adaptive_beam_does_not_follow_scores_that_told_nothing(monkeypatch):
    monkeypatch.setattr(adaptive_beam, "_reliability", lambda tree: float(max(sizes(tree)) != 2))
    for seed in SEEDS:
        drawn = sizes(run("adaptive_beam", {"width": 2, "branch": 6}, seed=seed)[0].tree)
        assert drawn[2] == 4 and drawn[1] == 12


def family(*steps):
    """A tree with one step of (parent's score, child's score, child's index) after the other."""
    nodes = [Node(0, None, 0, 0, 0, "", 0.0)]
    for step, pairs in enumerate(steps):
        for before, after, index in pairs:
            nodes.append(Node(len(nodes), 0, 2 * step + 1, 0, 0, "", 0.0, score=before))
            nodes.append(Node(len(nodes), nodes[-1].id, 2 * step + 2, index, 0, "", 0.0, score=after))
    return Tree(nodes={node.id: node for node in nodes})


def test_reliability_is_a_correlation_within_steps_with_a_doubt():
    agree = [(0.1 * i, 3.0 * i, 1) for i in range(16)]
    oppose = [(0.1 * i, -3.0 * i, 1) for i in range(16)]
    unrelated = [(0.0, 0.0, 1), (0.0, 1.0, 1), (1.0, 0.0, 1), (1.0, 1.0, 1)]
    drifted = [(before + 9, after + 9, 1) for before, after, _ in unrelated]
    first_children = [(before, -after, 0) for before, after, _ in agree]
    assert _reliability(family()) == _reliability(family(first_children)) == 0.5
    assert _reliability(family(agree)) == pytest.approx((16 + 2) / (16 + 4))
    assert _reliability(family(oppose)) == pytest.approx(2 / (16 + 4))
    assert _reliability(family(unrelated, drifted)) == pytest.approx(2 / (8 + 4))
    assert _reliability(family([(0.5, 0.1, 1), (0.5, 0.2, 1)])) == pytest.approx(2 / (2 + 4))   # nothing to correlate


def test_the_spread_of_siblings_ignores_differences_between_families():
    families = [(1, 1.0), (1, 3.0), (2, 10.0), (2, 10.0), (3, 50.0)]
    nodes = [SimpleNamespace(parent=parent, score=score) for parent, score in families]
    assert _spread_of_siblings(nodes) == 1   # two squares of 1, over five scores less three means
    assert _spread_of_siblings(nodes[-1:]) == 0


def test_what_an_adaptive_beam_saves_is_spent_later():
    """Step by step it may be behind a beam, and where it is, a later step is above the average."""
    totals = [sizes(run("adaptive_beam", {"width": 3, "branch": 6}, seed=seed)[0].tree) for seed in range(20)]
    assert any(drawn[1 + late] > 18 > drawn[1 + early] for drawn in totals for early, late in [(0, 1), (1, 2), (2, 3)])
    assert sum(sum(drawn.values()) for drawn in totals) > 0.6 * 20 * 3 * 6 * 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wide_adaptive_beam_finds_the_optimum(seed):
    search, _ = run("adaptive_beam", {"width": 16, "branch": 16}, ToyGenerator(3), seed=seed)
    assert search.best_score == optimum(3)


def test_an_adaptive_beam_stops_as_soon_as_an_image_will_do():
    search, events = run("adaptive_beam", {"look": "rollout", "stop": -99.0})
    assert len(of(Scored, events)) == 1 and sizes(search.tree) == {1: 4}
    whole, _ = run("adaptive_beam", {"look": "rollout", "stop": 99.0})
    assert births(whole.tree) == births(run("adaptive_beam", {"look": "rollout"})[0].tree)
    late, _ = run("adaptive_beam", {"stop": -99.0})   # previews show no finished image before the last step
    assert sizes(late.tree)[4] == 4 and sizes(late.tree)[1] == sizes(run("adaptive_beam")[0].tree)[1]


# Diverse beam


@pytest.mark.parametrize("generations", [1, 2, 9])
def test_without_limits_a_diverse_beam_is_a_beam(generations):
    limits = {"per_ancestor": 3, "generations": generations, "tolerance": 0.0}
    for seed in SEEDS:
        _, diverse = run("diverse_beam", {"width": 3, "branch": 4, **limits}, seed=seed)
        _, beam = run("beam_search", {"width": 3, "branch": 4}, seed=seed)
        logs = [[event | {"rule": None} for event in log_of(events)[1:]] for events in (diverse, beam)]
        assert logs[0] == logs[1]


@pytest.mark.parametrize("generations", [1, 2, 3])
@pytest.mark.parametrize("per_ancestor", [1, 2])
def test_a_diverse_beam_never_keeps_more_of_one_ancestor(per_ancestor, generations):
    params = {"width": 4, "branch": 6, "per_ancestor": per_ancestor, "generations": generations}
    for seed in SEEDS:
        search, events = run("diverse_beam", params, seed=seed)
        kept = [(choice.step, id) for choice in of(Pruned, events) for id in choice.kept]
        lines = Counter((step, search.tree.path(id)[step - generations].id) for step, id in kept if step > generations)
        assert max(lines.values()) == per_ancestor
        assert len(kept) > 8


def test_a_diverse_beam_keeps_one_of_those_that_look_alike():
    for seed in SEEDS:
        search, events = run("diverse_beam", {"width": 4, "branch": 6}, ToyGenerator(4), seed=seed)
        for choice in of(Pruned, events):
            states = [search.tree.nodes[id].state for id in choice.kept]
            assert len(set(states)) == len(states)
            best = min(choice.ranks, key=choice.ranks.get)
            assert best in choice.kept


@pytest.mark.parametrize("seed", SEEDS)
def test_a_diverse_beam_as_wide_as_the_world_finds_the_optimum_whatever_previews_say(seed):
    """Sixteen places hold all sixteen different images, and 16 draws miss one of two digits once in 2000 runs."""
    params = {"width": 16, "branch": 16, "per_ancestor": 16}
    search, _ = run("diverse_beam", params, ToyGenerator(2, reliable=False), seed=seed)
    assert search.best_score == optimum(2)


# Resampling


def test_a_crowd_narrows_from_wide_to_its_particles():
    for seed in SEEDS:
        search, events = run("resampling_search", {"particles": 4, "widen": 8}, seed=seed)
        drawn = sizes(search.tree)
        assert [drawn[step] for step in range(1, 5)] == [32, 16, 8, 4]
        assert [choice.rule for choice in of(Pruned, events)] == ["cluster", "cluster", "resampled", "best_of_n"]
        assert sum(of(Pruned, events, rule="resampled")[0].copies.values()) == 4


def test_coarse_scales_are_not_judged_and_stay_various():
    for seed in SEEDS:
        search, events = run("resampling_search", {"particles": 4, "widen": 8}, ToyGenerator(40), seed=seed)
        assert min(search.tree.nodes[id].step for event in of(Scored, events) for id in event.scores) == 3
        first = of(Pruned, events)[0]
        states = [search.tree.nodes[id].state for id in first.ranks]
        kept = {search.tree.nodes[id].state for id in first.kept}
        assert len(kept) == min(16, len(set(states)))


@pytest.mark.parametrize("resampler", ["systematic", "ssp"])
def test_resampling_without_temper_is_best_of_n(resampler):
    for seed in SEEDS:
        tree = run("resampling_search", {"particles": 6, "widen": 1, "temper": 0.0, "resampler": resampler},
                   seed=seed)[0].tree
        assert births(tree) == births(searched("random_search", {"n": 6}, seed=seed)[0].tree)


@pytest.mark.parametrize("resampler", ["systematic", "ssp"])
@pytest.mark.parametrize("look", ["preview", "rollout"])
def test_resampling_at_high_temper_is_greedy(resampler, look):
    for seed in SEEDS:
        search, events = run("resampling_search", {"temper": 100.0, "resampler": resampler, "look": look}, seed=seed)
        [choice] = of(Pruned, events, rule="resampled")
        scores = {id: search.tree.nodes[id].score for id in choice.ranks}
        assert {scores[id] for id in choice.kept} == {max(scores.values())}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wide_crowd_finds_the_optimum(seed):
    search, _ = run("resampling_search", {"particles": 32, "widen": 2}, ToyGenerator(2), seed=seed)
    assert search.best_score == optimum(2)


# Backtracking


@pytest.mark.parametrize("look", ["preview", "rollout"])
@pytest.mark.parametrize("threshold", [-4.0, -1.0, 99.0])
def test_depth_first_into_the_best_child_and_back_from_a_dead_end(look, threshold):
    """Told again from the log: which node is grown next, and when it is over."""
    for seed in SEEDS:
        search, events = run("backtracking_search", {"look": look, "threshold": threshold, "visits": 9}, seed=seed)
        nodes, waiting, best = search.tree.nodes, set(), None
        grown = [event.nodes for event in of(Expanded, events) if len(event.nodes) == 3]
        for family, following in itertools.zip_longest(grown, grown[1:]):
            waiting = {id for id in waiting | {new.id for new in family} if nodes[id].step < 4} - {family[0].parent}
            score = {id: nodes[id].score for id in waiting | {new.id for new in family}}
            child = max((new.id for new in family), key=lambda id: (score[id], -id))
            finished = [score[new.id] for new in family if look == "rollout" or new.step == 4]
            best = max([best, *finished], key=lambda value: -99 if value is None else value) if finished else best
            if following is None:
                assert (best is not None and best >= threshold) or len(grown) == 9
            else:
                assert best is None or best < threshold
                deeper = score[child] >= threshold and child in waiting
                wanted = child if deeper else max(waiting, key=lambda id: (score[id], -id), default=0)
                assert following[0].parent == wanted


def test_a_threshold_that_all_reach_makes_backtracking_greedy():
    for seed in SEEDS:
        tree = run("backtracking_search", {"look": "preview", "threshold": -99.0, "branch": 5}, seed=seed)[0].tree
        assert births(tree) == births(searched("greedy_tokens", {"branch": 5, "look": "preview"}, seed=seed)[0].tree)
        rolled, events = run("backtracking_search", {"threshold": -99.0}, seed=seed)
        assert sizes(rolled.tree) == {1: 3, 2: 1, 3: 1, 4: 1}, "its image is put into the tree"
        assert rolled.tree.spent.nfe == 3 * 4 and rolled.tree.spent.decodes <= 3, "at no cost: the rollout had made it"


@pytest.mark.parametrize("look", ["preview", "rollout"])
@pytest.mark.parametrize("seed", SEEDS)
def test_backtracking_finds_the_optimum_and_stops_there(seed, look):
    """However bad the previews are: sooner or later every node is grown, and then the root again."""
    params = {"branch": 3, "visits": 200, "threshold": optimum(2), "look": look}
    search, _ = run("backtracking_search", params, ToyGenerator(2, reliable=False), seed=seed)
    assert search.best_score == optimum(2)
    assert len(search.tree.below) < 200


@pytest.mark.parametrize("visits", range(1, 9))
def test_the_image_that_backtracking_found_is_a_leaf_of_its_tree(visits):
    for seed in SEEDS:
        tree = run("backtracking_search", {"threshold": 99.0, "visits": visits, "branch": 2}, seed=seed)[0].tree
        leaves = [node for node in tree.nodes.values() if node.step == 4]
        assert max(node.score for node in leaves) == tree.best_score()


@pytest.mark.parametrize("visits", [1, 2, 3])
def test_backtracking_always_brings_an_image_home(visits):
    search, events = run("backtracking_search", {"look": "preview", "threshold": 99.0, "visits": visits})
    assert len([event for event in of(Expanded, events) if len(event.nodes) == 3]) == visits
    assert search.tree.best().step == 4
    assert not [node for node in search.tree.leaves() if node.status == "live"]
    assert not [node for node in search.tree.path(search.tree.best().id) if node.status == "pruned"]


def test_backtracking_ends_where_there_is_nothing_else_to_find():
    """A resumed node whose generator draws no more has one image below it, however many visits are left."""
    generator = ToyGenerator(branching=frozenset({0, 1, 2}))
    origin = Origin("earlier", 9, 3, b64encode(bytes((3, 1, 4))).decode(), (1, 2, 3), {})
    search, _ = run("backtracking_search", {"threshold": 99.0, "visits": 9}, generator, origin=origin)
    assert sizes(search.tree) == {4: 1}


# Zero-order search


def test_more_rounds_are_never_worse():
    for seed in SEEDS:
        runs = [run("zero_order", {"rounds": rounds}, seed=seed) for rounds in (1, 2, 4, 8)]
        assert births(runs[0][0].tree) < births(runs[1][0].tree) < births(runs[2][0].tree)
        best = [search.best_score for search, _ in runs]
        assert best == sorted(best)
        _, events = runs[-1]
        cuts = [choice.cut for choice in of(Pruned, events)]
        assert cuts == sorted(cuts) and len(cuts) == 8
        assert len(of(Scored, events)[0].scores) == 1   # there is a result before there are neighbours


def test_neighbours_are_those_of_the_best_so_far():
    search, events = run("zero_order", {"rounds": 6})
    nodes, pivot = search.tree.nodes, 4
    for choice in of(Pruned, events):
        near = [search.tree.path(id)[-4] for id in choice.ranks if id != pivot]
        assert {node.parent for node in near} == {pivot} and {node.made for node in near} == {"neighbour"}
        [kept] = choice.kept
        assert kept == pivot or nodes[kept].score > nodes[pivot].score
        pivot = kept


def test_far_neighbours_are_random_search():
    """At closeness 0 the pivot says nothing about its neighbours: as good as 7 independent images, on average.

    300 runs of an ODE sampler each; 4 standard errors.
    """

    def mean(strategy, params):
        ode = ToyGenerator(10, branching=frozenset({0}))
        scores = [searched(strategy, params, ode, display=False, seed=seed)[0].best_score for seed in range(300)]
        center = sum(scores) / 300
        return center, sum((score - center) ** 2 for score in scores) / 300**2

    near, random = mean("zero_order", {"neighbours": 2, "rounds": 3, "closeness": 0.0}), mean("random_search", {"n": 7})
    assert abs(near[0] - random[0]) < 4 * (near[1] + random[1]) ** 0.5
    less = mean("random_search", {"n": 3})
    assert random[0] - less[0] > 4 * (random[1] + less[1]) ** 0.5   # so the test can tell


@pytest.mark.parametrize("seed", SEEDS)
def test_many_neighbours_find_the_best_of_an_ode(seed):
    ode = ToyGenerator(10, branching=frozenset({0}))
    images = [tuple(digits) for digits in _paths_of(ode)]
    search, _ = run("zero_order", {"neighbours": 16, "rounds": 8, "closeness": 0.0}, ode, seed=seed)
    assert search.best_score == max(Closeness().score("", ode.preview(images)))


def _paths_of(ode):
    for first in range(10):
        state = (first,)
        while len(state) < 4:
            [state] = ode.step([state], [0])
        yield state


# Search over paths


@pytest.mark.parametrize(
    ("start", "jump", "gain", "choices", "noises"),
    [(2, 1, 1, [3, 4], [1, 2]), (3, 2, 1, [4], [1]), (2, 1, 2, [4], [1]), (2, 9, 1, [3, 4], [1, 1]),
     (2, 1, 9, [4], [1])],
)
def test_paths_go_back_and_farther_on(start, jump, gain, choices, noises):
    params = {"paths": 2, "branch": 3, "start": start, "jump": jump, "gain": gain}
    search, events = run("search_over_paths", params)
    *made, last = of(Pruned, events)
    assert [choice.step for choice in made] == choices and len(last.kept) == 1
    noised = [event.nodes for event in of(Expanded, events) if event.nodes[0].made == "renoise"]
    assert [(nodes[0].step, len(nodes)) for nodes in noised] == [(step, 6) for step in noises]
    for choice, nodes, after in zip(made, noised[1:], made[1:], strict=False):
        assert len(choice.ranks) == 2 * (3 + 1) and len(choice.kept) == 2
        assert {new.parent for new in nodes} == set(choice.kept)
        assert {search.tree.nodes[id].parent for id in after.ranks} >= set(choice.kept)   # they go on as they are, too


def test_paths_are_never_worse_than_where_they_came_from():
    """By what the guide saw: the path as it goes on is among the candidates."""
    for seed in range(20):
        search, events = run("search_over_paths", {"paths": 1}, ToyGenerator(reliable=False), seed=seed)
        kept = 0
        for choice in of(Pruned, events, rule="paths"):
            same = [id for id in choice.ranks if search.tree.nodes[id].made == "step"
                    and search.tree.nodes[search.tree.nodes[id].parent].id == kept]
            assert kept == 0 or search.tree.nodes[choice.kept[0]].score >= search.tree.nodes[same[0]].score
            kept = choice.kept[0]


def test_an_ode_goes_back_into_the_noise_too():
    """Its paths have one child by a step, and any number by noise."""
    tree = run("search_over_paths", generator=ToyGenerator(branching=frozenset({0})))[0].tree
    assert Counter(node.made for node in tree.nodes.values() if node.step == 1) == {"step": 3 - 1, "renoise": 4}


def test_paths_that_start_at_the_end_are_random_search():
    for seed in SEEDS:
        tree = run("search_over_paths", {"paths": 5, "start": 4}, seed=seed)[0].tree
        assert births(tree) == births(searched("random_search", {"n": 5}, seed=seed)[0].tree)


def test_models_of_few_steps_get_a_round_by_the_usual_settings_too():
    """The usual start lies beyond the last of their steps, which would leave nothing but the best of n."""
    usual = checked_params("search_over_paths", {})
    _, events = run("search_over_paths", usual)
    assert usual["start"] > 4 and [choice.step for choice in of(Pruned, events, rule="paths")] == [4]


@pytest.mark.parametrize("seed", SEEDS)
def test_many_paths_find_the_optimum(seed):
    params = {"paths": 16, "branch": 16, "start": 2, "jump": 1, "gain": 1}
    search, _ = run("search_over_paths", params, ToyGenerator(3), seed=seed)
    assert search.best_score == optimum(3)


def test_paths_of_a_relay_stay_in_the_noise():
    relay = Relay()
    relay.handover_step = 1
    tree = run("search_over_paths", {"start": 2, "jump": 9}, relay)[0].tree
    noised = [node for node in tree.nodes.values() if node.made == "renoise"]
    assert {node.step for node in noised} == {2}
    assert all(digits(node)[0] == digits(tree.nodes[node.parent])[0] for node in noised)


# Feynman-Kac steering


@pytest.mark.parametrize("potential", ["max", "value", "difference"])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_particles_without_temper_are_never_resampled(every, potential):
    for seed in SEEDS:
        params = {"particles": 6, "temper": 0.0, "every": every, "potential": potential}
        search, events = run("fk_steering", params, seed=seed)
        assert not of(Pruned, events, rule="resampled")
        assert births(search.tree) == births(searched("random_search", {"n": 6}, seed=seed)[0].tree)


def test_particles_are_judged_every_so_often_and_stay_as_many():
    for every, steps in [(1, [1, 2, 3, 4]), (2, [2, 4]), (3, [3, 4]), (4, [4]), (9, [4])]:
        for potential in ("max", "value", "difference"):
            search, events = run("fk_steering", {"every": every, "potential": potential})
            assert [search.tree.nodes[next(iter(event.scores))].step for event in of(Scored, events)] == steps
            assert set(sizes(search.tree).values()) == {5}


def test_high_temper_leaves_only_the_best_alive():
    for seed in SEEDS:
        search, events = run("fk_steering", {"temper": 100.0, "potential": "value"}, seed=seed)
        assert of(Pruned, events, rule="resampled")
        for choice in of(Pruned, events, rule="resampled"):
            scores = {id: search.tree.nodes[id].score for id in choice.ranks}
            assert {scores[id] for id in choice.kept} == {max(scores.values())}
            assert sum(choice.copies.values()) == 5


def parity(monkeypatch, *weights):
    """A guide that likes odd digits, each place as much as its weight says."""
    monkeypatch.setattr(Closeness, "score", lambda self, _, images: [
        float(sum(weight * (int(digit) % 2) for digit, weight in zip(image[0, :, 0], weights, strict=False)
                  if digit != 255)) for image in images
    ])  # fmt: skip


def odd(ids, tree):
    return sum(digits(tree.nodes[id])[0] % 2 for id in ids)


def test_particles_are_resampled_when_fewer_than_half_of_them_count(monkeypatch):
    """k of 6 weigh alike and the others nothing, so the effective number is k, or 6 for none."""
    parity(monkeypatch, 1.0)
    seen = set()
    for seed in range(60):
        search, events = run("fk_steering", {"particles": 6, "temper": 100.0, "potential": "value"}, seed=seed)
        count = odd(of(Scored, events)[0].scores, search.tree)
        resampled = [choice.step for choice in of(Pruned, events, rule="resampled")]
        assert resampled == ([1] if 0 < count < 3 else [])
        seen.add(count)
    assert {1, 2, 3, 4} <= seen


def test_weights_gather_until_particles_are_resampled(monkeypatch):
    """2 of 8 are liked: by one choice the effective number is 5.8, by two it is 3.3."""
    parity(monkeypatch, 1.0)
    firsts = []
    for seed in range(80):
        search, events = run("fk_steering", {"particles": 8, "temper": 0.5, "potential": "value"}, seed=seed)
        if odd(of(Scored, events)[0].scores, search.tree) == 2:
            firsts.append(of(Pruned, events, rule="resampled")[0].step)
    assert len(firsts) > 3 and set(firsts) == {2}


def test_particles_that_have_become_alike_are_left_alone(monkeypatch):
    """The second digit matters a hundredth of the first, by which they were resampled already."""
    parity(monkeypatch, 1.0, 0.01)
    steps = Counter()
    for seed in range(40):
        _, events = run("fk_steering", {"particles": 6, "temper": 20.0, "potential": "value"}, seed=seed)
        resampled = [choice.step for choice in of(Pruned, events, rule="resampled")]
        steps[tuple(resampled)] += resampled[:1] == [1]
    assert set(+steps) == {(1,)}


def test_potentials_are_those_of_the_paper():
    path = [SimpleNamespace(score=score) for score in (None, 1.0, None, 3.0, 2.0)]
    tree = SimpleNamespace(path=lambda id: path[: id + 1])
    values = {name: [_potential(tree, SimpleNamespace(id=id), name) for id in (1, 3, 4)]
              for name in ("max", "value", "difference")}
    assert values == {"max": [1, 3, 3], "value": [1, 3, 2], "difference": [1, 2, -1]}


# Scales, then diffusion


@pytest.mark.parametrize("scales", [1, 2, 9])
def test_the_beam_fixes_the_scales_and_diffusion_the_rest(scales):
    search, events = run("ar_then_flow", {"scales": scales, "draws": 3})
    last = min(scales, 2)
    assert [choice.step for choice in of(Pruned, events)] == [*range(1, last + 1), 4]
    [noised] = [event.nodes for event in of(Expanded, events) if event.nodes[0].made == "renoise"]
    kept = of(Pruned, events)[last - 1].kept
    assert [new.parent for new in noised] == [id for id in kept for _ in range(3)] and noised[0].step == 3
    for new in noised:
        assert digits(search.tree.nodes[new.id])[:last] == digits(search.tree.nodes[new.parent])
    beam = searched("beam_search", {"width": 2, "branch": 3}, Relay())[0].tree
    assert {birth for birth in births(beam) if birth[0] <= last} == {
        birth for birth in births(search.tree) if birth[0] <= last
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wide_relay_finds_the_optimum(seed):
    params = {"width": 8, "branch": 16, "scales": 2, "draws": 16}
    search, _ = run("ar_then_flow", params, Relay(digits=2), seed=seed)
    assert search.best_score == optimum(2)
