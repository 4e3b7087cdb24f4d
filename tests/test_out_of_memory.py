"""Memory that is used up: smaller calls, then a smaller search, said aloud; at last an honest end."""

import json
from dataclasses import replace

import pytest
import torch

from core.search.budget import Budget
from core.search.errors import is_out_of_memory
from core.search.events import Failed, Finished, RunSpec, Shrunk
from core.search.retry import smaller
from core.search.search import Search
from core.search.strategies.registry import STRATEGIES, checked_params, unsupported
from core.search.tree import Tree
from core.store.check import checked_log
from core.store.runs import RunStore
from tests.test_cli import registries, world  # noqa: F401
from tests.test_search import searched, spec_of, verifiers
from tests.toy import ToyGenerator

SCARCE = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
]


class Short(ToyGenerator):
    """Has no memory for more than `most` candidates of its third digit in one call."""

    def __init__(self, most: int, error: Exception):
        super().__init__()
        self.most, self.error = most, error

    def step(self, states, seeds):
        if len(states[0]) == 2 and len(states) > self.most:
            raise self.error
        return super().step(states, seeds)


class Crowded(Short):
    """Has no memory for more than `most` candidates of its third digit at all, until a search begins anew."""

    def start(self, prompt):
        self.made = 0
        return super().start(prompt)

    def step(self, states, seeds):
        self.made += len(states) if len(states[0]) == 2 else 0
        if self.made > self.most:
            raise self.error
        return super(Short, self).step(states, seeds)


def test_torch_on_this_machine_says_it_in_known_words():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not fit in memory layout"))


@pytest.mark.parametrize("error", SCARCE, ids=lambda error: type(error).__name__)
def test_a_call_that_is_too_large_is_made_in_parts_and_nothing_else_changes(error):
    """Said aloud; siblings stay in one call, since they share its pass."""
    free, _ = searched("beam_search", {"width": 3, "branch": 4})
    search, events = searched("beam_search", {"width": 3, "branch": 4}, Short(8, error))
    [said] = [event for event in events if isinstance(event, Shrunk)]
    assert said.message == "out of memory at digit 3 with 2 at a time: fewer at a time from here on"
    assert isinstance(events[-1], Finished)
    assert [replace(node, choice=None) for node in search.tree.nodes.values()] == [
        replace(node, choice=None) for node in free.tree.nodes.values()]
    assert replace(search.tree.spent, seconds=0) == replace(free.tree.spent, seconds=0)


@pytest.mark.parametrize("error", SCARCE, ids=lambda error: type(error).__name__)
def test_a_search_too_wide_for_memory_begins_anew_with_half_the_width_and_ends_well(error):
    search, events = searched("beam_search", {"width": 3, "branch": 4}, Crowded(8, error))
    [said] = [event for event in events if isinstance(event, Shrunk) and event.params]
    assert (said.params, said.step) == ({"width": 2}, 3)
    assert said.message == "out of memory at digit 3: the search begins anew with width 2"
    tree = search.tree
    assert isinstance(events[-1], Finished) and tree.best() and Tree.of(events) == tree
    assert tree.spec.params["width"] == 3 and tree.spec_now.params["width"] == 2
    lost = [tree.nodes[id] for id in said.given_up]
    assert lost and all(node.status == "pruned" and "memory was too small" in tree.why(node.id) for node in lost)
    second = [node for node in tree.nodes.values() if node.step == 1 and node.index >= 12]
    assert len(second) == 2 * 4, "the root's further children: none is drawn twice"
    assert not [id for id in search._states.held if id in said.given_up], "what filled the memory is let go"


def test_it_halves_until_it_fits():
    _, events = searched("beam_search", {"width": 4, "branch": 4}, Crowded(2, MemoryError()))
    params = [event.params for event in events if isinstance(event, Shrunk) and event.params]
    assert params == [{"width": 2}, {"width": 1}, {"branch": 2}] and isinstance(events[-1], Finished)


def test_a_limit_that_not_even_one_call_fits_into_ends_the_run_at_once():
    """Narrower searches would all be computed up to the same call, for nothing."""
    class Huge(ToyGenerator):
        def step_bytes(self, step):
            return 2**30 if step == 3 else 8

    spec = spec_of("beam_search", {"width": 3, "branch": 4})
    events = list(Search(Huge(), verifiers(), spec, memory_limit=2**25).run())
    assert isinstance(events[-1], Failed) and not [event for event in events if isinstance(event, Shrunk)]
    assert "free some memory and search again (the memory limit of 32 MiB" in events[-1].message
    assert events[-1].message.endswith("the next call needs 1024; raise it)")


def test_what_was_lost_is_paid_for_and_leaves_the_budget_whole():
    """A budget that just pays for the search as asked pays for the smaller one too."""
    spec = spec_of("beam_search", {"width": 3, "branch": 4})
    free, _ = searched("beam_search", {"width": 3, "branch": 4})
    small, _ = searched("beam_search", {"width": 2, "branch": 4})
    spec = spec.with_budget(Budget(flops=free.ledger.spent.flops))
    search = Search(Crowded(8, MemoryError()), verifiers(), spec)
    *_, end = search.run()
    assert isinstance(end, Finished) and end.reason == "done"
    assert small.ledger.spent.flops < search.ledger.spent.flops <= search.ledger.budget.flops


def test_the_tree_is_kept_and_the_log_says_where_memory_ended():
    """Where nothing is smaller, and where a person's choices would be lost; then a smaller search is offered."""
    search, events = searched("beam_search", {"width": 1, "branch": 1}, Crowded(0, MemoryError()))
    end = events[-1]
    assert isinstance(end, Failed) and (end.code, end.step) == ("out_of_memory", 3)
    assert end.message.endswith("the tree so far is kept: free some memory and search again")
    spec = replace(spec_of("beam_search", {"width": 3, "branch": 4}), chooser="person")
    search = Search(Crowded(8, MemoryError()), verifiers(), spec)
    events = list(search.run())
    assert events[-1].message == "out of memory at digit 3; the tree so far is kept: search again with width 2"
    assert Tree.of(events) == search.tree and {node.step for node in search.tree.nodes.values()} == {0, 1, 2}
    assert not search._states.held, "what filled the memory is let go"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_can_begin_anew(strategy):
    """The first time memory is too small for the third digit; from then on there is enough of it."""
    class Once(ToyGenerator):
        begun = 0

        def start(self, prompt):
            self.begun += 1
            return super().start(prompt)

        def step(self, states, seeds):
            if len(states[0]) == 2 and self.begun == 1:
                raise MemoryError
            return super().step(states, seeds)

    generator = Once()
    if unsupported(strategy, "toy", generator.abilities):
        pytest.skip(f"the toy does not do {strategy}")
    search = Search(generator, verifiers(), spec_of(strategy, {}))
    events = list(search.run())
    assert generator.begun == 2 and isinstance(events[-1], Finished) and Tree.of(events) == search.tree
    [said] = [event for event in events if isinstance(event, Shrunk) and event.params]
    assert said.params == dict([smaller(spec_of(strategy, {}))])
    assert checked_log([json.dumps(event.to_json()).encode() for event in events])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_half_is_named_again_and_again_until_nothing_is_smaller(strategy):
    """Width before candidates, always less than before, always allowed."""
    params, told = checked_params(strategy, {}), []
    while less := smaller(RunSpec("a dog", "toy", strategy, params, "closeness")):
        assert less[1] < params[less[0]] <= 2 * less[1] + 1
        params = checked_params(strategy, {**params, less[0]: less[1]})
        told.append(less)
    assert told and set(STRATEGIES[strategy].candidates(params).values()) == {1}
    if strategy == "beam_search":
        assert told == [("width", 2), ("width", 1), ("branch", 3), ("branch", 2), ("branch", 1)]


def test_the_command_line_says_it_too_and_replays_it(world):  # noqa: F811
    world.generator = Crowded(8, MemoryError())
    code, out, err = world.run("search", "a red car", "--width", "3", "--branch", "4")
    said = "out of memory at digit 3: the search begins anew with width 2"
    assert code == 0 and f"note: {said}" in err.splitlines() and f"note   {said}" in out
    [info] = RunStore().list()
    assert info.status == "finished"
    code, out, _ = world.run("replay", info.run)
    assert code == 0 and f"note   {said}" in out
    world.generator = Crowded(0, MemoryError())
    code, _, err = world.run("search", "a red car", "--width", "1", "--branch", "1")
    assert code == 1 and "the tree so far is kept: free some memory" in err.splitlines()[-1]
