"""From controls to a comparison: what a browser sends is checked, and the lanes cost the same."""

import json
import math
from dataclasses import replace

import pytest

from core.registry import Entry, Needs
from core.search.errors import BadRequest, BeamscopeError, PromptOutOfWorld, UnsupportedStrategy
from core.search.events import RunSpec
from core.search.strategies.registry import ABILITIES, STRATEGIES, unsupported
from demo import settings
from tests.painted import painted_models

MODELS = painted_models()
SPEC = RunSpec("a red car", "painter", "beam_search", {}, "warmth", ("lightness",), 7, 100e9)
DEFAULTS = settings.control_values(SPEC)


def controls(params=None, **changes):
    """The values of all controls, some changed: by name, or by (strategy, parameter)."""
    values = dict(zip([*settings.FIXED, *settings.parameter_names()], DEFAULTS, strict=True))
    assert {*changes, *(params or ())} <= set(values)
    return list((values | changes | (params or {})).values())


def read(models=MODELS, **changes):
    return settings.read(models, controls(**changes))


def able():
    """Models that can do everything, as far as is known before they are loaded."""
    entries = {name: replace(entry, abilities=frozenset(ABILITIES)) for name, entry in MODELS.generators.items()}
    return replace(MODELS, generators=entries)


def settings_of(param):
    """Values that a parameter may have, ends and default among them."""
    if param.is_look:
        return ["preview", "rollout", 1, 3]
    if param.choices:
        return list(param.choices)
    low, high = param.range.low, param.range.high
    numbers = [low, high] if param.whole else [float(low), float(high), low + (high - low) / 7]
    return [param.default, *numbers, *([None] if param.optional else [])]


PARAMS = [(name, param) for name, strategy in STRATEGIES.items() for param in strategy.params]
EACH_PARAM = pytest.mark.parametrize("strategy, param", PARAMS, ids=[f"{name}-{param.name}" for name, param in PARAMS])


def test_controls_and_specs_are_inverse():
    spec = read(strategy="greedy_tokens", verifier="lightness", gflop=60, seed=3)
    assert settings.read(MODELS, settings.control_values(spec)) == spec
    assert set(spec.params) == {"branch", "look"} and spec.observers == ("warmth",)


@EACH_PARAM
def test_every_setting_of_every_strategy_comes_back_as_it_was(strategy, param):
    models = able()
    for value in settings_of(param):
        try:
            spec = read(models, strategy=strategy, params={(strategy, param.name): value})
        except BadRequest as error:  # a dial of its own is in range, and too large together with the other
            assert "candidates a step" in str(error)
            continue
        assert spec.params[param.name] == value
        sent = json.loads(json.dumps(settings.control_values(spec)))
        assert settings.read(models, sent) == spec


@EACH_PARAM
def test_what_a_parameter_may_not_be_is_refused_in_the_words_of_its_schema(strategy, param):
    hostile = ["", "x", "off", "1", [], {}, {"a": 1}, [1], True, math.nan, math.inf, -math.inf, -1e30, 1e30, 0.12345]
    if param.range:
        hostile += [param.range.low - 1, param.range.high + 1]
    allowed = settings_of(param)
    for value in hostile:
        if value in allowed or (param.range and not param.whole and value == 0.12345):
            continue
        if param.optional and value in ("", "off", "1"):  # typed
            continue
        with pytest.raises(BadRequest) as caught:
            read(able(), strategy=strategy, params={(strategy, param.name): value})
        assert str(caught.value) == f"{param.name} {value!r} is impossible: it is {param.allowed}"


@pytest.mark.parametrize("typed, value", [("", None), (" ", None), ("off", None), ("0.5", 0.5), (" -1 ", -1.0)])
def test_a_number_that_may_be_off_is_typed(typed, value):
    spec = read(strategy="adaptive_beam", params={("adaptive_beam", "stop"): typed})
    assert spec.params["stop"] == value
    with pytest.raises(BadRequest, match="^stop 'high' is impossible: it is a number from -100 to 100, or off$"):
        read(strategy="adaptive_beam", params={("adaptive_beam", "stop"): "high"})


@pytest.mark.parametrize("model", ["painter", "noisy"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_that_the_model_cannot_run_is_refused_in_the_words_of_the_registry(model, strategy):
    reason = unsupported(strategy, model, MODELS.abilities(model))
    if reason is None:
        assert read(model=model, strategy=strategy).generator == model
        return
    with pytest.raises(UnsupportedStrategy) as caught:
        read(model=model, strategy=strategy)
    assert str(caught.value) == reason


def test_a_guide_may_be_an_ensemble_and_a_judge_looks_only_in_the_end():
    one, both = read(verifier="warmth", judge="lightness", finalists=3), read(verifier="rank:warmth+lightness")
    assert (one.judge, one.finalists, one.observers) == ("lightness", 3, ())
    assert (both.judge, both.observers) == (None, ())
    for spec in (one, both):
        assert settings.read(MODELS, settings.control_values(spec)) == spec
        settings.plan(MODELS, spec)
    said = " ".join(text for line in settings.describe(settings.plan(MODELS, one)) for _, text in line)
    assert "lightness chooses among the 3 best finished images" in said
    assert MODELS.guides() == ["warmth", "lightness", "rank:warmth+lightness", "zscore:warmth+lightness"]


@pytest.mark.parametrize("changes, words", [
    ({"prompt": ""}, "Type a prompt"),
    ({"prompt": None}, "Type a prompt"),
    ({"prompt": "x" * 301}, "301 characters"),
    ({"strategy": "magic"}, "random_search"),
    ({"strategy": ["beam_search"]}, "unknown strategy"),
    ({"verifier": {"a": 1}}, "is impossible"),
    ({"verifier": "../../etc"}, "warmth"),
    ({"gflop": 1e9}, "400"),
    ({"gflop": -1}, "0 to 400"),
    ({"gflop": math.nan}, "nan"),
    ({"gflop": "100"}, "number"),
    ({"gflop": None}, "budget"),
    ({"seed": -1}, "seed"),
    ({"seed": True}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"seed": "1e3"}, "seed"),
    ({"seed": "\u0661"}, "seed"),
    ({"seed": "9" * 5000}, "seed"),
    ({"seed": 7.0}, "seed"),
    ({"seed": None}, "seed"),
    ({"model": "imagined"}, "painter, noisy"),
    ({"model": None}, "unknown generator"),
    ({"verifier": "rank:warmth"}, "two or more different verifiers"),
    ({"verifier": "rank:warmth+imagined"}, "unknown verifier 'imagined'"),
    ({"judge": "imagined"}, "unknown verifier 'imagined'"),
    ({"judge": ["warmth"]}, "unknown verifier"),
    ({"judge": "rank:warmth+lightness"}, "unknown verifier"),
    ({"finalists": 0}, "1 to 16"),
    ({"finalists": "4"}, "number"),
])
def test_what_makes_no_sense_is_answered_with_a_sentence(changes, words):
    with pytest.raises(BadRequest, match="(?i)" + words):
        read(**changes)


def test_a_verifier_that_does_not_load_is_missed_by_nobody_but_those_who_ask_for_it():
    def gone():
        raise OSError("its weights are gone")

    models = replace(MODELS, verifiers={**MODELS.verifiers, "late": Entry("Never there", gone)})
    models.warm()
    assert models.problem is None
    spec = read(models)
    assert spec.observers == ("lightness",) and settings.plan(models, spec)
    for part in ("verifier", "judge"):
        with pytest.raises(BadRequest, match="^verifier late is not ready: its weights are gone$"):
            read(models, **{part: "late"})


def test_verifiers_of_the_world_and_the_baseline_keep_to_it():
    """A model of another world is judged by nobody who was made for this one, and has nothing beside it."""
    strange = replace(MODELS, world="noi", natives=frozenset({"lightness"}))
    assert read(strange, model="painter").observers == ()
    assert len(settings.plan(strange, read(strange, model="painter")).specs) == 1
    assert read(strange, model="noisy", strategy="zero_order").observers == ("lightness",)
    assert len(settings.plan(strange, read(strange, model="noisy", strategy="zero_order")).specs) == 2


def with_large():
    """The painter as a large model of others, in a world of which warmth knows nothing else."""
    large = replace(MODELS.generators["painter"], needs=Needs(parameters=1.0))
    everyone = {**MODELS.generators, "large": large}
    return replace(MODELS, generators=everyone, world="paint", natives=frozenset({"warmth"}))


def test_a_large_model_may_be_asked_for_much_more():
    """An image of a real model costs a hundred times what a visitor may ask of the small ones."""
    models = with_large()
    assert read(models, model="large", verifier="lightness", gflop=3e6).budget_flops == 3e15
    with pytest.raises(BadRequest, match="a number from 0 to 400"):
        read(models, model="painter", gflop=3e6)


@pytest.mark.parametrize("part", ["verifier", "judge"])
def test_a_large_model_s_pictures_are_not_shown_to_verifiers_of_the_small_world(part):
    models = with_large()
    with pytest.raises(BadRequest, match="warmth of the embedded world cannot score what large makes: choose light"):
        read(models, model="large", **{"verifier": "lightness", part: "warmth"})
    assert read(models, model="large", verifier="lightness").observers == ()


def test_every_seed_can_be_typed():
    for seed in (0, 7, 2**53 + 1, 2**63 - 1):
        assert read(seed=f" {seed} ").seed == read(seed=seed).seed == seed
        assert settings.control_values(read(seed=seed))[settings.FIXED.index("seed")] == str(seed)


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
    with pytest.raises(BeamscopeError, match="at most 256"):
        read(params={("beam_search", "width"): 64, ("beam_search", "branch"): 64})


def test_a_prompt_of_unknown_words_only_is_refused_with_words_that_are_known():
    settings.require_words(MODELS, read(prompt="a red xylograph"))
    foreign = read(prompt="xylograph quux")
    with pytest.raises(PromptOutOfWorld, match="apple"):
        settings.require_words(MODELS, foreign)
    settings.require_words(replace(MODELS, world="of-others-"), foreign)


def test_a_ticked_box_makes_the_visitor_choose_and_the_baseline_still_chooses_for_itself():
    spec = read(chooser=True)
    assert (spec.chooser, read(chooser=False).chooser) == ("person", "verifier")
    assert settings.control_values(spec)[settings.FIXED.index("chooser")] is True
    assert [one.chooser for one in settings.plan(MODELS, spec).specs] == ["person", "verifier"]


@pytest.mark.parametrize("chooser", ["nobody", 1, None, [], {}])
def test_nobody_else_can_choose(chooser):
    with pytest.raises(BadRequest):
        read(chooser=chooser)
