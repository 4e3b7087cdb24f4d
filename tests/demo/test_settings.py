"""From controls to a comparison: what a browser sends is checked, and the lanes cost the same."""

import math

import pytest

from core.search.errors import BadRequest, BeamscopeError, PromptOutOfWorld
from demo import settings
from tests.painted import painted_models

MODELS = painted_models()
DEFAULTS = settings.control_values(
    settings.RunSpec("a red car", "painter", "beam_search", {}, "warmth", ("lightness",), 7, 100e9)
)


def read(**changes):
    names = ["prompt", "strategy", "verifier", "gflop", "seed"]
    values = dict(zip(names, DEFAULTS, strict=False)) | changes
    return settings.read(MODELS, *(values[name] for name in names), tuple(DEFAULTS[5:]))


def test_controls_and_specs_are_inverse():
    spec = read(strategy="greedy_tokens", verifier="lightness", gflop=60, seed=3)
    values = settings.control_values(spec)
    assert settings.read(MODELS, *values[:5], tuple(values[5:])) == spec
    assert set(spec.params) == {"branch", "look"} and spec.observers == ("warmth",)


@pytest.mark.parametrize("changes, words", [
    ({"prompt": ""}, "Type a prompt"),
    ({"prompt": None}, "Type a prompt"),
    ({"prompt": "x" * 301}, "301 characters"),
    ({"strategy": "magic"}, "random_search"),
    ({"strategy": ["beam_search"]}, "unknown strategy"),
    ({"verifier": {"a": 1}}, "unknown verifier"),
    ({"verifier": "../../etc"}, "warmth"),
    ({"gflop": 1e9}, "400"),
    ({"gflop": -1}, "0 to 400"),
    ({"gflop": math.nan}, "nan"),
    ({"gflop": "100"}, "number"),
    ({"gflop": None}, "budget"),
    ({"seed": -1}, "seed"),
    ({"seed": True}, "seed"),
    ({"seed": 2**40}, "seed"),
])
def test_what_makes_no_sense_is_answered_with_a_sentence(changes, words):
    with pytest.raises(BadRequest, match="(?i)" + words):
        read(**changes)


def test_a_prompt_becomes_one_line():
    assert read(prompt="  a red\n car ").prompt == "a red car"


def test_the_diffusion_run_gets_what_the_search_spends_and_one_image_more_would_not_fit():
    plan = settings.plan(MODELS, read())
    search, baseline = (cost.flops for cost in plan.costs)
    one = baseline / plan.specs[1].params["n"]
    assert baseline <= search < baseline + one
    assert plan.specs[1].budget_flops == search and plan.specs[1].generator == "noisy"
    text = " ".join(part for line in settings.describe(plan) for _, part in line)
    assert f"{search / 1e9:.3g} GFLOP" in text and f"{plan.specs[1].params['n']} images" in text


def test_a_budget_that_is_too_small_names_a_width_that_fits():
    with pytest.raises(BadRequest, match="largest width that fits is 2"):
        settings.plan(MODELS, read(gflop=30))
    with pytest.raises(BadRequest, match="too small for one image"):
        settings.plan(MODELS, read(gflop=0.01))


def test_impossible_combinations_are_refused_before_anything_runs():
    values = [*DEFAULTS[:5], *(64 if name in ("width", "branch") else value for (_, name), value in
                               zip(settings.parameter_names(), DEFAULTS[5:], strict=True))]
    with pytest.raises(BeamscopeError, match="at most 256"):
        settings.plan(MODELS, settings.read(MODELS, *values[:5], tuple(values[5:])))


def test_a_prompt_of_unknown_words_only_is_refused_with_words_that_are_known():
    settings.require_words(MODELS, "a red xylograph")
    with pytest.raises(PromptOutOfWorld, match="apple"):
        settings.require_words(MODELS, "xylograph quux")
