"""What the bench of the engine measures is what it says: laws, and a tiny part of it for real."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from core.evaluation import engine, engine_table, engine_timing
from core.evaluation.engine_memory import RESET, memory
from core.evaluation.no_sharing import WAYS, beam
from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.search import Search
from tests.toy import TARGET, Closeness, ToyGenerator

WIDTH, BRANCH = 3, 4


def engine_on(toy: ToyGenerator) -> Search:
    params = {"width": WIDTH, "branch": BRANCH}
    return Search(toy, {"closeness": Closeness()}, RunSpec("p", "toy", "beam_search", params, "closeness", (), 7),
                  display=False)


@pytest.mark.parametrize("name", WAYS)
def test_every_way_finds_what_the_engine_finds(name):
    ours = engine_timing.found_by_engine(engine_on(ToyGenerator(digits=250)))
    theirs = beam(WAYS[name](ToyGenerator(digits=250), Closeness(), "p", 7), WIDTH, BRANCH)
    assert len(theirs.images) == WIDTH * BRANCH * len(TARGET)
    assert engine_timing.difference(ours, theirs) == {"same": True, "grey": 0}
    assert ours.scores == theirs.scores


def passes_of(name: str) -> Counter:
    toy = ToyGenerator(digits=250)
    beam(WAYS[name](toy, Closeness(), "p", 7), WIDTH, BRANCH)
    return toy.computed


def test_every_way_pays_for_what_it_does_not_share():
    candidates, steps = WIDTH * BRANCH, len(TARGET)
    later = range(1, steps)
    for name in ("restarted", "batched"):   # every candidate takes every step to where it is
        computed = passes_of(name)
        assert [computed[step] for step in later] == [candidates * (steps - step) for step in later]
        assert computed["read"] == candidates * steps
    assert passes_of("restarted")[0] == candidates * steps   # (the toy's bare prompts are one object in a batch)
    replayed = passes_of("replayed")        # every prefix does: the prompt, then `width` prefixes at each step
    assert [replayed[step] for step in range(steps)] == [1 + WIDTH * (steps - 1), *(WIDTH * (steps - i) for i in later)]
    assert replayed["read"] == 1 + WIDTH * (steps - 1)
    continued = passes_of("continued")
    assert [continued[step] for step in range(steps)] == [candidates] * steps
    toy = ToyGenerator(digits=250)
    list(engine_on(toy).run())
    for computed in (passes_of("shared"), toy.computed):
        assert [computed[step] for step in range(steps)] == [1, *[WIDTH] * (steps - 1)]
        assert computed["read"] == 1


def test_a_difference_is_seen():
    one, other = (
        beam(WAYS["shared"](ToyGenerator(digits=250), Closeness(), "p", seed), WIDTH, BRANCH) for seed in (7, 8)
    )
    assert not engine_timing.difference(one, other)["same"]
    assert engine_timing.difference(one, other)["grey"] > 0


def test_a_clock_takes_the_time_of_the_methods_named_and_no_other():
    clock = Counter()
    toy = engine_timing.Clocked(ToyGenerator(), {"start": "generator"}, clock)
    state = toy.start("p")
    assert set(clock) == {"generator"}
    spent = clock["generator"]
    toy.step([state], [1])
    assert clock["generator"] == spent > 0


def test_the_parts_of_a_run_add_up_to_its_wall_time():
    bench = engine_timing.Bench({"width": 1, "branch": 2})
    clock, search = bench.run(bench.spec.prompt)
    parts = engine_timing.by_kind(clock)
    assert sum(parts.values()) == pytest.approx(clock["wall"])
    assert all(parts[kind] > 0 for kind in engine_timing.KINDS)
    assert search.tree.spent.seconds == pytest.approx(clock["wall"] - parts["engine"], rel=0.05)
    assert "step" not in vars(bench.generator.model), "the model is left as it was"


def test_exponents_are_found_again():
    cells = [{"width": w, "branch": c, "seconds": {"forward": 0.2 * w, "decoder": 0.1 * w * c}}
             for w in (1, 2, 4) for c in (1, 2, 4)]
    fits = engine_timing._exponents(cells, "seconds")
    assert fits["forward"]["width"] == {"mean": 1, "low": 1, "high": 1}
    assert fits["forward"]["branch"]["mean"] == pytest.approx(0)
    assert fits["decoder"]["width"]["mean"] == fits["decoder"]["branch"]["mean"] == 1


def test_the_middle_of_a_few_lies_in_its_interval():
    found = engine_timing.median(list(np.random.default_rng(1).normal(5, 1, 30)))
    assert found["low"] < found["mean"] < found["high"]
    assert engine_timing.median([2.0, 2.0, 2.0]) == {"mean": 2.0, "low": 2.0, "high": 2.0}


def test_sharing_on_the_embedded_model_changes_no_bit_and_saves_time():
    found = engine_timing.sharing(rounds=1, ways=("restarted",), width=2, branch=3)
    assert found["same"]["restarted"]["same"] == found["same"]["restarted"]["prompts"] == 2
    assert found["same"]["restarted"]["grey"] <= 1
    assert found["times"]["restarted"]["mean"] > 1.5
    sizes = engine_timing.sharing_by_size(1, ("XS",))
    assert sizes["XS"]["times"]["mean"] > 1.5
    whole = found | {"sizes": sizes, "by_threads": {"2": sizes["XS"]}}
    assert "restarted" not in "".join(engine._say_sharing(whole)), "said in words"


@pytest.mark.skipif(not RESET.exists(), reason="Linux only")
def test_the_ledger_accounts_for_the_peak_of_memory():
    found = memory(2, 4, rounds=1)
    assert found["counted"] > found["weights"] > 0
    assert 0.75 < found["thrifty"][0] < 1.25
    assert found["ratio"] < 1.5   # what the allocator keeps weighs more in a small search


def test_a_cancelled_search_ends_soon():
    found = engine_timing.cancel(rounds=1)
    assert found["cancels"] == 3 and found["median"]["mean"] < 0.3
    assert "Cancelling" in "".join(engine._say_cancel(found))


def test_there_are_six_parts():
    with pytest.raises(BadRequest, match="no part 'speed'.*overhead, cancel, sharing, growth, memory, table"):
        engine.bench(only="speed", quick=True)


def test_every_strategy_has_a_generator_that_supports_it():
    from core.generators.registry import GENERATORS
    from core.search.strategies.registry import STRATEGIES, unsupported

    pairs = engine_table.pairs()
    assert {strategy for strategy, _ in pairs} == set(STRATEGIES)
    assert not [unsupported(*pair, GENERATORS[pair[1]].abilities) for pair in pairs
                if unsupported(*pair, GENERATORS[pair[1]].abilities)]


PLAN = engine_table.Plan(prompts=1, gflop=12, guides=("aesthetic",))
RUN = {"score": 1.0, "image_reward": 0.5, "clip_score": 20.0, "aesthetic": 1.0, "nfe": 6, "gflop": 2.0, "seconds": 0.1,
       "images": 1, "dials": {"n": 1}}


def test_a_run_of_the_table_stays_within_its_budget():
    run = engine_table.one_run("beam_search", "emoji-ar", "aesthetic", "a large red heart", PLAN)
    assert 0 < run["gflop"] <= 12
    assert run["aesthetic"] == run["score"]
    assert set(run) == set(RUN)


def test_a_budget_too_small_for_a_strategy_is_said(monkeypatch):
    refused = engine_table.one_run("beam_search", "emoji-ar", "aesthetic", "a large red heart",
                                   engine_table.Plan(gflop=0.5))
    assert "too small" in refused["refused"]
    row = engine_table._row(("beam_search", "emoji-ar", "aesthetic"), [refused])
    assert "too small" in " ".join(map(str, engine._table_row(row)))


def test_a_table_that_was_broken_off_goes_on(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(engine_table, "pairs", lambda: [("random_search", "emoji-ar")])
    part, lines = tmp_path / "part.json", []
    part.write_text(json.dumps({"plan": asdict(PLAN), "runs": {"random_search emoji-ar aesthetic": [RUN]}}))
    found = engine_table.table(PLAN, part, 1, lines.append)
    assert lines == [], "nothing was left to do"
    assert found["rows"][0]["image_reward"]["mean"] == 0.5
    assert not part.exists()


def test_cells_of_another_plan_are_not_taken(tmp_path: Path):
    part = tmp_path / "part.json"
    part.write_text(json.dumps({"plan": asdict(PLAN), "runs": {"x": [RUN]}}))
    assert engine_table._resumed(part, PLAN) == {"x": [RUN]}
    assert engine_table._resumed(part, engine_table.Plan(prompts=2)) == {}


def test_a_part_made_alone_leaves_the_others(tmp_path: Path, monkeypatch):
    memory = {"width": 8, "branch": 8, "peak": 2**20, "counted": 2**20, "weights": 1, "floor": 1, "ratio": 1.0,
              "ratios": [1.0], "thrifty": [0.9]}
    monkeypatch.setattr(engine, "RESULTS", tmp_path)
    (tmp_path / "engine.json").write_text(json.dumps({"machine": engine.machine(), "table": {
        "plan": asdict(PLAN), "rows": [engine_table._row(("random_search", "emoji-ar", "aesthetic"), [RUN])]}}))
    monkeypatch.setitem(engine.FULL, "memory", lambda progress: memory)
    found = engine.bench(only="memory", progress=lambda line: None)
    assert list(found) == ["machine", "memory", "table"]
    assert json.loads((tmp_path / "engine.json").read_text()) == found
    text = (tmp_path / "engine.md").read_text()
    assert "## Peak memory" in text and "| random_search | emoji-ar | n 1 | 1.000" in text
