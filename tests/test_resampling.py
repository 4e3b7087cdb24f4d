"""Laws of resampling: exact where the randomness is one number u, statistical where it is a stream."""

import math
from fractions import Fraction
from random import Random

import pytest

from core.search.resampling import draw_copies, ess, softmax, spread, ssp, systematic, zscores

WEIGHTS = [
    [1.0],
    [0.5, 0.5],
    [0.1, 0.2, 0.7],
    [0.0, 1.0, 0.0],
    [0.05] * 20,
    [0.3, 0.3, 0.3, 0.05, 0.05],
    softmax([Random(5).gauss(0, 2) for _ in range(30)]),
]
COUNTS = (1, 2, 3, 7, 20)
every_case = pytest.mark.parametrize("count", COUNTS)
every_weight = pytest.mark.parametrize("weights", WEIGHTS, ids=lambda weights: f"{len(weights)} particles")


def shares(weights, count):
    total = sum(map(Fraction, weights))
    return [count * Fraction(weight) / total for weight in weights]


def draws(weights, count, number=1000):
    rng = Random(11)
    return [ssp(weights, count, rng) for _ in range(number)]


def offsets(weights, count):
    """(u, length) of every stretch of u over which the systematic counts do not change."""
    edges, total = {Fraction(0), Fraction(1)}, Fraction(0)
    for share in shares(weights, count):
        total += share
        edges.add(-total % 1)
    edges = sorted(edges)
    return [((low + high) / 2, high - low) for low, high in zip(edges, edges[1:], strict=False)]


@every_weight
@every_case
def test_counts_are_count_in_all_and_never_one_away_from_their_share(weights, count):
    combs = [systematic(weights, count, u) for u in (0.0, 0.25, 0.5, 1 - 2**-53)]
    for copies in [*combs, *draws(weights, count, 50)]:
        assert sum(copies) == count
        for copy, share in zip(copies, shares(weights, count), strict=True):
            assert math.floor(share) <= copy <= math.ceil(share)


@every_weight
@every_case
def test_systematic_is_unbiased(weights, count):
    """Exactly: the integral of the counts over u is the share."""
    combs = [(systematic(weights, count, u), length) for u, length in offsets(weights, count)]
    for i, share in enumerate(shares(weights, count)):
        assert sum(copies[i] * length for copies, length in combs) == share


@every_weight
@every_case
def test_ssp_is_unbiased_and_varies_as_little_as_can_be(weights, count):
    """f (1 - f), f the fraction of the share, is the least variance a whole number of that mean can have; it is
    never more than multinomial resampling's, share * (1 - weight). 5 standard errors: wrong once in 1e6."""
    seen = draws(weights, count)
    for i, share in enumerate(map(float, shares(weights, count))):
        column = [copies[i] for copies in seen]
        mean = sum(column) / len(column)
        least = (share % 1) * (1 - share % 1)
        assert abs(mean - share) <= 5 * math.sqrt(least / len(column)) + 1e-9
        variance = sum((copy - share) ** 2 for copy in column) / len(column)
        assert variance <= min(least, share * (1 - share / count)) + 5 * math.sqrt(least / len(column)) + 1e-9


def test_ssp_repels_and_so_varies_less_in_sum_than_independent_draws():
    """Counts of any two particles are never positively correlated (Srinivasan 2001)."""
    seen = draws([0.3, 0.3, 0.3, 0.05, 0.05], 3, 10000)
    for i in range(5):
        for j in range(i):
            means = [sum(copies[k] for copies in seen) / len(seen) for k in (i, j)]
            together = sum(copies[i] * copies[j] for copies in seen) / len(seen)
            assert together - means[0] * means[1] < 0.01


@pytest.mark.parametrize("number", [1, 3, 7, 10, 49, 256])
def test_equal_weights_copy_every_particle_once(number):
    weights = softmax([1.7] * number)
    assert systematic(weights, number, 0.0) == systematic(weights, number, 0.999) == [1] * number
    assert ssp(weights, number, Random(0)) == [1] * number
    assert ess(weights) == pytest.approx(number)


def test_the_order_of_the_particles_does_not_change_the_odds():
    """Each of three equal particles is as likely to get the one copy, wherever it stands."""
    firsts = [sum(copies[i] for copies in draws([1.0, 1.0, 1.0], 1)) / 1000 for i in range(3)]
    assert firsts == pytest.approx([1 / 3] * 3, abs=0.08)
    forward, backward = draws([0.7, 0.2, 0.1], 1), draws([0.1, 0.2, 0.7], 1)
    for i in range(3):
        assert sum(c[i] for c in forward) / 1000 == pytest.approx(sum(c[2 - i] for c in backward) / 1000, abs=0.1)


def test_the_same_generator_gives_the_same_copies():
    weights = WEIGHTS[-1]
    assert ssp(weights, 20, Random(3)) == ssp(weights, 20, Random(3))
    assert len({tuple(ssp(weights, 20, Random(seed))) for seed in range(5)}) > 1
    assert draw_copies(weights, 20, Random(3), "ssp") == ssp(weights, 20, Random(3))
    assert draw_copies(weights, 20, Random(3), "systematic") == systematic(weights, 20, Random(3).random())


def test_impossible_particles_are_not_copied_unless_all_are():
    assert softmax([-math.inf, 0.0, -math.inf]) == [0, 1, 0]
    assert softmax([-math.inf] * 4) == [0.25] * 4
    assert systematic(softmax([-math.inf, 0.0, -math.inf]), 5, 0.9) == [0, 5, 0]


def test_softmax_neither_overflows_nor_minds_a_shift():
    weights = softmax([1e6, 1e6 - 1, -1e6])
    assert sum(weights) == pytest.approx(1) and weights[0] / weights[1] == pytest.approx(math.e)
    assert softmax([3.0, 5.0, 4.0]) == pytest.approx(softmax([-997.0, -995.0, -996.0]))


def test_ess_counts_equal_particles():
    assert ess([1.0, 0.0, 0.0]) == 1
    assert ess([0.5, 0.5, 0.0]) == 2
    assert 1 < ess(softmax([0.0, 1.0, 2.0])) < 3


def test_zscores_do_not_depend_on_the_scale():
    scores = [0.21, 0.35, 0.27, 0.29]
    assert zscores([100 * score - 7 for score in scores]) == pytest.approx(zscores(scores))
    assert sum(zscores(scores)) == pytest.approx(0) and sum(z * z for z in zscores(scores)) == pytest.approx(4)
    assert zscores([0.1] * 3) == [0, 0, 0] and zscores([2.0]) == [0]
    assert spread([1.0, 3.0]) == 1 and spread([0.1] * 3) == spread([2.0]) == 0
