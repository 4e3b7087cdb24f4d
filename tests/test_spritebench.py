"""SpriteBench: its prompts say what their scenes hold, its runs drop nothing, its report counts what was stored."""

import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from core import cli
from core.evaluation.oracle.check import Reading
from core.evaluation.spritebench import make, report, run
from core.evaluation.spritebench.rows import FOLDER, SPLITS, Row, read_rows, write_rows
from core.generators.registry import GENERATORS
from core.registry import Entry
from core.search.errors import BadRequest, WeightsMissing
from core.search.events import RunSpec
from core.search.strategies.registry import STRATEGIES
from core.verifiers.registry import VERIFIERS
from core.world.captions import parse
from core.world.holdouts import held_out
from core.world.scene import Group, Scene, Thing, holds, try_place
from core.world.vocabulary import OPPOSITE
from tests.toy import Brightness, Closeness, Relay, ToyGenerator

ROWS = {split: read_rows(FOLDER / f"{split}.jsonl") for split in SPLITS}
EVERY = [row for rows in ROWS.values() for row in rows]


# The prompts


@pytest.mark.parametrize("split", SPLITS)
def test_every_tag_has_as_many_prompts_and_its_turn(split):
    counts = Counter(row.tag for row in ROWS[split])
    assert counts == dict.fromkeys(make.TAGS, make.PER_TAG[split])
    assert {row.tag for row in ROWS[split][: len(counts)]} == set(make.TAGS)


def test_no_prompt_is_there_twice():
    assert len({row.prompt for row in EVERY}) == len({row.id for row in EVERY}) == 1500


def test_the_files_are_what_the_command_makes(monkeypatch):
    monkeypatch.setattr(make, "TAGS", {"position": make.TAGS["position"]})
    taken = set()
    for split in SPLITS:
        assert make.make(split, taken) == [row for row in ROWS[split] if row.tag == "position"]


def test_a_row_survives_its_file(tmp_path):
    write_rows(ROWS["dev"], tmp_path / "again.jsonl")
    assert read_rows(tmp_path / "again.jsonl") == ROWS["dev"]
    assert (tmp_path / "again.jsonl").read_text() == (FOLDER / "dev.jsonl").read_text(), "atoms follow from scenes"


def relations(scene):
    """In one of the two ways in which each can be said."""
    names = [group.noun for group in scene.groups]
    said = ((names[a], relation, names[b]) for a, relation, b in scene.relations)
    return {min((a, r, b), (b, OPPOSITE[r], a)) for a, r, b in said}


def groups(scene):
    """As they are named: plain is what nobody says."""
    return {replace(group, pattern=None if group.pattern == "plain" else group.pattern) for group in scene.groups}


def test_the_world_reads_every_prompt_as_its_scene():
    """The scene is the truth and no parser is in the loop; that the parser agrees speaks for both."""
    wrong = [(row.id, row.prompt) for row in EVERY
             if groups(parse(row.prompt)) != groups(row.scene) or relations(parse(row.prompt)) != relations(row.scene)]
    assert not wrong


def test_prompts_ask_for_what_can_be_drawn_and_name_no_background():
    rng = random.Random(1)
    for row in EVERY:
        assert not row.scene.background and not parse(row.prompt).background
        placed = try_place(rng, replace(row.scene, background="white"), 2000)
        assert placed, row.prompt


def test_splits_are_those_of_the_hold_outs():
    for row in EVERY:
        assert row.split == (held_out(row.scene) or ("paraphrase" if row.split == "paraphrase" else "iid"))
    kinds = Counter(row.split for row in ROWS["test"])
    assert kinds.keys() == {"iid", "pair_ood", "count_ood", "relation_ood", "paraphrase"}
    assert min(kinds.values()) >= 36


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scene": {"objects": [{"class": "cow", "count": 1}]}}, "line 1 is no row.*no 'cow'"),
        ({"scene": {"objects": [{"class": "cat", "count": 0}]}}, "count of 0"),
        ({"scene": {"objects": [{"class": "cat", "count": 1}] * 2}}, "another class"),
        ({"scene": {"objects": [{"class": "cat"}]}}, "lacks 'count'"),
    ],
)
def test_a_file_of_others_is_read_with_care(tmp_path, change, said):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(EVERY[0].to_json() | change) + "\n")
    with pytest.raises(BadRequest, match=said):
        read_rows(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadRequest, match="cannot read the prompts"):
        read_rows(tmp_path / "none.jsonl")


# Runs, on toy models and with a toy oracle

CAT = Thing("cat", None, None, None, 64, 64, 60)
PROMPTS = [Row(f"own-{i}", tag, f"digits {i}", Scene((Group("cat"),))) for i, tag in enumerate("aabb")]
SPEC = RunSpec("", "toy", "random_search", {"n": 5}, "closeness")


class EvenIsCat:
    """Sees a cat wherever the first digit is even."""

    def __init__(self):
        self.seen = 0

    def read(self, images):
        self.seen += len(images)
        return [Reading((CAT,) if image[0, 0, 0] % 2 == 0 else (), "white") for image in images]


class World:
    def __init__(self, folder):
        self.part, self.generator, self.oracle = folder / "part.jsonl", ToyGenerator(digits=250), EvenIsCat()

    def bench(self, rows=PROMPTS, spec=SPEC, seeds=2):
        self.told = []
        return run.bench(rows, spec, seeds, lambda *said: self.told.append(said), part=self.part)


@pytest.fixture
def world(monkeypatch, tmp_path):
    world = World(tmp_path)
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    monkeypatch.setitem(GENERATORS, "toy", Entry("digits", lambda: world.generator))
    monkeypatch.setitem(VERIFIERS, "closeness", Entry("distance from the optimum", Closeness))
    monkeypatch.setattr(run, "load_oracle", lambda: world.oracle)
    return world


def test_every_prompt_and_seed_has_one_result(world):
    results = world.bench()
    found = [(result["id"].partition(":")[0], result["seed"]) for result in results]
    assert found == [(f"own-{i}", seed) for i in range(4) for seed in (0, 1)]
    assert all(len(r["pool"]) == 5 and r["error"] is None for r in results)
    assert world.told[-1] == (8, 8, sum(r["strict"] for r in results) / 8)


def test_what_counts_is_the_image_that_the_guide_chose(world):
    for result in world.bench():
        best = max(score for score, _ in result["pool"])
        assert result["strict"] in {strict for score, strict in result["pool"] if score == best}
        assert result["scores"]["closeness"] == pytest.approx(best)


@pytest.mark.parametrize("judge", [None, "brightness"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_returns_an_image_to_look_at(world, monkeypatch, strategy, judge):
    monkeypatch.setitem(VERIFIERS, "brightness", Entry("mean pixel", Brightness))
    if strategy == "ar_then_flow":
        world.generator = Relay(digits=250)
    entry = Entry("digits", lambda: world.generator, world.generator.abilities)
    monkeypatch.setitem(GENERATORS, "toy", entry)
    params = {"scales": 2} if strategy == "ar_then_flow" else {"start": 3, "jump": 1} if "paths" in strategy else {}
    looks = ("preview", "rollout") if strategy in ("beam_search", "greedy_tokens") else (None,)
    for look in looks:
        given = params | ({"look": look} if look else {})
        results = world.bench(PROMPTS[:2], replace(SPEC, strategy=strategy, params=given, judge=judge), 1)
        assert [result["error"] for result in results] == [None, None] and results[0]["pool"]
        world.part.unlink()


def test_a_run_that_was_broken_off_goes_on(world):
    whole = world.bench()
    lines = world.part.read_text().splitlines(keepends=True)
    world.part.write_text("".join(lines[:5]) + lines[5][:40])
    world.oracle.seen = 0
    again = world.bench()
    assert world.oracle.seen == 3 * 5, "only what was missing or cut short"
    times = {"seconds", "cost"}
    assert [{k: v for k, v in r.items() if k not in times} for r in again] == [
        {k: v for k, v in r.items() if k not in times} for r in whole
    ]
    world.bench()
    assert world.told == [], "nothing was left to do"


def test_more_seeds_add_to_what_is_there_and_another_prompt_does_not_count_as_it(world):
    world.bench(seeds=1)
    world.bench(seeds=2)
    assert len(world.told) == 4
    world.bench([replace(PROMPTS[0], scene=Scene((Group("dog"),)))], seeds=1)
    assert len(world.told) == 1


def test_what_fails_counts_as_wrong_and_stays_in(world, monkeypatch):
    def step(states, seeds):
        if len(states[0]) == 3:
            raise OSError("no room")
        return ToyGenerator.step(world.generator, states, seeds)

    world.generator.step = step
    results = world.bench()
    assert len(results) == 8 and not any(r["strict"] or r["lenient"] or r["am"] for r in results)
    found = report.report(results)
    assert found["failed"] == 8 and found["strict"]["mean"] == 0 and found["selection"] is None
    assert any("no room" in error for error in found["errors"])


def test_a_run_out_of_time_counts_as_wrong(world, monkeypatch):
    monkeypatch.setattr(run, "TIME_LIMIT", -1.0)
    [result] = world.bench(PROMPTS[:1], seeds=1)
    assert result["strict"] == 0 and "stopped after" in result["error"]


def test_a_setting_that_cannot_run_is_refused_and_not_scored(world, monkeypatch):
    with pytest.raises(BadRequest, match="unknown strategy"):
        world.bench(spec=replace(SPEC, strategy="guessing", params={}))
    with pytest.raises(BadRequest, match="least is 1"):
        world.bench(seeds=0)

    def missing():
        raise WeightsMissing("run python -m core.evaluation.oracle.train")

    monkeypatch.setattr(run, "load_oracle", missing)
    with pytest.raises(WeightsMissing):
        world.bench()
    assert not world.part.exists()


def test_settings_do_not_share_results(world):
    other = replace(SPEC, params={"n": 6})
    assert run.part_file(SPEC) != run.part_file(other)
    assert run.part_file(SPEC) == run.part_file(replace(SPEC, prompt="x", seed=3))


def test_the_report_counts_what_was_stored(world):
    results = world.bench()
    found = report.report(results)
    tags = {tag: [r["strict"] for r in results if r["tag"] == tag] for tag in "ab"}
    assert found["strict"]["mean"] == pytest.approx(sum(sum(v) / 4 for v in tags.values()) / 2)
    assert (found["prompts"], found["seeds"]) == (4, 2)
    chosen = found["selection"]
    assert chosen["single"]["mean"] <= chosen["pass"]["mean"] and list(chosen["curve"]) == [1, 2, 4]
    assert chosen["curve"][1]["best_of_n"] == chosen["curve"][1]["pass"] == chosen["single"]
    assert chosen["selected"] == found["strict"]
    assert report.difference(results, results)["p"] == 1
    assert any("strict" in line for line in report.lines(found))
    json.dumps(found, allow_nan=False)


def test_the_command(world, tmp_path, capsys):
    write_rows(PROMPTS, tmp_path / "own.jsonl")
    arguments = ["bench", "spritebench", "--prompts", str(tmp_path / "own.jsonl"), "--generator", "toy", "--verifier",
                 "closeness", "--n", "3", "--seeds", "2"]  # fmt: skip
    assert cli.main([*arguments, "--limit", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["prompts"], found["seeds"], found["setting"]["params"]) == (3, 2, {"n": 3})
    assert "6/6 100%" in err
    assert cli.main(arguments) == 0
    assert "4 prompts x 2 seeds, 0 failed" in capsys.readouterr().out
    assert cli.main([*arguments, "--limit", "0"]) == 2


def test_opening_the_test_split_is_written_down(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "OPENED", tmp_path / "opened.log")
    assert len(run.chosen("dev", None, 5)) == 5 and not run.OPENED.exists()
    assert len(run.chosen("test", None, 7)) == 7
    assert "7 prompts" in run.OPENED.read_text()


def test_next_is_what_a_prompt_means_by_beside():
    row = next(row for row in EVERY if row.tag == "spatial" and row.scene.relations[0][1] == "next")
    placed = try_place(random.Random(0), replace(row.scene, background="white"), 2000)
    assert holds("next", *placed.things)


def test_workers_return_results_in_order(world):
    """Other processes know no toy, so all they can say is that it failed: which must come back as a result too."""
    jobs = [(row, replace(SPEC, prompt=row.prompt)) for row in PROMPTS]
    results = list(run._results(jobs, 2))
    assert [result["id"] for result in results] == [run.row_id(row) for row in PROMPTS]
    assert all(result["strict"] == 0 and "unknown generator 'toy'" in result["error"] for result in results)
