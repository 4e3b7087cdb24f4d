"""Ensembles, the judge, and scores that are remembered."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from core.search.checks import MAX_FINALISTS
from core.search.errors import BadRequest
from core.search.events import Finished, Judged, Scored
from core.search.guide import Guide, Marks
from core.search.search import Search
from core.search.tree import Tree
from tests.test_search import every_case, searched, spec_of, verifiers
from tests.toy import Closeness, ToyGenerator

ENSEMBLES = ["rank:closeness+brightness", "zscore:closeness+brightness"]


def rows(seed, count=12):
    rng = random.Random(seed)
    return [{"closeness": rng.gauss(0, 1), "brightness": rng.gauss(50, 9)} for _ in range(count)]


def order(marks):
    return sorted(range(len(marks)), key=lambda i: -marks[i])


@pytest.mark.parametrize("name", ENSEMBLES)
@pytest.mark.parametrize("seed", range(5))
def test_an_ensemble_does_not_care_about_the_units_of_a_verifier(name, seed):
    given = rows(seed)
    scaled = [{"closeness": 3 * row["closeness"] - 7, "brightness": row["brightness"] / 100} for row in given]
    one, two = (Marks(Guide.parse(name)).of(4, batch) for batch in (given, scaled))
    assert one == pytest.approx(two)


@pytest.mark.parametrize("name", ENSEMBLES)
@pytest.mark.parametrize("seed", range(5))
def test_better_by_every_verifier_is_better(name, seed):
    """Within the first batch and beyond it, and beyond all of it."""
    marks, first = Marks(Guide.parse(name)), rows(seed)
    pool = [*first, *rows(seed + 100, 30), {"closeness": 9.0, "brightness": 999.0}, {"closeness": 8, "brightness": 998}]
    scored = marks.of(4, first) + marks.of(4, pool[len(first):])
    for (a, mark_a), (b, mark_b) in itertools.permutations(zip(pool, scored, strict=True), 2):
        if all(a[name] > b[name] for name in a):
            assert mark_a > mark_b


@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_mean_ranks(seed):
    """The order is that of the mean rank, recomputed the long way; ties may fall either way."""
    given = rows(seed)
    worse = {name: {i: sum(other[name] < row[name] for other in given) for i, row in enumerate(given)}
             for name in ("closeness", "brightness")}
    mean = [worse["closeness"][i] + worse["brightness"][i] for i in range(len(given))]
    found = order(Marks(Guide.parse(ENSEMBLES[0])).of(4, given))
    assert [mean[i] for i in found] == sorted(mean, reverse=True)


def test_the_measure_is_the_first_batch_of_each_step():
    marks = Marks(Guide.parse(ENSEMBLES[1]))
    first, later = rows(1), rows(2)
    alone = marks.of(2, first)
    marks.of(3, later)
    assert marks.of(2, first) == alone and marks.of(2, later) != Marks(marks.guide).of(2, later)


def test_a_batch_without_spread_still_gives_numbers():
    marks = Marks(Guide.parse(ENSEMBLES[1]))
    same = [{"closeness": 1.0, "brightness": 2.0}] * 3
    assert marks.of(1, same) == [0.0] * 3 and marks.of(1, [{"closeness": 2.0, "brightness": 2.0}]) == [0.5]


@pytest.mark.parametrize("name", ["rank:", "rank:a", "best:a+b", "zscore:a+a", "rank:a+", ":a+b"])
def test_a_malformed_ensemble_is_refused_with_the_way_to_write_one(name):
    with pytest.raises(BadRequest, match="write rank: or zscore: and two or more different verifiers"):
        Guide.parse(name)


@pytest.mark.parametrize("name", ENSEMBLES)
@every_case
def test_an_ensemble_guides_every_strategy(strategy, params, name):
    search, events = searched(strategy, params, verifier=name, observers=())
    assert isinstance(events[-1], Finished) and events[-1].scores.keys() == {name, "closeness", "brightness"}
    curve = search.tree.curve()
    assert curve == sorted(curve)
    for event in events:
        if isinstance(event, Scored):
            assert all(scores.keys() == {name, "closeness", "brightness"} for scores in event.scores.values())
    assert search.tree.spent.verifier_calls == sum(one.calls for one in search.verifiers.values())
    assert Tree.of(events) == search.tree


def test_an_ensemble_of_unknown_verifiers_is_refused():
    with pytest.raises(BadRequest, match="verifier taste is not loaded"):
        searched("beam_search", {}, verifier="rank:closeness+taste")


# The judge


@every_case
def test_the_judge_sees_the_best_finished_images_and_chooses(strategy, params):
    """A cascade: the cheap guide prunes, the dear judge scores the finalists only."""
    for finalists in (1, 3, MAX_FINALISTS):
        search, events = searched(strategy, params, observers=(), judge="brightness", finalists=finalists)
        plain, _ = searched(strategy, params, observers=())
        [judged] = [event for event in events if isinstance(event, Judged)]
        assert search.verifiers["brightness"].calls == len(judged.scores) <= finalists
        assert judged.scores[judged.node] == max(judged.scores.values())
        assert events[-1].node == judged.node == search.tree.best().id
        assert events[-1].scores["brightness"] == judged.scores[judged.node]
        assert events[-1].score == search.tree.best_score()
        assert [n.id for n in plain.tree.nodes.values()] == [n.id for n in search.tree.nodes.values()]
        shown = [image.tobytes() for image in judged.images.values()]
        assert len(set(shown)) == len(shown), "a finalist is shown once"
    if finalists == MAX_FINALISTS:
        finished = {image.tobytes(): event.scores[node]["closeness"] for event in events
                    if isinstance(event, Scored) and event.finished for node, image in event.images.items()}
        best = sorted(finished.values(), reverse=True)[:finalists]
        assert sorted((finished[image] for image in shown), reverse=True) == best


@every_case
def test_the_judge_is_paid_from_the_budget(strategy, params):
    """What it will cost is kept back, so a run of which the budget ends is judged too."""
    full = searched(strategy, params, observers=(), judge="brightness")[0].tree.spent.flops
    for share in range(2, 21):
        search, events = searched(strategy, params, observers=(), judge="brightness", budget_flops=full * share / 20)
        assert search.tree.spent.flops <= full * share / 20
        assert isinstance(events[-1], Finished) == any(isinstance(event, Judged) for event in events)


@pytest.mark.parametrize("finalists", [0, -1, MAX_FINALISTS + 1])
def test_impossible_finalists_are_refused(finalists):
    with pytest.raises(BadRequest, match=f"finalists are impossible: a judge is shown 1 to {MAX_FINALISTS}"):
        searched("beam_search", {}, judge="brightness", finalists=finalists)


# What is remembered


class Picky(Closeness):
    """Notes every picture that it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def score(self, prompt, images):
        self.seen.update(image.tobytes() for image in images)
        return super().score(prompt, images)


@every_case
def test_no_picture_is_scored_twice(strategy, params):
    """Two digits make few pictures: equal ones are found by their hash, and cost nothing."""
    guide = Picky()
    search = Search(ToyGenerator(2), {"closeness": guide}, spec_of(strategy, params, observers=()))
    events = list(search.run())
    assert max(guide.seen.values()) == 1
    spent = search.tree.spent
    scored = sum(len(event.scores) for event in events if isinstance(event, Scored))
    assert spent.verifier_calls == guide.calls and spent.flops_verifier == 25e7 * guide.calls
    if params.get("look") == "preview":
        assert spent.verifier_calls + spent.cache_hits == scored and spent.cache_hits > 0


@every_case
def test_what_observers_saw_does_not_save_the_judge_its_price(strategy, params):
    """A run costs the same whether anybody looks on or not."""
    runs = [searched(strategy, params, judge="brightness", display=display)[0].tree.spent for display in (True, False)]
    assert runs[0].flops == runs[1].flops and runs[0].verifier_calls == runs[1].verifier_calls


def test_every_node_carries_all_scores_that_were_computed_for_it():
    search, events = searched("beam_search", {"look": "rollout"}, judge="brightness", observers=())
    judged = next(event for event in events if isinstance(event, Judged))
    for id, score in judged.scores.items():
        assert search.tree.nodes[id].scores["brightness"] == score
        assert search.tree.nodes[id].scores["closeness"] == search.tree.nodes[id].score


def test_verifiers_are_called_with_pictures_of_the_shape_they_know():
    class Shaped(Closeness):
        def score(self, prompt, images):
            assert np.asarray(images).ndim == 4
            return super().score(prompt, images)

    search = Search(ToyGenerator(), verifiers() | {"closeness": Shaped()}, spec_of("beam_search", {}))
    assert isinstance(list(search.run())[-1], Finished)


def test_costs_of_an_ensemble_are_its_members():
    search, _ = searched("random_search", {"n": 5}, ToyGenerator(200), verifier=ENSEMBLES[0], observers=())
    assert search.tree.spent.flops_verifier == 5 * (25e7 + 1e8) and search.tree.spent.decodes == 5


class Broken(Closeness):
    def score(self, prompt, images):
        raise RuntimeError("only 128 px")


@every_case
def test_an_observer_that_fails_is_left_out_and_a_guide_that_fails_ends_the_run(strategy, params):
    plain, _ = searched(strategy, params, observers=())
    search = Search(ToyGenerator(), verifiers() | {"brightness": Broken()}, spec_of(strategy, params))
    *_, end = search.run()
    assert isinstance(end, Finished) and end.scores.keys() == {"closeness"}
    assert [node.id for node in search.tree.nodes.values()] == [node.id for node in plain.tree.nodes.values()]
    search = Search(ToyGenerator(), verifiers() | {"closeness": Broken()}, spec_of(strategy, params))
    *_, end = search.run()
    assert end.code == "verifier_failed" and "closeness failed (RuntimeError: only 128 px)" in end.message
    assert all(node.score is None for node in search.tree.nodes.values()), "unscored is not scored 0"
