"""The program of a run asks for the very same search."""

import ast
from dataclasses import replace

import pytest

from core.search.strategies.registry import checked_params
from demo.asked import read_asked
from demo.snippet import snippet
from tests.demo.test_settings import read
from tests.painted import painted_models

PROMPTS = ["a red car", 'a "red" car', "it's a car\\", "ein Auto 🚗 {address!r} %s", "'); import os; os.abort() #"]


def asked_by(program):
    """The keywords of the one call that starts a search, as the server gets them."""
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]
    [call] = [call for call in calls if getattr(call.func, "attr", "") == "submit"]
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert given.pop("api_name") == "/search_tree"
    return given | given.pop("parameters")


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("changes", [
    {}, {"judge": "lightness", "finalists": 3}, {"seed": 2**62}, {"budget_flops": 99_123_456_789.0},
    {"strategy": "adaptive_beam", "params": {"stop": None, "width": 2}},
])
def test_it_gives_the_same_spec(prompt, changes):
    spec = replace(read(), prompt=prompt, **changes)
    spec = replace(spec, params=checked_params(spec.strategy, spec.params))
    again = read_asked(painted_models(), asked_by(snippet("http://127.0.0.1:7860", spec))).spec
    assert replace(again, observers=()) == replace(spec, observers=())
