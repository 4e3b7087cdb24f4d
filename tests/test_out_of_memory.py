"""Memory that is used up ends a run honestly: the tree stays, the log says where, and a smaller search is named."""

import pytest
import torch

from core.runs import RunStore
from core.search.errors import is_out_of_memory
from core.search.events import Failed, Finished, RunSpec
from core.search.retry import smaller
from core.search.strategies.registry import STRATEGIES, checked_params
from core.search.tree import Tree
from tests.test_cli import registries, world  # noqa: F401
from tests.test_search import searched
from tests.toy import ToyGenerator

SCARCE = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
]


class Short(ToyGenerator):
    """Has no memory for more than `most` candidates of its third digit."""

    def __init__(self, most: int, error: Exception):
        super().__init__()
        self.most, self.error = most, error

    def step(self, states, seeds):
        if len(states[0]) == 2 and len(states) > self.most:
            raise self.error
        return super().step(states, seeds)


def test_torch_on_this_machine_says_it_in_known_words():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not fit in memory layout"))


@pytest.mark.parametrize("error", SCARCE, ids=lambda error: type(error).__name__)
def test_the_tree_is_kept_and_the_log_says_where_memory_ended(error):
    search, events = searched("beam_search", {"width": 3, "branch": 4}, Short(8, error))
    end = events[-1]
    assert isinstance(end, Failed) and (end.code, end.step) == ("out_of_memory", 3)
    assert end.message == "out of memory at digit 3; the tree so far is kept: search again with width 2"
    assert Tree.of(events) == search.tree and {node.step for node in search.tree.nodes.values()} == {0, 1, 2}
    assert not search._states.held, "what filled the memory is let go"


def test_the_search_that_is_advised_fits_and_ends():
    _, events = searched("beam_search", {"width": 2, "branch": 4}, Short(8, MemoryError()))
    assert isinstance(events[-1], Finished)


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


def test_the_command_line_says_the_same_and_replays_it(world):  # noqa: F811
    world.generator = Short(8, MemoryError())
    code, out, err = world.run("search", "a red car", "--width", "3", "--branch", "4")
    said = "out of memory at digit 3; the tree so far is kept: search again with width 2"
    assert (code, err.splitlines()[-1]) == (1, f"error: {said}")
    [info] = RunStore().list()
    assert info.status == "failed" and f"run    {info.run}" in out
    code, out, _ = world.run("replay", info.run)
    assert code == 0 and f"failed (out_of_memory): {said}" in out
