"""Dry runs against real ones, and what fits into a budget."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from core.search.errors import BadRequest
from core.search.sizing import estimate, fit, gflop
from core.search.strategies.registry import STRATEGIES
from tests.test_search import every_case, searched, spec_of, verifiers
from tests.toy import Relay, ToyGenerator


class Distinct(ToyGenerator):
    """No two candidates are equal: a state is its path of seeds, and its picture shows the last one."""

    def _drawn(self, seed):
        return seed

    def neighbours(self, states, seeds, closeness):
        self._count(0, len(states), len(states))
        return [(seed,) for seed in seeds]

    def _image(self, state):
        image = super()._image([seed % self.digits for seed in state])
        return np.concatenate([image, np.frombuffer(state[-1].to_bytes(12), np.uint8).reshape(1, 4, 3)])

    def freeze(self, state):
        return b"".join(seed.to_bytes(8) for seed in state)


FIXED = ("random_search", "greedy_tokens", "beam_search", "zero_order")   # whatever scores say, the work is the same


@every_case
def test_a_dry_run_costs_what_the_run_costs(strategy, params):
    """Exactly where the work is fixed and no two candidates are equal; else at most that; a forecast if adaptive."""
    for display, generator in itertools.product((True, False), (Distinct(), ToyGenerator(digits=3))):
        search, _ = searched(strategy, params, generator, display=display)
        dry = estimate(search.spec, search.generator, search.verifiers, display)
        real = replace(search.tree.spent, seconds=0.0, peak_bytes=0)
        if strategy in FIXED and isinstance(generator, Distinct):
            assert dry == real
        elif STRATEGIES[strategy].adaptive:
            assert dry.flops >= 0.9 * real.flops
        else:
            assert dry.flops >= real.flops and dry.nfe >= real.nfe and dry.flops_display >= real.flops_display


@pytest.mark.parametrize(
    ("strategy", "given", "dial"),
    [
        ("random_search", {}, "n"), ("greedy_tokens", {}, "branch"), ("beam_search", {}, "width"),
        ("beam_search", {"branch": 2}, "width"), ("beam_search", {"width": 2, "look": "rollout"}, "branch"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("gflop", [200, 333.3, 1000])
def test_a_fitted_run_is_the_largest_that_fits(strategy, given, dial, gflop):
    models = ToyGenerator(), verifiers()
    fitted = fit(spec_of(strategy, given, budget_flops=gflop * 1e9), *models)
    larger = replace(fitted, params={**fitted.params, dial: fitted.params[dial] + 1})
    assert estimate(fitted, *models).flops <= gflop * 1e9 < estimate(larger, *models).flops
    assert given.items() <= fitted.params.items()


def test_a_boundless_budget_stops_at_the_range():
    models = ToyGenerator(), verifiers()
    assert fit(spec_of("random_search", {}, budget_flops=1e15), *models).params["n"] == 256
    assert fit(spec_of("beam_search", {"branch": 30}, budget_flops=1e15), *models).params["width"] == 8


def test_a_second_dial_gives_way_before_the_request_is_refused():
    models = ToyGenerator(), verifiers()
    least = estimate(spec_of("beam_search", {"width": 1, "branch": 2, "look": "preview"}), *models).flops
    fitted = fit(spec_of("beam_search", {}, budget_flops=least), *models)
    assert (fitted.params["width"], fitted.params["branch"]) == (1, 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_budget_too_small_for_one_image_names_the_smallest(strategy):
    """The advice is exact: it suffices, and a thousandth less does not."""
    models = (Relay() if "handover" in STRATEGIES[strategy].needs else ToyGenerator()), verifiers()
    with pytest.raises(BadRequest, match="too small for one image: the smallest for .* GFLOP") as refusal:
        fit(spec_of(strategy, {}, budget_flops=1e9), *models)
    smallest = float(str(refusal.value).split(" is ")[-1].split()[0]) * 1e9
    assert fit(spec_of(strategy, {}, budget_flops=smallest), *models)
    with pytest.raises(BadRequest):
        fit(spec_of(strategy, {}, budget_flops=smallest * 0.999), *models)


def test_given_parameters_that_do_not_fit_are_refused_with_what_does():
    models = ToyGenerator(), verifiers()
    with pytest.raises(BadRequest) as refusal:
        fit(spec_of("beam_search", {"width": 10, "branch": 5}, budget_flops=1e11), *models)
    words = str(refusal.value)
    cost = gflop(estimate(spec_of("beam_search", {"width": 10, "branch": 5}), *models).flops)
    sizes = "width 10, branch 5"
    assert words.startswith(f"beam_search with {sizes} costs {cost} GFLOP, more than the budget of 100 GFLOP:")
    assert words.endswith("the largest width that fits is 2")
    assert fit(spec_of("beam_search", {"width": 2, "branch": 5}, budget_flops=1e11), *models)
    assert estimate(spec_of("beam_search", {"width": 3, "branch": 5}), *models).flops > 1e11


def test_a_budget_that_only_the_least_of_both_fits_is_not_called_too_small_for_an_image():
    models = ToyGenerator(), verifiers()
    least = estimate(spec_of("beam_search", {"width": 1, "branch": 1}), *models).flops
    with pytest.raises(BadRequest, match="with width 1 and branch 1 it costs .* GFLOP") as refusal:
        fit(spec_of("beam_search", {"width": 16, "branch": 16}, budget_flops=1.01 * least), *models)
    assert "too small" not in str(refusal.value)
