"""Laws of the statistics: formulas against simulation, intervals against the truth that they were drawn from."""

import random
from itertools import combinations

import numpy as np
import pytest

from core.evaluation import statistics as st

SCORES = [0.9, 0.1, 0.5, 0.5, 0.7, 0.2, 0.5, 0.3]
RIGHT = [1, 0, 1, 0, 0, 1, 0, 1]


def test_best_of_n_is_what_drawing_gives():
    rng, n, rounds = random.Random(1), 3, 40_000
    found = 0
    for _ in range(rounds):
        drawn = rng.sample(range(len(SCORES)), n)
        found += RIGHT[max(drawn, key=lambda i: (SCORES[i], rng.random()))]
    assert st.best_of_n(SCORES, RIGHT, n) == pytest.approx(found / rounds, abs=0.01)


@pytest.mark.parametrize("n", range(1, 9))
def test_best_of_n_lies_between_the_worst_and_the_ceiling(n):
    """A perfect verifier reaches pass@n, an inverted one the chance that all n are right."""
    assert st.best_of_n(RIGHT, RIGHT, n) == pytest.approx(st.pass_at(RIGHT, n))
    worst = st.best_of_n([-right for right in RIGHT], RIGHT, n)
    assert worst == pytest.approx(1 - st.pass_at([1 - right for right in RIGHT], n))
    assert worst <= st.best_of_n(SCORES, RIGHT, n) <= st.pass_at(RIGHT, n)


def test_the_ends_of_the_curve():
    assert st.best_of_n(SCORES, RIGHT, 1) == pytest.approx(np.mean(RIGHT))
    assert st.best_of_n(SCORES, RIGHT, len(SCORES)) == 1, "the best-scored of all"
    assert st.best_of_n([1.0] * 8, RIGHT, 5) == pytest.approx(np.mean(RIGHT)), "a blind verifier selects nothing"
    with pytest.raises(ValueError, match="9 of a pool of 8"):
        st.best_of_n(SCORES, RIGHT, 9)


def test_pass_at_n_counts_draws():
    draws = list(combinations(RIGHT, 3))
    assert st.pass_at(RIGHT, 3) == pytest.approx(np.mean([any(draw) for draw in draws]))


def test_efficiency_is_the_share_of_the_headroom():
    assert st.selection_efficiency(0.5, 0.5, 0.9) == 0
    assert st.selection_efficiency(0.9, 0.5, 0.9) == 1
    assert st.selection_efficiency(1.0, 1.0, 1.0) is None


def drawn(rng, prompts=25, seeds=4, shift=0.0) -> dict[str, np.ndarray]:
    """Outcomes of prompts that differ in difficulty, within tags that do too."""
    chances = {tag: rng.beta(4 * middle, 4 * (1 - middle), (prompts, 1)) for tag, middle in (("a", 0.7), ("b", 0.3))}
    return {tag: (rng.random((prompts, seeds)) < chance + shift).astype(float) for tag, chance in chances.items()}


def test_intervals_cover_the_truth_about_nineteen_times_in_twenty(monkeypatch):
    monkeypatch.setattr(st, "ROUNDS", 500)
    rng, covered = np.random.default_rng(3), 0
    for trial in range(200):
        found = st.cluster_interval(drawn(rng), trial)
        covered += found["low"] <= 0.5 <= found["high"]
    assert 0.91 <= covered / 200 <= 0.995


def test_seeds_of_one_prompt_are_not_prompts():
    """Twenty times the same answer from one prompt tells no more than one answer."""
    rows = np.repeat([[1.0], [0.0]] * 10, 20, axis=1)
    clustered, naive = st.cluster_interval({"a": rows}), st.mean_interval(rows.ravel().tolist())
    assert clustered["high"] - clustered["low"] > 3 * (naive["high"] - naive["low"])


def test_tags_count_alike_however_many_prompts_they_have():
    found = st.cluster_interval({"few": np.ones((2, 1)), "many": np.zeros((50, 1))})
    assert found == {"mean": 0.5, "low": 0.5, "high": 0.5}


def test_pairing_takes_the_prompts_out():
    rng = np.random.default_rng(5)
    a = drawn(rng)
    b = {tag: rows.copy() for tag, rows in a.items()}
    b["a"][:5] = 0
    apart, alone = st.cluster_difference(a, b), st.cluster_interval(a)
    assert apart["low"] > 0 and apart["p"] < 0.05
    assert apart["high"] - apart["low"] < alone["high"] - alone["low"]
    assert st.cluster_difference(a, a) == {"mean": 0, "low": 0, "high": 0, "p": 1}
    with pytest.raises(ValueError, match="same prompts and seeds"):
        st.cluster_difference(a, {"a": a["a"]})


def test_holm():
    found = st.holm({"x": 0.01, "y": 0.04, "z": 0.03})
    assert found == pytest.approx({"x": 0.03, "y": 0.06, "z": 0.06})
    assert st.holm({"one": 0.2}) == {"one": 0.2}
    assert all(p <= 1 for p in st.holm(dict.fromkeys("abc", 0.9)).values())


@pytest.mark.parametrize("true", [0.0, 0.2, 0.65, 1.0])
def test_a_checkers_errors_are_undone(true):
    sensitivity, specificity = 0.95, 0.98
    seen = true * sensitivity + (1 - true) * (1 - specificity)
    assert st.corrected_rate(seen, sensitivity, specificity) == pytest.approx(true)
    assert st.corrected_rate(1.0, sensitivity, specificity) == 1
    with pytest.raises(ValueError, match="tells nothing"):
        st.corrected_rate(0.5, 0.5, 0.5)


def test_a_rate_without_misses_is_not_certain():
    found = st.rate_interval(1000, 1000)
    assert found["mean"] == found["high"] == 1 and 0.995 < found["low"] < 1
