"""Settings as an address: `?p=a+red+car&s=beam_search&width=3&b=250&seed=7` opens the page with these controls.

Printing and parsing are inverse. What is left out has the value that the page begins with; what cannot be is refused
in the words of demo/settings.py. A link to a run (`?run=ID&step=12&node=40`) is the stage's.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.schema import parse_value
from core.search.strategies.registry import get_strategy
from demo import settings
from demo.models import Models

KEYS = {"p": "prompt", "m": "model", "s": "strategy", "v": "verifier", "j": "judge", "f": "finalists", "b": "gflop",
        "seed": "seed", "c": "chooser"}  # fmt: skip
BESIDE = "x"   # the strategy that runs beside the search, or off
NUMBERS = ("finalists", "gflop")
OFF, PERSON = "off", "person"
DEFAULT_STRATEGY, DEFAULT_SEED = "beam_search", 7


def default_spec(models: Models, model: Any = None) -> RunSpec:
    """What the page begins with, the prompt aside; where another model is asked for, what is usual for that."""
    known = model if model in models.generators else models.searcher
    return RunSpec("", models.searcher, DEFAULT_STRATEGY, {}, models.guide_of(known), seed=DEFAULT_SEED,
                   budget_flops=models.usual_gflop(known) * settings.GIGA)


def query_of(models: Models, spec: RunSpec, beside: str = settings.BASELINE) -> str:
    """The part of an address behind the question mark that gives the settings of a spec; only what is not usual.

    beside: the strategy that runs beside it, "off" for none.
    """
    usual = _fixed(default_spec(models, spec.generator))
    given = {key: value for key, name in KEYS.items() if (value := _fixed(spec)[name]) not in (usual[name], None)}
    defaults = {param.name: param.default for param in get_strategy(spec.strategy).params}
    given |= {name: OFF if value is None else value for name, value in spec.params.items() if value != defaults[name]}
    given |= {} if beside == settings.BASELINE else {BESIDE: beside}
    return urlencode({key: _written(value) for key, value in given.items()})


def _written(value: object) -> str:
    """A number as short as it is exact; a box that is ticked."""
    if value is True:
        return PERSON
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def _fixed(spec: RunSpec) -> dict[str, object]:
    return dict(zip(settings.FIXED, settings.control_values(spec), strict=False))


def is_link(query: Mapping[str, str]) -> bool:
    """Whether an address gives settings at all."""
    return bool(KEYS.keys() & query.keys())


def spec_of(models: Models, query: Mapping[str, str]) -> RunSpec:
    """The spec that the settings of an address give. Without a prompt it is empty.

    Raises BadRequest, or UnsupportedStrategy, with what is wrong; parameters that the strategy has not are ignored.
    """
    usual = default_spec(models, query.get("m"))
    strategy = query.get("s", usual.strategy)
    names = [param.name for param in get_strategy(strategy).params]
    params = {name: parse_value(query[name]) for name in names if name in query}
    values = settings.control_values(replace(usual, prompt="any prompt", strategy=strategy, params=params))
    for key, name in KEYS.items():
        if query.get(key):
            values[settings.FIXED.index(name)] = _value(key, name, query[key])
    spec = settings.read(models, values)
    return spec if query.get("p") else replace(spec, prompt="")


def beside_of(models: Models, query: Mapping[str, str]) -> str | None:
    """What an address lets run beside the search; None where it says nothing. Raises BadRequest."""
    return settings.read_baseline(models, query[BESIDE]) if query.get(BESIDE) else None


def _value(key: str, name: str, text: str) -> object:
    """What a control holds, from what an address says."""
    if name == "chooser":
        return text == PERSON
    return _number(key, text) if name in NUMBERS else text


def _number(key: str, text: str) -> float:
    value = parse_value(text)
    if not isinstance(value, int | float):
        raise BadRequest(f"The link says {key}={text[:40]!r}: a number belongs there.")
    return value
