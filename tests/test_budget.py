"""Budgets in every currency: read, kept, and enough of a run in hand when they end."""

import time
from dataclasses import replace

import pytest

from core.search.budget import Budget, Cost
from core.search.errors import BadRequest
from core.search.events import Cancelled, Failed, Finished
from core.search.search import Search
from core.search.sizing import Speeds, estimate, fit
from core.search.strategies.registry import STRATEGIES
from tests.test_search import every_case, searched, spec_of, verifiers
from tests.toy import ToyGenerator

CURRENCIES = ["flops", "nfe", "images"]


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("250", Budget(flops=250e9)), ("2.5 GFLOP", Budget(flops=2.5e9)), ("1365nfe", Budget(nfe=1365)),
        ("10s", Budget(seconds=10)), (".5 S", Budget(seconds=0.5)), ("64images", Budget(images=64)),
        ("1 image", Budget(images=1)),
    ],
)  # fmt: skip
def test_a_budget_is_read_as_people_write_it(text, budget):
    assert Budget.parse(text) == budget
    assert Budget.parse(str(budget)) == budget, "what is said of a budget can be typed again"


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "0s", "10 parsecs", "nan", "1e9", "1.2.3", "10s\n4", "٣"])
def test_what_is_no_budget_is_refused_with_examples(text):
    with pytest.raises(BadRequest, match="1365nfe"):
        Budget.parse(text)


@pytest.mark.parametrize("currency", CURRENCIES)
@every_case
def test_no_budget_is_ever_exceeded(strategy, params, currency):
    full = getattr(searched(strategy, params)[0].tree.spent, currency)
    for share in range(1, 9):
        limit = full * share / 8
        search, events = searched(strategy, params, **{f"budget_{currency}": limit})
        assert getattr(search.tree.spent, currency) <= limit
        assert isinstance(events[-1], Finished) or events[-1].code == "budget_exhausted"
        assert isinstance(events[-1], Finished) == (search.tree.best() is not None)
        if STRATEGIES[strategy].adaptive and limit >= getattr(search.insurance, currency) + 1e8:   # to read the prompt
            assert isinstance(events[-1], Finished), "what it will spend is not known, so it is insured"
    assert events[-1].reason == "done" or STRATEGIES[strategy].adaptive   # which keeps something back to the end


@every_case
def test_a_run_of_just_its_estimate_is_done(strategy, params):
    for seed in range(4):
        models = ToyGenerator(), verifiers()
        spec = spec_of(strategy, params, seed=seed)
        search = Search(*models, replace(spec, budget_flops=estimate(spec, *models).flops))
        *_, end = search.run()
        assert isinstance(end, Finished) and (end.reason == "done" or STRATEGIES[strategy].adaptive)


@pytest.mark.parametrize("currency", CURRENCIES)
@pytest.mark.parametrize("strategy", ["random_search", "beam_search"])
def test_what_is_left_open_is_sized_to_any_currency(strategy, currency):
    models, limit = (ToyGenerator(), verifiers()), {"flops": 5e11, "nfe": 150, "images": 20}[currency]
    spec = spec_of(strategy, {"look": "rollout"} if strategy == "beam_search" else {}, **{f"budget_{currency}": limit})
    fitted = fit(spec, *models)
    dial = "width" if strategy == "beam_search" else "n"
    larger = replace(fitted, params={**fitted.params, dial: fitted.params[dial] + 1})
    assert getattr(estimate(fitted, *models), currency) <= limit < getattr(estimate(larger, *models), currency)


def test_seconds_are_sized_by_the_speed_of_the_machine():
    spec = spec_of("random_search", {}, budget_seconds=10.0)
    models = ToyGenerator(), verifiers()
    sizes = [fit(spec, *models, Speeds(rate, rate, rate)).params["n"] for rate in (1e10, 2e10, 4e10)]
    assert sizes[0] > 1 and 2 * sizes[0] <= sizes[1] <= 2 * sizes[0] + 2 and sizes[1] < sizes[2]
    assert estimate(spec_of("random_search", {"n": sizes[0]}), *models, speeds=Speeds(1e10, 1e10, 1e10)).seconds <= 10


class Slow(ToyGenerator):
    """Every call takes a hundredth of a second."""

    def step(self, states, seeds):
        time.sleep(0.01)
        return super().step(states, seeds)


@every_case
def test_time_ends_a_run_with_an_image(strategy, params):
    """Even where none was finished: the best prefix is, so at most one image's calls late."""
    for limit in (0.001, 0.025, 0.06):
        began = time.perf_counter()
        search, events = searched(strategy, params, Slow(), budget_seconds=limit)
        late = time.perf_counter() - began - limit
        assert isinstance(events[-1], Finished) and search.tree.best() is not None
        assert late < 0.01 * 4 + 0.25   # an image's four calls, and the rest of the world


def test_the_best_finished_image_is_at_hand_at_every_moment():
    search = Search(ToyGenerator(), verifiers(), spec_of("greedy_tokens", {"look": "rollout"}))
    seen = None
    for event in search.run():
        seen = event.seq if event.kind == "scored" and seen is None else seen
        assert seen is None or event.seq == seen or search.tree.best() is not None


@pytest.mark.parametrize("look", ["preview", "rollout"])
def test_a_cancel_takes_effect_before_the_next_call(look):
    """However large the step: calls hold max_batch candidates at most, and each is asked for."""
    class Watched(Slow):
        max_calls = 0

        def preview(self, states):
            assert len(states) <= self.max_batch
            return super().preview(states)

    stop = []
    search = Search(Watched(), verifiers(), spec_of("beam_search", {"width": 8, "branch": 8, "look": look}),
                    cancelled=lambda: bool(stop))
    for event in search.run():
        if event.kind == "scored" and not stop:
            calls = dict(search.generator.computed)
            stop.append(True)
    assert isinstance(event, Cancelled) and search.generator.computed == calls


@pytest.mark.parametrize("limit", [1400, 1700, 2500, 10**6])
@every_case
def test_memory_splits_calls_and_changes_nothing_else(strategy, params, limit):
    free, _ = searched(strategy, params)
    search = Search(ToyGenerator(), verifiers(), spec_of(strategy, params), memory_limit=2000 + limit)
    *_, end = search.run()
    assert isinstance(end, Finished)
    assert search.tree.spent.peak_bytes <= 2000 + limit
    assert search.tree.nodes == free.tree.nodes
    ignored = {"seconds": 0.0, "peak_bytes": 0}
    assert replace(search.tree.spent, **ignored) == replace(free.tree.spent, **ignored)


def test_too_little_memory_is_said():
    search = Search(ToyGenerator(), verifiers(), spec_of("beam_search", {}), memory_limit=2010)
    *_, end = search.run()
    assert isinstance(end, Failed) and "the memory limit of 0 MiB is reached" in end.message
    assert end.message.endswith("the next call needs 0; raise it)")


def test_costs_add_up_and_peaks_do_not():
    one, two = Cost(nfe=1, peak_bytes=7), Cost(nfe=2, peak_bytes=5)
    assert one + two == Cost(nfe=3, peak_bytes=7) and 3 * one == Cost(nfe=3, peak_bytes=7)
