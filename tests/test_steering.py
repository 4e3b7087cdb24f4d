"""Laws of a search that a person chooses for, pins and forbids in."""

import json
from dataclasses import replace
from random import Random

import pytest

from core.compare import rival
from core.resume import resumed
from core.search.budget import Budget
from core.search.errors import BadRequest
from core.search.events import Asked, Cancelled, Expanded, Finished, Picked, Pruned, RunSpec, Steered, from_json
from core.search.search import Search
from core.search.sizing import estimate
from core.search.steering import Hands
from core.search.tree import Tree
from core.store.runs import RunStore
from tests.test_search import CASES, every_case, searched, spec_of, timeless, verifiers
from tests.toy import ToyGenerator

BEAM = {"width": 3, "branch": 4}
LONE = {"backtracking_search"}   # with these parameters it finishes one image: nothing is left to choose
REFUSED = [([], 3), ([1, 1], 3), (None, 3), ("12", 3), ([True], 3), ([1.0], 3)]


def search_of(strategy="beam_search", params=BEAM, chooser="person", hands=None, cancelled=lambda: False, **fields):
    spec = spec_of(strategy, params, chooser=chooser, **fields)
    return Search(ToyGenerator(), verifiers(), spec, cancelled, hands=hands or Hands())


def played(search, answer=None, on_event=lambda event: None):
    """All events of a search whose questions `answer(tree, question)` answers; None leaves one to the verifier."""
    hands, events = search.hands, []
    for event in search.run():
        events.append(event)
        on_event(event)
        if hands.waiting:
            keep = answer and answer(search.tree, hands.asked)
            if keep is None:
                hands.leave(hands.asked.seq)
            else:
                hands.choose(keep, hands.asked.seq)
    return events


def as_the_verifier(tree, question):
    return question.candidates[: question.keep]


def against_the_verifier(tree, question):
    return question.candidates[::-1][: question.keep]


def facts(tree):
    """The tree without who chose and without the numbers of events."""
    order = {seq: place for place, seq in enumerate(sorted({n.choice for n in tree.nodes.values() if n.choice}))}
    nodes = [replace(node, by="verifier", choice=order.get(node.choice)) for node in tree.nodes.values()]
    spec = replace(tree.spec, chooser="verifier")
    end = timeless(replace(tree.end, seq=0).to_json())
    return spec, nodes, tree.below, tree.improvements, replace(tree.spent, seconds=0.0), end


# A person chooses


@pytest.mark.parametrize(("strategy", "params"), [case for case in CASES if case[0] != "diverse_beam"],
                         ids=lambda value: str(value))  # its choice is not one of ranks alone
def test_who_chooses_as_the_verifier_would_gets_its_tree(strategy, params):
    alone, _ = searched(strategy, params)
    person = search_of(strategy, params)
    events = played(person, as_the_verifier)
    assert facts(person.tree) == facts(alone.tree)
    asked = {event.seq for event in events if isinstance(event, Asked)}
    assert asked or strategy in LONE
    assert {e.seq - 1 for e in events if isinstance(e, Pruned) and e.by == "person"} == asked


@every_case
def test_a_choice_left_to_the_verifier_is_the_verifiers(strategy, params):
    alone, _ = searched(strategy, params)
    person = search_of(strategy, params)
    events = played(person)
    assert facts(person.tree) == facts(alone.tree)
    assert {event.by for event in events if isinstance(event, Pruned)} == {"verifier"}


@every_case
def test_what_a_person_chose_survives_and_replays(strategy, params):
    search, said = search_of(strategy, params), {}

    def answer(tree, question):
        said[question.seq] = tuple(against_the_verifier(tree, question))
        return said[question.seq]

    events = played(search, answer)
    chosen = [event for event in events if isinstance(event, Pruned) and event.by == "person"]
    assert [event.kept for event in chosen] == list(said.values())
    assert chosen or strategy in LONE
    lines = [json.loads(json.dumps(event.to_json(), allow_nan=False)) for event in events]
    assert Tree.of(map(from_json, lines)) == search.tree
    assert isinstance(events[-1], Finished)


def test_a_person_may_keep_fewer_and_decides_the_result():
    search = search_of()
    events = played(search, lambda tree, question: question.candidates[-1:])
    assert [len(event.kept) for event in events if isinstance(event, Pruned)] == [1, 1, 1, 1]
    pick = next(event for event in events if isinstance(event, Picked))
    last = [event for event in events if isinstance(event, Pruned)][-1]
    assert pick.node == last.kept[0] == events[-1].node == search.tree.best().id
    assert events[-1].score == search.tree.nodes[pick.node].score == search.tree.best_score()
    assert search.tree.best_score() < search.tree.improvements[-1][2], "the verifier liked another one better"


def test_what_a_person_picked_is_kept_as_a_file(tmp_path):
    search, store = search_of(), RunStore(tmp_path)
    with store.create(search.spec) as writer:
        played(search, against_the_verifier, writer.append)
    assert store.best_image(writer.run, search.tree.best().id).read_bytes()[1:4] == b"PNG"
    assert Tree.of(store.load(writer.run)).best() == search.tree.best()


def test_without_hands_nobody_is_asked():
    search, events = searched("beam_search", BEAM, chooser="person")
    assert isinstance(events[-1], Finished) and not any(isinstance(event, Asked) for event in events)
    assert estimate(search.spec, ToyGenerator(), verifiers()) == estimate(
        replace(search.spec, chooser="verifier"), ToyGenerator(), verifiers())


def test_who_leaves_is_not_asked_again():
    search = search_of()
    events = []
    for event in search.run():
        events.append(event)
        if search.hands.waiting:
            search.hands.leave(rest=True)
    assert sum(isinstance(event, Asked) for event in events) == 1 and isinstance(events[-1], Finished)


def test_a_search_advanced_without_an_answer_never_hangs():
    alone, _ = searched("beam_search", BEAM)
    search = search_of()
    list(search.run())
    assert facts(search.tree) == facts(alone.tree)


def test_one_who_thinks_can_stop_and_time_to_think_costs_nothing(monkeypatch):
    stop = []
    search = search_of(cancelled=lambda: bool(stop))
    run = search.run()
    while not search.hands.waiting:
        next(run)
    stop.append(True)
    assert isinstance([*run][-1], Cancelled) and not search.hands.waiting
    clock = iter(range(0, 10**6, 1000))
    monkeypatch.setattr("core.search.search.perf_counter", lambda: next(clock))
    patient = search_of(budget_seconds=500.0)
    assert played(patient, as_the_verifier)[-1].reason == "done"


@pytest.mark.parametrize(("keep", "most"), REFUSED)
def test_an_impossible_answer_is_refused_and_the_question_stays_open(keep, most):
    search = search_of()
    run = search.run()
    while not search.hands.waiting:
        next(run)
    with pytest.raises(BadRequest, match=f"choose 1 to {most} of the 12 candidates, each once"):
        search.hands.choose(keep)
    with pytest.raises(BadRequest, match="node 99 is not among the candidates"):
        search.hands.choose([99])
    with pytest.raises(BadRequest, match="no longer open"):
        search.hands.choose([1], asked=10**6)
    assert search.hands.waiting
    search.hands.choose([1])
    with pytest.raises(BadRequest, match="nothing is being asked"):
        search.hands.choose([1])


def test_an_unknown_chooser_is_refused():
    with pytest.raises(BadRequest, match="chooser 'nobody' is impossible: verifier or person chooses"):
        search_of(chooser="nobody")


# Pins and what is forbidden


def steered_at_random(strategy, params, seed, chooser="verifier"):
    """A run in which marks are set at random moments; its events and search. At most one pin."""
    search, chance, left = search_of(strategy, params, chooser), Random(seed), ["pin", "forbid", "forbid"]

    def meddle(event):
        able = [n.id for n in search.tree.nodes.values() if n.parent is not None and n.status in ("live", "kept")]
        if isinstance(event, Expanded) and left and able and chance.random() < 0.5:
            search.hands.steer(chance.choice(able), left.pop())

    return search, played(search, as_the_verifier, meddle)


def trees_before(events):
    tree = Tree()
    for event in events:
        yield tree, event
        tree = tree.apply(event)


def mark_on(tree, id):
    return next((above.mark for above in reversed(tree.path(id)) if above.mark), None)


@pytest.mark.parametrize("chooser", ["verifier", "person"])
@pytest.mark.parametrize(("strategy", "params"), CASES, ids=lambda value: str(value))
def test_pinned_lines_survive_and_forbidden_ones_do_not(strategy, params, chooser):
    counted = set()
    for seed in range(8):
        search, events = steered_at_random(strategy, params, seed, chooser)
        assert isinstance(events[-1], Finished)
        for tree, event in trees_before(events):
            if not isinstance(event, Pruned) or event.rule == "not_needed":
                continue
            marks = {id: mark_on(tree, id) for id in event.ranks}
            assert event.marks == {id: mark for id, mark in marks.items() if mark}
            able = [id for id in event.ranks if marks[id] != "forbid"]
            if able:
                assert not [id for id in event.kept if marks[id] == "forbid"]
            pinned = [id for id in able if marks[id] == "pin"]
            spare = event.step == search.num_steps and len(event.kept) == 1   # a result is not displaced
            if pinned and not spare:
                assert set(pinned) & set(event.kept)
            counted |= set(event.marks.values())
        lines = [json.loads(json.dumps(event.to_json(), allow_nan=False)) for event in events]
        assert Tree.of(map(from_json, lines)) == search.tree
    assert counted >= {"forbid"}, "some mark counted"


def test_a_steered_run_spends_no_more_than_it_was_sized_for():
    for seed in range(10):
        search, _ = steered_at_random("beam_search", BEAM, seed)
        assert search.tree.spent.flops <= estimate(search.spec, ToyGenerator(), verifiers()).flops


def first_choice(*orders):
    """A run of which the nodes of the first step are steered before they are ranked; its first choice, and its tree."""
    search = search_of(chooser="verifier")

    def meddle(event):
        if isinstance(event, Expanded) and event.step == 1:
            for node, action in orders:
                search.hands.steer(node, action)

    events = played(search, on_event=meddle)
    return next(event for event in events if isinstance(event, Pruned)), search.tree


def test_a_pin_saves_the_last_and_says_so():
    plain, _ = first_choice()
    last = max(plain.ranks, key=plain.ranks.get)
    pruned, tree = first_choice((last, "pin"))
    assert pruned.kept == (*plain.kept[:2], last) and pruned.cut == tree.nodes[plain.kept[1]].score
    assert tree.why(last).startswith("Kept: a person pinned it. By the verifier it ranked 12 of 12")
    assert tree.why(plain.kept[2]).startswith("Pruned: one that a person pinned has its place.")


def test_more_pins_than_places_keep_the_best_of_them():
    plain, _ = first_choice()
    worst = sorted(plain.ranks, key=plain.ranks.get)[-5:]
    pruned, _ = first_choice(*((id, "pin") for id in worst))
    assert set(pruned.kept) == set(worst[:3])


def test_forbidding_everything_keeps_the_best_and_says_so():
    plain, _ = first_choice()
    pruned, tree = first_choice(*((id, "forbid") for id in plain.ranks))
    assert pruned.kept == plain.kept
    assert tree.why(pruned.kept[0]).startswith("Kept though forbidden: nothing else was left.")


def test_freeing_takes_a_mark_away():
    plain, _ = first_choice()
    best = plain.kept[0]
    assert first_choice((best, "forbid"), (best, "free"))[0].kept == plain.kept
    pruned, tree = first_choice((best, "forbid"))
    assert best not in pruned.kept
    assert tree.why(best).startswith("Pruned: a person forbade it. By the verifier it ranked 1 of 12")


@pytest.mark.parametrize(("node", "action", "sentence"), [
    (99, "pin", "there is no node 99: the nodes are 0 to"), (True, "pin", "there is no node True"),
    ("1", "pin", "there is no node '1'"), (None, "pin", "there is no node None"),
    (1, "delete", "'delete' is impossible: a node can be steered by pin, forbid, free"),
    (0, "forbid", "node 0 is where every candidate begins"),
])  # fmt: skip
def test_impossible_orders_are_refused(node, action, sentence):
    search, run = (search := search_of()), search.run()
    for _ in range(5):
        next(run)
    with pytest.raises(BadRequest, match=sentence):
        search.hands.steer(node, action)


def test_what_is_pruned_or_over_cannot_be_steered():
    search, sentences = search_of(chooser="verifier"), []
    for event in search.run():
        if isinstance(event, Pruned) and not sentences:
            lost = next(id for id in event.ranks if id not in event.kept)
            with pytest.raises(BadRequest, match=f"node {lost} was pruned already: go on from it"):
                search.hands.steer(lost, "pin")
            sentences.append(lost)
    with pytest.raises(BadRequest, match="the run is over"):
        search.hands.steer(1, "pin")


def test_an_order_is_told_while_a_person_thinks_and_holds_for_their_choice():
    search = search_of()
    run = search.run()
    while not search.hands.waiting:
        next(run)
    question = search.hands.asked
    search.hands.steer(question.candidates[0], "forbid")
    search.hands.steer(question.candidates[-1], "pin")
    assert not search.hands.waiting
    assert [type(next(run)), type(next(run))] == [Steered, Steered] and search.hands.waiting
    with pytest.raises(BadRequest, match="is forbidden: free it first"):
        search.hands.choose(question.candidates[:1])
    search.hands.choose(question.candidates[1:2])
    pruned = next(event for event in run if isinstance(event, Pruned))
    assert pruned.kept == (question.candidates[1], question.candidates[-1]) and pruned.by == "person"


# Logs


def test_logs_of_before_can_be_read():
    _, events = searched("beam_search", BEAM)
    for event in events:
        data = event.to_json()
        if event.kind == "pruned":
            del data["by"], data["marks"]
        if event.kind == "started":
            del data["spec"]["chooser"]
        read = from_json(json.loads(json.dumps(data)))
        assert getattr(read, "by", "verifier") == "verifier"
    assert RunSpec.from_json({**spec_of("beam_search", BEAM).to_json()}).chooser == "verifier"


def test_a_baseline_and_a_run_gone_on_from_a_node_choose_for_themselves(tmp_path):
    search, store = search_of(), RunStore(tmp_path)
    assert rival(search.spec, 1e12, "toy").chooser == "verifier"
    with store.create(search.spec) as writer:
        played(search, against_the_verifier, writer.append)
    assert resumed(store, writer.run, 1, "beam_search", BEAM, Budget()).chooser == "verifier"
