"""A person on the terminal."""

from pathlib import Path

import pytest

from core.asking import answer
from core.search.events import Finished, Pruned
from tests.test_search import searched
from tests.test_steering import facts, search_of

BEAM = {"width": 3, "branch": 4}


def typed(*lines):
    """(what asks, all that was asked); after the lines nobody answers any more."""
    left, asked = list(lines), []

    def ask(question):
        asked.append(question)
        if not left:
            raise EOFError
        return left.pop(0) + "\n"

    return ask, asked


def run(*lines):
    search, (ask, asked) = search_of(params=BEAM), typed(*lines)
    events = []
    for event in search.run():
        events.append(event)
        if search.hands.waiting:
            answer(search.hands, Path("previews"), ask)
    assert isinstance(events[-1], Finished)
    return search, [event for event in events if isinstance(event, Pruned)], asked


def test_numbers_are_kept_in_the_order_typed_and_nothing_leaves_it_to_the_verifier():
    _, choices, asked = run("7, 2 5", "", "rest")
    assert choices[0].kept == (7, 2, 5) and [choice.by for choice in choices] == ["person", *["verifier"] * 3]
    assert len(asked) == 3 and "digit 1: which go on? Pictures: previews/NODE*.jpg" in asked[0]
    assert all(f"\n  {id}  closeness -" in asked[0] for id in range(1, 13))


@pytest.mark.parametrize("line", ["99", "1 1", "1 2 3 4", "one", "-1", "1.5", "²"])
def test_what_cannot_be_is_asked_again_with_the_reason(line):
    _, choices, asked = run(line, "4")
    assert choices[0].kept == (4,) and ("choose 1 to 3" in asked[1] or "not among the candidates" in asked[1])


def test_where_nobody_answers_the_verifier_decides():
    search, choices, asked = run()
    assert len(asked) == 1 and {choice.by for choice in choices} == {"verifier"}
    assert facts(search.tree) == facts(searched("beam_search", BEAM)[0].tree)
