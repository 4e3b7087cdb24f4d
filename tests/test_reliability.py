"""Rank correlations over stored runs, and regrets of runs that went on from a node."""

from itertools import permutations

import pytest

from core.evaluation.reliability import pairs_by_step, regret, reliability, spearman, with_regrets
from core.search.tree import Tree
from tests.test_resume import BEAM, go_on, growable, store_run
from tests.test_search import searched, spec_of
from tests.toy import ToyGenerator

LABELS = ToyGenerator().step_labels


@pytest.fixture
def stored(tmp_path):
    return store_run(tmp_path, spec_of("beam_search", BEAM))


def test_spearman_is_one_for_every_rising_and_minus_one_for_every_falling_order():
    rising = [(1.0, 10.0), (2.0, 11.0), (50.0, 12.0), (51.0, 900.0)]
    for order in permutations(rising):
        assert spearman(order) == pytest.approx(1.0)
        assert spearman([(a, -b) for a, b in order]) == pytest.approx(-1.0)
    assert spearman([(1.0, 2.0)]) is None and spearman([(1.0, 1.0), (1.0, 2.0)]) is None


def test_spearman_with_ties_is_the_correlation_of_mean_ranks():
    pairs = [(1.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 2.0)]   # ranks (0.5, 0), (0.5, 1.5), (2, 3), (3, 1.5)
    assert spearman(pairs) == pytest.approx(2.25 / 4.5)


def test_spearman_averages_to_nothing_over_all_orders():
    values = [spearman(list(zip((1.0, 2.0, 3.0, 4.0), order, strict=True))) for order in permutations((1, 2, 3, 4))]
    assert sum(values) == pytest.approx(0.0)


def test_pairs_are_scores_and_the_best_that_came_of_them():
    tree = searched("beam_search", {"width": 3, "branch": 4})[0].tree
    pairs = pairs_by_step(tree)
    assert set(pairs) <= {1, 2, 3} and pairs[3]
    for step, found in pairs.items():
        grown = [n for n in tree.nodes.values() if n.step == step and any(
            leaf.step == 4 and n in tree.path(leaf.id) for leaf in tree.leaves())]
        assert sorted(score for score, _ in found) == sorted(n.score for n in grown)
    assert max(final for found in pairs.values() for _, final in found) == tree.best_score()
    assert pairs_by_step(searched("beam_search", {"look": "rollout"})[0].tree) == {}
    assert pairs_by_step(searched("beam_search", {"look": "rollout"})[0].tree, look="rollout")


def test_more_runs_narrow_the_error_and_one_run_has_none():
    faithful = {1: [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]}
    false = {1: [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]}
    [one] = reliability([faithful], LABELS)
    assert (one.label, one.correlation, one.error, one.runs, one.pairs) == ("digit 1", 1.0, None, 1, 3)
    few, many = (reliability([faithful, false] * n, LABELS)[0] for n in (2, 20))
    assert few.correlation == many.correlation == pytest.approx(0.0) and many.error < few.error
    assert reliability([{1: [(1.0, 1.0), (2.0, 2.0)]}], LABELS) == [], "two pairs say nothing"


def test_a_run_with_more_pairs_weighs_more():
    long = {2: [(float(i), float(i)) for i in range(9)]}
    short = {2: [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]}
    assert reliability([long, short], LABELS)[0].correlation == pytest.approx((8 - 2) / 10)


def test_what_came_of_a_pruned_node_is_a_point_and_a_pair(stored):
    store, run, search = stored
    for node in growable(search.tree)[1:]:
        _, _, child = go_on(store, run, node.id)
        found = regret(search.tree, child.tree)
        assert (found.node, found.pruned, found.score) == (node.id, node.status == "pruned", node.score)
        assert found.value == child.tree.regret() == found.final - search.tree.best_score()
        if node.status == "pruned":
            before = pairs_by_step(search.tree)
            more = with_regrets(before, [found])
            assert more[node.step][-1] == (node.score, found.final)
            assert sum(map(len, more.values())) == 1 + sum(map(len, before.values()))
            assert with_regrets(before, [found], look="rollout") == before


def test_a_run_of_its_own_or_by_another_guide_or_not_over_has_no_regret(stored):
    store, run, search = stored
    assert regret(search.tree, search.tree) is None and regret(search.tree, Tree()) is None
    _, child_run, child = go_on(store, run, 1)
    assert regret(search.tree, Tree.of(store.load(child_run)[:-1])) is None
    assert regret(searched("beam_search", {"width": 1, "branch": 1})[0].tree, child.tree) is not None
    assert regret(Tree(), child.tree) is None
