"""Laws of the headline: a pool's curve is what drawing gives, is charged what real runs are, and nothing overspends."""

import json
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from core.evaluation import parts, prompts, statistics
from core.evaluation.headline import __main__ as command
from core.evaluation.headline import figures, make, plan, runs, single, work
from core.evaluation.oracle.check import Reading
from core.evaluation.spritebench.rows import Row
from core.generators.registry import GENERATORS
from core.registry import Entry
from core.search.budget import GIGA, Cost
from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.search import Search
from core.verifiers.registry import VERIFIERS
from core.world.scene import Group, Scene, Thing
from tests.toy import Brightness, Closeness, ToyGenerator

CAT = Thing("cat", None, None, None, 64, 64, 60)
ROWS = [Row(f"own-{i}", tag, f"digits {i}", Scene((Group("cat"),))) for i, tag in enumerate("abababab")]
BUDGETS = (70.0, 150.0, 400.0)  # GFLOP; a toy image costs about 31


class EvenIsCat:
    """Sees a cat wherever the first digit is even, and is in doubt where it is 7."""

    def read(self, images):
        return [Reading((CAT,) if image[0, 0, 0] % 2 == 0 else (), "white", bool(image[0, 0, 0] % 10 == 7))
                for image in images]  # fmt: skip


class Dear(Brightness):
    """Slower than the others."""

    def __init__(self):
        super().__init__()
        self.name, self.cost = "judge", Cost(flops_verifier=4e9, verifier_calls=1)


class World:
    def __init__(self):
        self.generators = {
            "emoji-ar": ToyGenerator(digits=250),
            "emoji-flow-sde": ToyGenerator(digits=250, branching=frozenset({0}), shares=False),
        }
        self.verifiers = {"image_reward": Closeness("image_reward"), "judge": Dear()}
        self.b = None

    def plan(self):
        return planned_once(tuple(self.generators), tuple(self.verifiers), BUDGETS)

    def outcomes(self, rows=ROWS, **options):
        return make.headline(self.generators, self.verifiers, rows, 2, BUDGETS, **options)


@cache
def planned_once(generators, verifiers, budgets):
    """(Planning takes a second.)"""
    world = World()
    chosen = {name: world.verifiers[name] for name in verifiers}
    return plan.planned({name: world.generators[name] for name in generators}, chosen, budgets)


@pytest.fixture
def world(monkeypatch, tmp_path):
    world = World()
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    monkeypatch.setattr(statistics, "ROUNDS", 500)
    for name, generator in world.generators.items():
        monkeypatch.setitem(GENERATORS, name, Entry("digits", lambda generator=generator: generator))
    for name, verifier in world.verifiers.items():
        monkeypatch.setitem(VERIFIERS, name, Entry("scores", lambda verifier=verifier: verifier))
    for module in (runs, work, make, single):
        monkeypatch.setattr(module, "load_oracle", EvenIsCat)
    monkeypatch.setattr(
        make,
        "planned",
        lambda generators, verifiers, budgets, lines: planned_once(tuple(generators), tuple(verifiers), tuple(budgets)),
    )
    monkeypatch.setattr(runs, "held_out_b", lambda: world.b)
    monkeypatch.setattr(work, "held_out_b", lambda: world.b)
    return world


# Pools


def test_the_curve_of_a_pool_is_what_drawing_gives():
    scores, right = [0.9, 0.1, 0.5, 0.5, 0.7, 0.2], [1, 0, 1, 0, 0, 1]
    curve = figures.pool_curve(scores, right)
    for n in range(1, len(scores) + 1):
        draws = list(combinations(range(len(scores)), n))
        best = [np.mean([right[i] for i in d if scores[i] == max(scores[j] for j in d)]) for d in draws]
        assert curve[n - 1] == pytest.approx(np.mean(best)) == statistics.best_of_n(scores, right, n)


@pytest.mark.parametrize("generator", plan.GENERATORS)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_point_of_the_curve_costs_what_a_run_of_its_size_and_verifier_costs(world, generator, n):
    for name, verifier in world.verifiers.items():
        spec = RunSpec("p", generator, "random_search", {"n": n}, name, seed=4)
        search = Search(world.generators[generator], {name: verifier}, spec, display=False)
        list(search.run())
        price, spent = world.plan().prices[generator, name][n - 1], search.tree.spent
        parts = ("nfe", "flops_generator", "flops_decoder", "flops_verifier", "decodes", "images", "verifier_calls")
        assert [getattr(price, part) for part in parts] == [getattr(spent, part) for part in parts]


def test_a_run_of_any_size_returns_the_best_of_the_first_of_the_pool(world):
    pool = runs.pool_run("emoji-ar", ROWS[0], 3, 9, tuple(world.verifiers))
    for name in world.verifiers:
        for n in (1, 4, 9):
            spec = RunSpec(ROWS[0].prompt, "emoji-ar", "random_search", {"n": n}, name, seed=3)
            best = max(range(n), key=lambda i: pool["scores"][name][i])
            assert runs.search_run(spec, ROWS[0])["strict"] == int(pool["strict"][best])


def test_random_search_at_a_price_costs_that_price(world):
    prices = world.plan().prices["emoji-ar", "judge"]
    for flops in (prices[0].flops, 100e9, 250e9):
        n, m, share = plan.at(flops, prices)
        assert (1 - share) * prices[n - 1].flops + share * prices[m - 1].flops == pytest.approx(flops)
    assert plan.at(prices[0].flops - 1, prices) is None
    assert all(plan.at(BUDGETS[-1] * GIGA, prices)[1] <= len(prices) for prices in world.plan().prices.values())


# Sizes


def test_no_setting_exceeds_its_budget_and_none_is_another_strategy(world):
    planned = world.plan()
    assert {setting.line for setting in planned.settings} == set(plan.SEARCHES)
    for setting in planned.settings:
        assert setting.cost.flops <= setting.budget * GIGA
        spent = Cost.from_json(runs.search_run(replace(setting.spec, prompt="p"), ROWS[0])["cost"])
        assert 0 < spent.flops <= setting.budget * GIGA
        assert all(setting.spec.params[name] >= least for name, least in setting.line.least)
    names = {setting.name for setting in planned.settings} | set(planned.refused)
    assert len(names) == len(plan.SEARCHES) * len(world.verifiers) * len(BUDGETS)
    assert all("GFLOP" in reason for reason in planned.refused.values()) and planned.refused


def test_a_beam_keeps_the_shape_that_was_written_down(world):
    sizes = [setting.spec.params for setting in world.plan().settings if setting.line == plan.BEAM_ROLLOUT]
    assert sizes and all(params["width"] <= params["branch"] <= 4 * params["width"] for params in sizes)


# Prompts


def test_prompts_by_turns_are_of_all_tags_alike_and_nested():
    rows = [Row(str(i), tag, "", Scene(())) for i, tag in enumerate("aaaabbcaabb")]
    for count in range(1, len(rows) + 1):
        counts = Counter(row.tag for row in prompts.by_turns(rows, count))
        assert all(n >= min(max(counts.values()) - 1, "aaaabbcaabb".count(tag)) for tag, n in counts.items())
        assert prompts.by_turns(rows, count) == prompts.by_turns(rows, len(rows))[:count]
    with pytest.raises(BadRequest, match="12 prompts"):
        prompts.by_turns(rows, 12)
    assert set(Counter(row.tag for row in prompts.dev_rows(60)).values()) == {5}
    assert len(set(prompts.dev_prompts(40, seed=3))) == 40


def test_hours_keep_the_strata(world):
    planned = world.plan()
    prices = work.measured(world.generators, world.verifiers, "p", np.zeros((2, 4, 3), np.uint8))
    pieces = work.pieces(planned, world.generators, ROWS, 2, prices)
    whole = sum(piece.seconds for row in ROWS for seed in (0, 1) for piece in pieces.of(row, seed))
    assert work.affordable(pieces, ROWS, 2, whole * 1.001) == ROWS
    for share, each in ((0.8, 3), (0.51, 2), (0.3, 1)):
        rows = work.affordable(pieces, ROWS, 2, whole * share)
        assert Counter(row.tag for row in rows) == {"a": each, "b": each}
    with pytest.raises(BadRequest, match="too few for a prompt of every tag"):
        work.affordable(pieces, ROWS, 2, whole * 0.2)


def test_what_is_done_costs_no_hours(world):
    world.outcomes(ROWS[:4])
    assert world.outcomes(ROWS, hours=0).rows == ROWS[:4]


# Runs


def facts(outcomes):
    """All results but for times."""

    def timeless(result):
        cost = {name: amount for name, amount in result.get("cost", {}).items() if name != "seconds"}
        return {**result, "seconds": None, "cost": cost}

    tables = (*outcomes.pools.values(), *outcomes.searches.values())
    return [{unit: timeless(result) for unit, result in by_unit.items()} for by_unit in tables]


def test_a_resumed_run_equals_one_in_one_go(world, monkeypatch, tmp_path):
    whole = facts(world.outcomes())
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path / "again"))
    calls = 0

    def breaks(*args):
        nonlocal calls
        calls += 1
        if calls > 30:
            raise KeyboardInterrupt
        return runs.search_run(*args)

    monkeypatch.setattr(work, "search_run", breaks)
    with pytest.raises(KeyboardInterrupt):
        world.outcomes()
    kept = sorted((tmp_path / "again" / "headline").glob("*.jsonl"))
    assert sum(len(path.read_text().splitlines()) for path in kept) >= 30
    kept[0].write_text(kept[0].read_text()[:-20])  # killed while writing
    monkeypatch.setattr(work, "search_run", runs.search_run)
    assert facts(world.outcomes()) == whole


def test_settings_weights_and_sampling_have_parts_of_their_own(world, monkeypatch):
    prices = work.measured(world.generators, world.verifiers, "p", np.zeros((2, 4, 3), np.uint8))

    def files():
        found = work.pieces(world.plan(), world.generators, ROWS[:1], 1, prices)
        return {piece.part for piece in found.of(ROWS[0], 0)}

    before = files()
    assert len(before) == len(world.plan().settings) + 2
    world.generators["emoji-ar"].sampling = "colder"
    others = files()
    assert {path.name.startswith("emoji-ar") for path in others - before} == {True}
    monkeypatch.setattr(work, "weights_of", lambda names: dict.fromkeys(names, "retrained"))
    assert not files() & others


def test_what_fails_counts_as_wrong_and_stays_in(world):
    def step(states, seeds):
        if len(states[0]) == 3:
            raise OSError("no room")
        return ToyGenerator.step(world.generators["emoji-ar"], states, seeds)

    planned = world.plan()
    world.generators["emoji-ar"].step = step
    pool = runs.pool_run("emoji-ar", ROWS[0], 0, 5, tuple(world.verifiers))
    assert pool["strict"] == "00000" and "no room" in pool["error"]
    result = runs.search_run(replace(planned.settings[0].spec, prompt="p"), ROWS[0])
    assert result["strict"] == 0 and "no room" in result["error"]


def test_a_verifier_that_fails_costs_only_its_own_curve(world, monkeypatch):
    monkeypatch.setattr(world.verifiers["judge"], "score", lambda prompt, images: [float("nan")] * len(images))
    outcomes = world.outcomes(ROWS[:2])
    assert not outcomes.curve("emoji-ar", "judge").any() and outcomes.curve("emoji-ar", "image_reward").any()
    rows = figures.table(outcomes)
    assert {row["failed"] for row in rows if row["verifier"] == "judge"} == {4}
    assert {row["failed"] for row in rows if row["verifier"] == "image_reward"} == {0}


# Figures


def test_figures_say_what_was_found(world, tmp_path):
    world.b = Closeness("b")
    outcomes = world.outcomes()
    found = make.figures(outcomes, {"of": 300, "missing": [], "hours": None, "command": "python"})
    rows = found["rows"]
    assert len(rows) == 2 + len(outcomes.plan.settings) + sum(
        plan.at(budget * GIGA, prices) is not None for budget in BUDGETS for prices in outcomes.plan.prices.values()
    )
    for row in rows:
        assert row["budget"] is None or row["gflop"]["total"] <= row["budget"] and row["failed"] == 0
        assert 0 <= row["strict"]["mean"] <= 1 and row["b_z"] is not None
    assert rows[0]["b_z"] == pytest.approx(0, abs=1e-6) and rows[0]["gflop"]["verifier"] == 0
    best = [row for row in rows if (row["generator"], row["strategy"], row["verifier"])
            == ("emoji-ar", "random_search", "image_reward")]  # fmt: skip
    assert best[-1]["b_z"] > 0.5, "selection by a verifier like b raises b"
    for comparison in found["comparisons"]:
        assert comparison["difference"]["p"] <= comparison["holm"] <= 1
    make.write(found, outcomes, tmp_path)
    kept = json.loads((tmp_path / "headline.json").read_text())
    assert kept["rows"] == json.loads(json.dumps(rows))
    page = (tmp_path / "headline.md").read_text()
    assert "**Only 8 prompts**" in page and "beam search by rollouts against best of n" in page
    assert "dead zone" in (tmp_path / "single.md").read_text()
    assert (tmp_path / "headline.svg").read_text().count("chosen by") >= 2


def test_intervals_can_be_computed_again_from_what_is_kept(world):
    outcomes = world.outcomes()
    kept, setting = figures.outcomes_as_json(outcomes), outcomes.plan.settings[0]
    bits = [[int(bit) for bit in seed] for seed in kept["searches"][setting.name]]
    assert np.array_equal(np.array(bits).T.ravel(), outcomes.found(setting))
    [first, *_] = kept["pools"]["emoji-ar"]["image_reward"][0]
    curve = figures.pool_curve(range(len(first), 0, -1), [int(bit) for bit in first])
    assert curve == pytest.approx(outcomes.curve("emoji-ar", "image_reward")[0])


def test_comparisons_without_their_verifier_or_size_are_said_not_to_be_made(world):
    del world.verifiers["judge"]
    outcomes = world.outcomes(ROWS[:2])
    found = figures.compared(outcomes)
    assert [row["name"] for row in found if "not_made" in row] == [
        c.name for c in plan.COMPARISONS if "judge" in (c.verifier, c.other)
    ]
    assert all("judge was not there" in row["not_made"] for row in found if "not_made" in row)


def test_a_difference_is_taken_at_what_the_search_spent(world):
    outcomes = world.outcomes()
    [row] = [row for row in figures.compared(outcomes) if row["name"] == plan.COMPARISONS[0].name]
    spent, rival = row["gflop"]
    assert spent == rival <= BUDGETS[-1]
    assert row["difference"]["mean"] == pytest.approx(row["strict"][0]["mean"] - row["strict"][1]["mean"], abs=2e-4)


def test_single_samples_are_those_of_the_pools(world):
    outcomes = single.single(world.generators, ROWS, 2, 4, workers=1)
    found = figures.singles(outcomes)["emoji-ar"]
    strict = "".join(pool["strict"] for pool in outcomes.pools["emoji-ar"].values())
    assert found["samples"] == len(strict) == 64
    assert found["overall"]["strict"]["mean"] == pytest.approx(strict.count("1") / 64, abs=1e-4)
    assert set(found["tags"]) == {"a", "b"} and found["in_band"]


def test_the_command(world, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(make, "RESULTS", tmp_path)
    monkeypatch.setattr(make.write, "__defaults__", (tmp_path,))
    monkeypatch.setattr(command, "dev_rows", lambda count: ROWS[:count])
    options = "--prompts 4 --seeds 1 --workers 1 --verifiers image_reward nobody --gflop 150"
    arguments = ["headline", *options.split()]
    monkeypatch.setattr("sys.argv", [*arguments, "--forecast"])
    assert command.main() == 0
    assert "still to be done" in capsys.readouterr().err and not list(tmp_path.glob("headline.*"))
    monkeypatch.setattr("sys.argv", arguments)
    assert command.main() == 0
    assert "Not there: nobody" in capsys.readouterr().out and (tmp_path / "headline.json").exists()


# Parts


def double(number):
    return {"is": 2 * number}


def test_pieces_come_back_in_order_from_any_number_of_workers(tmp_path):
    pieces = [parts.Piece(tmp_path / f"{i % 2}.jsonl", str(i), double, (i,), seconds=i) for i in range(6)]
    told = []
    assert parts.carried_out(pieces[:2], 1) == [{"is": 0}, {"is": 2}]
    assert parts.carried_out(pieces, 2, lambda *said: told.append(said)) == [{"is": 2 * i} for i in range(6)]
    assert told[-1][:2] == (6, 6) and told[-1][2] == 0 and len(told) == 4
    assert parts.waiting(pieces) == []
    with pytest.raises(BadRequest):
        parts.carried_out(pieces, 0)
