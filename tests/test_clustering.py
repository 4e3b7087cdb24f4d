"""Laws of clustering, on points whose groups are known."""

import itertools
import math
from random import Random
from time import process_time

import pytest

from core.search.clustering import medoids, near_duplicates

SEEDS = range(20)


def blobs(number, size, seed, spread=1.0, apart=50.0, axes=8):
    """`number` clouds of `size` points; point i belongs to cloud i % number."""
    rng = Random(seed)
    middles = [[apart * rng.gauss(0, 1) for _ in range(axes)] for _ in range(number)]
    return [[rng.gauss(x, spread) for x in middles[i % number]] for i in range(number * size)]


def cost(points, centers):
    return sum(min(math.dist(point, points[center]) for center in centers) ** 2 for point in points)


@pytest.mark.parametrize("seed", SEEDS)
def test_well_separated_clusters_are_found(seed):
    found = medoids(blobs(6, 9, seed), 6, Random(seed))
    assert sorted(i % 6 for i in found) == list(range(6))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_medoid_is_the_most_central_of_its_cluster(seed):
    points = blobs(3, 11, seed)
    for center in medoids(points, 3, Random(seed)):
        cloud = [i for i in range(len(points)) if i % 3 == center % 3]
        reach = {i: sum(math.dist(points[i], points[j]) ** 2 for j in cloud) for i in cloud}
        assert reach[center] == pytest.approx(min(reach.values()))


def test_where_there_are_no_clusters_the_cost_comes_near_the_least():
    """Within a tenth of the best three of twelve points, found by trying all; three at random cost twice as much."""
    worse, chance = [], []
    for seed in range(100):
        points = blobs(1, 12, seed, axes=2)
        every = [cost(points, centers) for centers in itertools.combinations(range(12), 3)]
        worse.append(cost(points, medoids(points, 3, Random(seed))) / min(every))
        chance.append(sum(every) / len(every) / min(every))
    assert min(worse) == 1 and sum(worse) / 100 < 1.1 and sum(chance) / 100 > 1.8


def test_the_same_generator_gives_the_same_medoids():
    points = blobs(1, 40, 0)
    found = [tuple(medoids(points, 5, Random(seed))) for seed in (1, 1, 2, 3)]
    assert found[0] == found[1] and len(set(found)) > 1
    assert all(len(set(centers)) == 5 and list(centers) == sorted(centers) for centers in found)


@pytest.mark.parametrize("k", [4, 5, 100])
def test_as_many_medoids_as_points_are_all_points(k):
    assert medoids(blobs(4, 1, 0), k, Random(0)) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_points_are_chosen_twice_only_when_no_other_is_left(seed):
    few = blobs(5, 1, seed, apart=1.0)
    points = [few[i % 5 if i < 5 else 0] for i in range(30)]   # 26 copies of one point, four others
    for k in range(1, 6):
        assert len({tuple(points[i]) for i in medoids(points, k, Random(seed))}) == k
    more = medoids(points, 8, Random(seed))
    assert len(set(more)) == 8 and len({tuple(points[i]) for i in more}) == 5


def test_medoids_do_not_depend_on_where_the_points_are_or_how_large():
    points = blobs(2, 20, 3)
    moved = [[1000 + 16 * x for x in point] for point in points]
    assert medoids(points, 4, Random(1)) == medoids(moved, 4, Random(1))


@pytest.mark.parametrize("k", [4, 32, 128])
def test_a_full_batch_is_clustered_quickly(k):
    points = blobs(1, 256, 0, axes=48)
    began = process_time()
    medoids(points, k, Random(0))
    assert process_time() - began < 0.3


def test_the_first_of_a_group_of_near_duplicates_stays():
    points = [[0.0, 0.0], [9.0, 0.0], [0.01, 0.0], [9.0, 0.01], [0.0, 7.0], [0.0, 0.02]]
    assert near_duplicates(points, 0.05) == [2, 3, 5]
    assert near_duplicates([[1e-6 * x for x in point] for point in points], 0.05) == [2, 3, 5]
    assert near_duplicates(points, 2.0) == [1, 2, 3, 4, 5]


def test_a_chain_is_not_one_group():
    """Each point is near the next one, but the third is not near the first, which stays."""
    points = [[0.0], [1.0], [2.0], [100.0]]
    assert near_duplicates(points, 0.02) == [1]


def test_no_tolerance_finds_no_duplicates_and_equal_points_are_near_at_any_other():
    same = [[1.0, 2.0]] * 4
    assert near_duplicates(same, 0.0) == near_duplicates([], 0.5) == []
    assert near_duplicates(same, 1e-9) == [1, 2, 3]
