"""Going on from any node of any stored run."""

import itertools
from dataclasses import replace

import pytest

from core.resume import resumed
from core.search.budget import Budget
from core.search.errors import BadRequest, UnsupportedStrategy
from core.search.events import Cancelled, Finished, RunSpec
from core.search.search import Search
from core.search.sizing import estimate, fit
from core.search.strategies.registry import STRATEGIES
from core.search.tree import Tree
from core.store.runs import RunStore
from tests.test_search import searched, spec_of, verifiers
from tests.toy import ToyGenerator

NO_LIMIT = Budget()
BEAM = {"width": 2, "branch": 3, "look": "preview"}


def store_run(root, spec, cancelled=lambda: False):
    """The store, the run's id and its search, run to its end."""
    store, search = RunStore(root), Search(ToyGenerator(), verifiers(), spec, cancelled)
    with store.create(spec) as writer:
        for event in search.run():
            writer.append(event)
    return store, writer.run, search


def go_on(store, run, node, strategy="beam_search", params=BEAM, budget=NO_LIMIT, **how):
    spec = resumed(store, run, node, strategy, params, budget, **how)
    return store_run(store.root, spec)


@pytest.fixture
def stored(tmp_path):
    return store_run(tmp_path, spec_of("beam_search", BEAM))


def growable(tree):
    return [node for node in tree.nodes.values() if node.step < tree.num_steps]


def paths(tree, id):
    """What grew below a node: seeds, scores and states, by the path of child indices."""
    found, todo = {}, [((), id)]
    while todo:
        key, node = todo.pop()
        for child in tree.children(node):
            found[*key, child.index] = (child.seed, child.state, child.step)
            todo.append(((*key, child.index), child.id))
    return found


def test_every_node_that_is_not_finished_goes_on_by_every_strategy(stored):
    """Live, kept or pruned; those that begin at the bare prompt say so."""
    store, run, search = stored
    for node, name in itertools.product(growable(search.tree), STRATEGIES):
        if STRATEGIES[name].from_prompt or not STRATEGIES[name].needs <= ToyGenerator().abilities:
            continue
        _, _, child = go_on(store, run, node.id, name, {})
        assert isinstance(child.tree.end, Finished), (node, name, child.tree.end)
        root = child.tree.nodes[0]
        assert (root.step, root.state, root.made) == (node.step, node.state, "thaw")
        assert all(other.step > node.step for other in child.tree.nodes.values() if other.made == "step" and other.id)


def test_from_prompt_strategies_refuse_a_node(stored):
    store, run, _ = stored
    for name, strategy in STRATEGIES.items():
        if strategy.from_prompt:
            with pytest.raises(UnsupportedStrategy, match=f"{name} begins with the bare prompt"):
                go_on(store, run, 1, name, {})


def test_a_fork_grows_what_the_run_itself_would_have_grown(stored):
    """From a kept node: the children that it had are drawn again, bit for bit, with the same scores."""
    store, run, search = stored
    for node in growable(search.tree):
        if node.status == "kept":
            _, _, child = go_on(store, run, node.id, "beam_search", BEAM)
            before, after = paths(search.tree, node.id), paths(child.tree, 0)
            shared = before.keys() & after.keys()
            assert {key for key in before if len(key) == 1} <= shared
            assert all(before[key] == after[key] for key in shared)


def test_another_seed_grows_other_children(stored):
    store, run, _ = stored
    one, two, three = (go_on(store, run, 1, seed=seed)[2].tree for seed in (None, 5, 6))
    seeds = [{child.seed for child in tree.children(0)} for tree in (one, two, three)]
    assert not seeds[0] & seeds[1] and not seeds[1] & seeds[2]


def test_regret_is_the_result_against_the_earlier_winner(stored):
    store, run, search = stored
    for node in growable(search.tree):
        store, child_run, child = go_on(store, run, node.id)
        assert child.tree.regret() == child.tree.best_score() - search.tree.best_score()
        assert Tree.of(store.load(child_run)).regret() == child.tree.regret()
        assert store.meta(child_run)["parent"] == run
    assert search.tree.regret() is None


def test_regret_by_another_guide_is_by_that_guide(stored):
    """The earlier run's observers scored its result, so the runs compare in the child's own currency."""
    store, run, search = stored
    _, _, child = go_on(store, run, 1, verifier="brightness")
    assert child.tree.regret() == child.tree.best_score() - search.tree.end.scores["brightness"]


def test_the_way_to_the_node_is_paid_for(stored):
    """Thawing replays the forward passes of its path, and the ledger says what was computed."""
    store, run, search = stored
    for node in growable(search.tree):
        _, _, child = go_on(store, run, node.id)
        computed, spent = child.generator.computed, child.tree.spent
        passes = sum(1e9 * (step + 1) ** 2 * computed[step] for step in range(4))
        assert spent.flops_generator == passes + 1e8 * computed["read"] and computed["read"] == 1
        assert spent.nfe == computed["candidates"]
        dry = estimate(child.spec, child.generator, child.verifiers)
        assert dry.flops >= spent.flops and dry.nfe >= spent.nfe


def test_a_child_run_has_its_own_budget(stored):
    store, run, _ = stored
    spec = resumed(store, run, 1, "random_search", {}, Budget(flops=3e11))
    fitted = fit(spec, ToyGenerator(), verifiers())
    _, _, child = store_run(store.root, fitted)
    assert fitted.params["n"] > 1 and child.tree.spent.flops <= 3e11 and child.tree.end.reason == "done"


def test_a_grandchild_knows_its_whole_path(stored):
    store, run, search = stored
    node = next(node for node in growable(search.tree) if node.step == 1)
    store, child_run, child = go_on(store, run, node.id)
    below = next(other for other in growable(child.tree) if other.step == 3)
    _, _, grandchild = go_on(store, child_run, below.id)
    assert grandchild.spec.origin.path == (1, 2, 3)
    assert grandchild.tree.nodes[0].state == below.state and isinstance(grandchild.tree.end, Finished)


@pytest.mark.parametrize("calls", range(2, 14))
def test_a_cancelled_run_can_be_gone_on_from(tmp_path, calls):
    left = iter(range(calls))
    store, run, search = store_run(tmp_path, spec_of("beam_search", BEAM), lambda: next(left, None) is None)
    assert isinstance(search.tree.end, Cancelled)
    for node in growable(search.tree):
        _, _, child = go_on(store, run, node.id)
        assert isinstance(child.tree.end, Finished)
        assert (child.tree.regret() is None) == (search.tree.best() is None)


def test_what_cannot_be_gone_on_from_is_refused(stored):
    store, run, search = stored
    finished = next(node for node in search.tree.nodes.values() if node.step == 4)
    for node in (-1, len(search.tree.nodes), True, "1", None):
        with pytest.raises(BadRequest, match=f"has no node {node!r}: its nodes are 0 to {len(search.tree.nodes) - 1}"):
            go_on(store, run, node)
    with pytest.raises(BadRequest, match=f"node {finished.id} is finished .* choose a node above it"):
        go_on(store, run, finished.id)
    with pytest.raises(BadRequest, match="there is no run"):
        go_on(store, "20200101-nothing", 0)


def test_an_origin_survives_json(stored):
    store, run, _ = stored
    spec = resumed(store, run, 2, "beam_search", BEAM, Budget(nfe=500), seed=3)
    assert RunSpec.from_json(spec.to_json()) == spec
    old = {key: value for key, value in replace(spec, origin=None).to_json().items()
           if key in ("prompt", "generator", "strategy", "params", "verifier", "observers", "seed", "budget_flops")}
    assert RunSpec.from_json(old) == replace(spec, origin=None, budget_nfe=None), "logs of before can be read"


def test_the_tree_tells_where_a_run_began(stored):
    store, run, _ = stored
    _, _, child = go_on(store, run, 3)
    assert child.tree.why(0) == f"Node 3 of run {run}, from which this run goes on."
    assert searched("beam_search", {})[0].tree.why(0).startswith("The prompt")
