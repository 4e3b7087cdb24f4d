"""A search of the painted world, its events and its tree, made once."""

import pytest

from core.search.events import RunSpec
from core.search.search import Search
from core.search.tree import Tree
from tests.painted import Lightness, Painter, Warmth


def run_of(strategy="beam_search", **params):
    spec = RunSpec("a red car", "painter", strategy, params, "warmth", ("lightness",), 7)
    return list(Search(Painter(), {"warmth": Warmth(), "lightness": Lightness()}, spec).run())


@pytest.fixture(scope="session")
def events():
    return run_of(width=3, branch=5)


@pytest.fixture(scope="session")
def tree(events):
    return Tree.of(events)
