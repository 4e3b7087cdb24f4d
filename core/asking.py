"""Asks a person on the terminal which candidates survive: the command line's side of core/search/steering.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from core.search.errors import BadRequest
from core.search.steering import Hands
from core.search.tree import Tree

Ask = Callable[[str], str]   # shows a question, returns the line typed; raises EOFError where nobody answers


def answer(hands: Hands, pictures: Path, ask: Ask | None = None) -> None:
    """Put the open question to the person until it is answered. Where nobody answers the verifier decides the rest.

    pictures: the folder of the run's previews.
    """
    line = _question(hands, pictures)
    while hands.waiting:
        try:
            _take(hands, (ask or _typed)(line))
        except EOFError:
            hands.leave(rest=True)
        except BadRequest as error:
            line = f"{error}\n> "


def _question(hands: Hands, pictures: Path) -> str:
    asked, tree = hands.asked, hands.tree
    rows = [f"  {_row(tree, id)}" for id in sorted(asked.candidates)]
    return "\n".join([
        f"{tree.label(asked.step)}: which go on? Pictures: {pictures}/NODE*.jpg", *rows,
        f"up to {asked.keep} numbers, best first; nothing: the verifier decides; rest: from now on\n> ",
    ])


def _row(tree: Tree, id: int) -> str:
    scores = ", ".join(f"{name} {score:.3f}" for name, score in tree.nodes[id].scores.items())
    return f"{id}  {scores}"


def _take(hands: Hands, line: str) -> None:
    words = line.replace(",", " ").split()
    if words in ([], ["rest"]):
        hands.leave(rest=bool(words))
    else:
        hands.choose([int(word) if word.isdecimal() else word for word in words])


def _typed(line: str) -> str:
    """From stdin, asked on stderr: stdout is for the result."""
    print(line, end="", file=sys.stderr, flush=True)
    typed = sys.stdin.readline()
    if not typed:
        raise EOFError
    return typed
