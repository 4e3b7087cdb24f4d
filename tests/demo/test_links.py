"""Settings as an address: printing and parsing are inverse, and nothing in an address is trusted."""

from dataclasses import replace
from urllib.parse import parse_qsl

import gradio as gr
import pytest

from core.search.errors import BadRequest, UnsupportedStrategy
from core.search.strategies.registry import STRATEGIES, checked_params, unsupported
from demo import layout, links, settings
from tests.demo.test_settings import read
from tests.painted import painted_models

MODELS = painted_models()


def parsed(query):
    return links.spec_of(MODELS, dict(parse_qsl(query)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_printing_and_parsing_are_inverse(strategy):
    works = unsupported(strategy, "painter", MODELS.abilities("painter")) is None
    model = "painter" if works else "noisy"
    if unsupported(strategy, model, MODELS.abilities(model)):
        pytest.skip(f"no painted model does {strategy}")
    params = checked_params(strategy, {})
    for name, param in {param.name: param for param in STRATEGIES[strategy].params}.items():
        if param.range:
            params[name] = int(param.range.high) if param.whole else param.range.low
            try:
                checked_params(strategy, params)
            except BadRequest:   # too many candidates together
                params[name] = param.default
        if param.optional:
            params[name] = None
    spec = replace(read(), generator=model, strategy=strategy, params=params, verifier="lightness", judge="warmth",
                   finalists=3, seed=2**62, budget_flops=312_512_345_678.0, observers=(),
                   prompt="a & b = 50% + #1 “ä” ${x} <b>")
    again = parsed(links.query_of(MODELS, spec))
    assert replace(again, observers=()) == spec


def test_what_is_usual_is_left_out():
    spec = replace(read(), prompt="a cat")
    usual = links.default_spec(MODELS)
    assert links.query_of(MODELS, replace(usual, prompt="a cat", params=checked_params("beam_search", {}))) == "p=a+cat"
    assert parsed(links.query_of(MODELS, spec)).prompt == "a cat"


def test_a_link_without_a_prompt_leaves_it_empty():
    assert parsed("s=random_search&n=9&seed=3").prompt == ""
    assert parsed("s=random_search&n=9&seed=3").params == {"n": 9}
    assert not links.is_link({"run": "x", "step": "3"}) and links.is_link({"p": "a"})


@pytest.mark.parametrize("query", [
    "p=a&s=nothing", "p=a&m=nothing", "p=a&v=nothing", "p=a&j=nothing", "p=a&b=lots", "p=a&b=-1", "p=a&b=1e99",
    "p=a&b=nan", "p=a&seed=-1", "p=a&seed=1.5", "p=a&seed=99999999999999999999", "p=a&f=99", "p=a&width=0",
    "p=a&width=x", "p=a&width=1e9", "p=a&look=../x", "p=a&b=" + "9" * 5000, "p=" + "a" * 10_000,
])
def test_an_impossible_link_is_told(query):
    with pytest.raises((BadRequest, UnsupportedStrategy)):
        parsed(query)


def test_who_chooses_is_part_of_a_link():
    query = links.query_of(MODELS, read(chooser=True))
    assert dict(parse_qsl(query))["c"] == "person" and links.spec_of(MODELS, dict(parse_qsl(query))).chooser == "person"
    assert links.spec_of(MODELS, {"p": "a red car"}).chooser == "verifier"


def test_what_runs_beside_is_part_of_a_link():
    for beside in ("off", *settings.baselines(MODELS)):
        query = dict(parse_qsl(links.query_of(MODELS, read(), beside)))
        assert links.beside_of(MODELS, query) == (None if beside == settings.BASELINE else beside)
    with pytest.raises(BadRequest, match="baseline"):
        links.beside_of(MODELS, {"x": "nothing"})


def test_a_page_opens_with_the_settings_of_its_address():
    query = dict(parse_qsl("p=a+cat&s=random_search&n=9&seed=3"))
    shown, run, _, *values, beside = layout._restored(MODELS, query | {"x": "off"})
    assert (shown, run, beside) == ({}, "", "off")
    given = dict(zip([*settings.FIXED, *settings.parameter_names()], values, strict=True))
    assert (given["prompt"], given["seed"], given["random_search", "n"]) == ("a cat", "3", 9)


def test_a_page_whose_address_gives_impossible_settings_says_so_and_changes_nothing():
    _, _, hint, *values = layout._restored(MODELS, {"p": "a", "b": "lots"})
    assert "lots" in str(hint) and all(value == gr.skip() for value in values)
