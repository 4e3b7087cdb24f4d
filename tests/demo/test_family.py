"""Which runs one view shows."""

from dataclasses import replace

import pytest

from core.resume import resumed
from core.search.budget import Budget
from core.search.events import RunSpec
from core.store.runs import RunStore
from demo.family import Kin, family
from demo.jobs import compute, create
from demo.streaming import Library
from demo.visitors import hashed
from tests.painted import painted_models

ANNA, BERT = "a" * 32, "b" * 32
BEAM = {"width": 2, "branch": 3, "look": "preview"}
PRUNED = 9


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


class World:
    """Runs of two visitors."""

    def __init__(self, root):
        self.store, self.models = RunStore(root), painted_models()

    def run(self, *specs, owner=ANNA, private=False):
        writers = create(self.store, specs, {"owner": hashed(owner), "private": private})
        compute(self.models, specs, writers)
        for writer in writers:
            writer.close()
        return [writer.run for writer in writers]

    def pair(self):
        spec = RunSpec("a red car", "painter", "beam_search", BEAM, "warmth", (), 7)
        return self.run(spec, replace(spec, generator="noisy", strategy="random_search", params={"n": 4}))

    def branch(self, run, node=PRUNED, strategy="beam_search", params=BEAM, owner=ANNA, **changes):
        spec = resumed(self.store, run, node, strategy, params, Budget(flops=20e9))
        return self.run(replace(spec, **changes), owner=owner)[0]

    def seen(self, run, visitor=ANNA):
        """(run, run that it grows in, name, beside) of every lane."""
        lanes = family(Library([self.store]), Kin([self.store]), run, visitor)
        return [(lane.run, lane.of, lane.name, lane.beside) for lane in lanes]


def test_a_branch_is_shown_with_all_of_the_view_it_grew_from(world):
    first, beside = world.pair()
    branch = world.branch(first)
    assert world.seen(branch) == [(branch, first, "R2", False), (first, None, None, False), (beside, None, None, True)]


def test_branches_are_named_in_the_order_they_began_and_may_grow_from_branches(world):
    first, _beside = world.pair()
    second = world.branch(first)
    third = world.branch(second, 2)
    for run in (first, second, third):
        named = {run: (of, name) for run, of, name, _ in world.seen(run)}
        assert named[second] == (first, "R2") and named[third] == (second, "R3") and named[first] == (None, None)


def test_only_the_branch_of_the_link_and_ones_own_are_in_sight(world):
    first, _beside = world.pair()
    annas, berts = world.branch(first), world.branch(first, owner=BERT)
    assert [lane[0] for lane in world.seen(first, ANNA) if lane[1]] == [annas]
    assert [lane[0] for lane in world.seen(first, "c" * 32) if lane[1]] == []
    assert {lane[0] for lane in world.seen(annas, BERT) if lane[1]} == {annas, berts}


def test_what_the_run_beside_is_continued_by_grows_in_its_tree(world):
    first, beside = world.pair()
    branch = world.branch(beside, 1, "random_search", {"n": 2})
    assert (branch, beside, "R2", False) in world.seen(first)
    lanes = {run: (of, second) for run, of, _, second in world.seen(branch)}
    assert lanes[branch] == (beside, False) and lanes[beside] == (None, True) and lanes[first] == (None, False)


def test_where_the_earlier_run_is_gone_or_never_had_the_node_the_branch_is_alone(world):
    first, _beside = world.pair()
    branch = world.branch(first)
    origin = world.store.load(branch)[0].spec.origin
    forged = world.run(replace(world.store.load(branch)[0].spec, origin=replace(origin, node=PRUNED + 1)))[0]
    assert (forged, None, None, False) in world.seen(forged)
    assert forged not in {lane[0] for lane in world.seen(first)}
    world.store.delete(first)
    assert world.seen(branch) == [(branch, None, None, False)]


def test_a_private_earlier_run_stays_private(world):
    spec = RunSpec("a red car", "painter", "beam_search", BEAM, "warmth", (), 7)
    [secret] = world.run(spec, private=True)
    branch = world.branch(secret)
    assert world.seen(branch, BERT) == [(branch, None, None, False)]
    assert world.seen(branch, ANNA)[1][0] == secret
