"""What strategies are made of, beyond the beam: lists of branches, renoising, neighbours, resampling, dropping."""

from base64 import b64decode

import pytest

from core.search.events import Expanded, Pruned
from core.search.search import Search
from core.search.states import derive_seed
from core.search.tree import RULES
from tests.test_search import drained, spec_of, verifiers
from tests.toy import ToyGenerator


def search_of(generator=None, **fields):
    return Search(generator or ToyGenerator(250), verifiers(), spec_of("random_search", {}, **fields))


def begun(count, generator=None, **fields):
    """A search with `count` children of its root."""
    search = search_of(generator, **fields)
    next(search.run())   # Started: from here on by hand
    return search, drained(search.expand([drained(search.start())], count))


def state(node):
    return tuple(b64decode(node.state))


def test_every_node_may_have_its_own_number_of_children():
    search, nodes = begun(3)
    children = drained(search.expand(nodes, [2, 0, 1]))
    assert [child.parent for child in children] == [nodes[0].id, nodes[0].id, nodes[2].id]
    assert drained(search.expand(nodes[1:2], [0])) == []


def test_a_node_given_twice_has_different_children():
    """As particles that resampling has copied."""
    search, [node] = begun(1)
    children = drained(search.expand([node, node], 2))
    assert [child.index for child in children] == [0, 1, 2, 3] and len({child.seed for child in children}) == 4


def test_equal_prefixes_share_a_pass_across_siblings_and_beams():
    """Forty children of two digits are two different prefixes; growing all of them takes two passes."""
    generator = ToyGenerator(2)
    search, nodes = begun(40, generator)
    assert len({node.state for node in nodes}) == 2
    before = search.ledger.spent.flops_generator
    drained(search.expand(nodes, 3))
    assert generator.computed[1] == 2 and search.ledger.spent.flops_generator - before == 2 * 4e9
    assert search.ledger.spent.nfe == 40 + 120


def test_equal_prefixes_of_a_model_that_draws_first_share_nothing():
    generator = ToyGenerator(2, shares=False)
    search, nodes = begun(40, generator)
    drained(search.expand(nodes, 3))
    assert generator.computed[1] == 120


def test_sharing_changes_no_state():
    one, two = (begun(40, ToyGenerator(2, shares=shares)) for shares in (True, False))
    grown = [[state(node) for node in drained(search.expand(nodes, 3))] for search, nodes in (one, two)]
    assert grown[0] == grown[1]


def test_a_renoised_node_is_an_earlier_step_of_the_same_image():
    search, nodes = begun(2)
    finished = drained(search.finish(nodes))
    back = drained(search.renoise(finished, 3, 4))
    assert len(back) == 8 and {node.step for node in back} == {3} and {node.made for node in back} == {"renoise"}
    for node in back:
        parent = search.tree.nodes[node.parent]
        assert state(node)[:2] == state(parent)[:2] and node.seed == derive_seed(parent.seed, node.index)
        assert node.flops == parent.flops + search.generator.step_cost(2).flops_generator
    again = drained(search.finish(back))
    assert all(node.step == 4 for node in again) and len({state(node) for node in again}) == 8


def test_neighbours_start_near_and_at_closeness_one_alike():
    search, nodes = begun(2, ToyGenerator(100))
    finished = drained(search.finish(nodes))
    for closeness, reach in ((1.0, 0), (0.9, 10)):
        near = drained(search.neighbours(finished, 5, closeness))
        assert {node.step for node in near} == {1} and {node.made for node in near} == {"neighbour"}
        for node in near:
            apart = abs(state(node)[0] - state(search.tree.nodes[node.parent])[0])
            assert min(apart, 100 - apart) <= reach


@pytest.mark.parametrize("primitive", ["renoise", "neighbours"])
def test_variations_are_paid_like_the_step_they_repeat(primitive):
    search, nodes = begun(2)
    finished = drained(search.finish(nodes))
    before = search.ledger.spent
    how = (2, 3) if primitive == "renoise" else (3, 0.5)
    drained(getattr(search, primitive)(finished, *how))
    spent, step = search.ledger.spent, 1 if primitive == "renoise" else 0
    assert spent.nfe - before.nfe == 6
    assert spent.flops_generator - before.flops_generator == 6 * search.generator.step_cost(step).flops_generator


def test_memory_still_holds_what_may_be_varied():
    """A leaf's state is let go only where nothing can be made of it."""
    search, nodes = begun(2)
    finished = drained(search.score(drained(search.finish(nodes))))
    assert len(drained(search.neighbours(finished, 1, 0.5))) == 2

    class Plain(ToyGenerator):
        def __init__(self):
            super().__init__()
            self.abilities = frozenset({"branches"})

    search, nodes = begun(2, Plain())
    finished = drained(search.score(drained(search.finish(nodes))))
    assert all(search._states.held[node.id].state is None for node in finished)


def test_resampling_keeps_what_has_copies_and_says_how_many():
    search, nodes = begun(4)
    nodes = drained(search.score(nodes))
    events = []

    def listen(steps):
        events.extend(iter_events(steps, found := []))
        return found[0]

    kept = listen(search.resample(nodes, [0, 3, 1, 0]))
    [pruned] = [event for event in events if isinstance(event, Pruned)]
    assert [node.id for node in kept] == [nodes[1].id, nodes[2].id]
    assert pruned.copies == {nodes[1].id: 3, nodes[2].id: 1}
    assert [search.tree.nodes[node.id].status for node in nodes] == ["pruned", "kept", "kept", "pruned"]
    assert search.tree.nodes[nodes[1].id].copies == 3 and "drew it 3 times" in search.tree.why(nodes[1].id)
    assert RULES["resampled"] in search.tree.why(nodes[0].id)
    assert set(search._states.held) == {0, nodes[1].id, nodes[2].id}


def iter_events(steps, result):
    """The events of a primitive; what it returns goes into `result`."""
    while True:
        try:
            yield next(steps)
        except StopIteration as end:
            result.append(end.value)
            return


def test_dropping_prunes_without_a_winner():
    search, nodes = begun(3)
    drained(search.drop(nodes, "not_needed"))
    assert {search.tree.nodes[node.id].status for node in nodes} == {"pruned"} and set(search._states.held) == {0}
    assert RULES["not_needed"] in search.tree.why(nodes[0].id)
    events = list(iter_events(search.drop([], "not_needed"), []))
    assert events == []


def test_a_released_node_is_remembered_and_not_held():
    search, nodes = begun(3)
    search.release(nodes[:2])
    assert set(search._states.held) == {0, nodes[2].id} and len(search.tree.nodes) == 4


def test_a_node_varied_before_it_grows_still_has_its_one_child():
    """Where the generator does not branch, only a second step would be the same, not a step after a variation."""
    search, nodes = begun(2, ToyGenerator(branching=frozenset({0})))
    there = drained(search.advance(nodes, 3))
    drained(search.renoise(there, 1, 2))
    assert len(drained(search.expand(there, 5))) == 2 and drained(search.expand(there, 5)) == []


def test_a_choice_may_pass_over_better_ones_and_the_tree_says_why():
    search, nodes = begun(5)
    kept = drained(search.keep(nodes, 2, rule="diverse", choose=lambda ranked: [ranked[0], ranked[3]]))
    scores = [node.score for node in search.tree.nodes.values() if node.parent == 0]
    assert len(kept) == 2 and kept[0].score == max(scores)
    passed = next(node for node in search.tree.nodes.values() if node.rank == 1)
    assert passed.status == "pruned" and RULES["diverse"] in search.tree.why(passed.id)
    assert "survived with" not in search.tree.why(passed.id), "a wider beam is not what would have saved it"


def test_advance_stops_where_it_is_told():
    search, nodes = begun(3)
    there = drained(search.advance(nodes, 3))
    assert {node.step for node in there} == {3} and drained(search.advance(there, 3)) == there
    assert not search.finished(there) and search.finished(drained(search.finish(there)))


def test_chance_is_fixed_by_the_seed_and_the_key():
    one, again, other = search_of(seed=7), search_of(seed=7), search_of(seed=8)
    draw = one.random("resample", 3).random()
    assert draw == again.random("resample", 3).random()
    assert draw != one.random("resample", 4).random() and draw != other.random("resample", 3).random()


def test_signatures_come_in_the_order_of_the_nodes():
    search, nodes = begun(4)
    assert search.signature(nodes[::-1]) == [[float(state(node)[0])] for node in nodes[::-1]]


def test_expanded_says_how_a_node_was_made():
    search = search_of()
    found = []
    [root_event] = iter_events(search.start(), found)
    assert isinstance(root_event, Expanded) and root_event.nodes[0].made == "step"
