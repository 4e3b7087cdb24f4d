"""A search of the painted world, its events and its tree, made once."""

import pytest

from core.search.events import RunSpec
from core.search.search import Search
from core.search.strategies.registry import unsupported
from core.search.tree import Tree
from tests.painted import painted_models


def run_of(strategy="beam_search", judge=None, finalists=4, origin=None, **params):
    """The events of a run on the painter, or out of noise where the painter cannot run the strategy."""
    models = painted_models()
    works = unsupported(strategy, "painter", models.abilities("painter")) is None
    spec = RunSpec("a red car", "painter" if works else "noisy", strategy, params, "warmth", ("lightness",), 7,
                   judge=judge, finalists=finalists, origin=origin)
    return list(Search(models.generator(spec.generator), models.verifiers_of(spec), spec).run())


@pytest.fixture(scope="session")
def events():
    return run_of(width=3, branch=5)


@pytest.fixture(scope="session")
def tree(events):
    return Tree.of(events)
