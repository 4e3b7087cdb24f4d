"""The command line, in process, on the toy world."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from core import cli
from core.generators.registry import GENERATORS
from core.registry import Entry, Needs, lazy
from core.search.errors import WeightsMissing
from core.search.events import from_json
from core.search.strategies.registry import unsupported
from core.search.tree import Tree
from core.store.result_png import spec_in
from core.store.runs import RunStore
from core.verifiers.registry import VERIFIERS
from tests.toy import Brightness, Closeness, ToyGenerator

ROOT = Path(__file__).parents[1]
KEYS = {"run", "prompt", "strategy", "verifier", "seed", "best", "cost", "resumed", "nodes", "pruned", "scales",
        "notes"}  # fmt: skip


class World:
    """The toy models in place of all registered ones; `run` calls the command line."""

    def __init__(self, capsys):
        self.capsys, self.generator = capsys, ToyGenerator(digits=250)   # of so many hardly two draws are equal

    def run(self, *args):
        code = cli.main(list(args))
        out, err = self.capsys.readouterr()
        return code, out, err

    def json(self, *args):
        """The object on stdout of a command that succeeds."""
        code, out, err = self.run(*args, "--json")
        assert code == 0, err
        assert out.endswith("}\n") and out.count("\n") == 1
        return json.loads(out)

    def refused(self, *args):
        """The one line on stderr of a command that is refused."""
        code, out, err = self.run(*args)
        assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
        assert not RunStore().list()
        return err[len("error: ") : -1]


@pytest.fixture
def registries():
    """Empty registries; before `monkeypatch` in a test's fixtures, so that its changes are undone first."""
    with patch.dict(GENERATORS, clear=True), patch.dict(VERIFIERS, clear=True):
        yield


@pytest.fixture
def world(registries, monkeypatch, tmp_path, capsys):
    world = World(capsys)
    monkeypatch.setenv("BEAMSCOPE_RUNS", str(tmp_path / "runs"))
    ode = ToyGenerator(digits=250, branching=frozenset({0}))
    generators = {
        "toy": Entry("digits", lambda: world.generator, world.generator.abilities),
        "toy-ode": Entry("digits that follow from the first", lambda: ode, ode.abilities),
        "emoji-toy": Entry("digits under a name that asks for known words", lambda: world.generator),
    }
    verifiers = {
        "closeness": Entry("distance from the optimum", Closeness),
        "brightness": Entry("mean pixel", Brightness),
    }
    GENERATORS.update(generators)
    VERIFIERS.update(verifiers)
    return world


def test_search_prints_one_object(world):
    result = world.json("search", "digits", "--width", "2", "--branch", "4", "--look", "preview", "--seed", "3")
    assert result.keys() == KEYS
    assert (result["prompt"], result["strategy"], result["verifier"], result["seed"]) == (
        "digits", "beam_search", "closeness", 3
    )  # fmt: skip
    assert (result["nodes"], result["pruned"], result["scales"]) == (33, 4 * 6, 4)
    assert result["best"]["scores"].keys() == {"closeness", "brightness"}
    assert result["best"]["score"] == result["best"]["scores"]["closeness"]
    assert {"nfe", "tokens", "flops", "decodes", "verifier_calls", "seconds"} <= result["cost"].keys()
    assert result["cost"]["flops"] == 1e8 + 1e9 * (1 + 2 * 29) + 32 * (5e8 + 25e7)


def test_the_best_image_is_the_one_that_was_scored(world):
    result = world.json("search", "digits", "--strategy", "random_search", "--n", "9")
    pixels = np.asarray(Image.open(result["best"]["image"]))
    assert Closeness().score("", pixels[None]) == [result["best"]["score"]]


def test_progress_is_on_stderr_only(world):
    code, out, err = world.run("search", "digits")
    assert code == 0 and "100%" in err and "GFLOP" in err and "%" not in out
    assert [line.split()[0] for line in out.splitlines()] == ["run", "best", "image", "cost", "shared", "tree"]


def test_one_seed_gives_one_result(world):
    def figures(result):
        cost = {key: value for key, value in result["cost"].items() if key not in ("seconds", "peak_bytes")}
        return result["best"]["score"], result["best"]["node"], cost

    one, again, other = (figures(world.json("search", "digits", "--seed", seed)) for seed in ("3", "3", "4"))
    assert one == again != other


def test_replay_gives_the_object_of_the_search(world):
    result = world.json("search", "digits", "--look", "rollout")
    assert world.json("replay", result["run"]) == result


def test_replay_says_why_candidates_were_pruned(world):
    run = world.json("search", "digits", "--width", "2", "--branch", "4")["run"]
    code, out, _ = world.run("replay", run)
    lines = out.splitlines()
    assert code == 0 and lines[-1] == "state  finished"
    assert lines[0].strip().startswith("digit 1: 8 candidates, 2 kept, 6 pruned (beam_rank by preview: best ")
    assert [line.split(":")[0].strip() for line in lines[:4]] == [f"digit {i}" for i in (1, 2, 3, 4)]


def test_a_budget_sizes_what_was_not_given(world):
    for gflop in ("100", "300"):
        result = world.json("search", "digits", "--budget", gflop)
        spec = RunStore().load(result["run"])[0].spec
        assert result["cost"]["flops"] <= float(gflop) * 1e9 and spec.params["branch"] == 5
    assert spec.params["width"] == 6


def test_out_holds_picture_log_and_previews(world, tmp_path):
    out = tmp_path / "deep" / "out"
    result = world.json("search", "digits", "--out", str(out))
    assert result["best"]["image"] == str(out / "best.png")
    assert spec_in((out / "best.png").read_bytes()).prompt == "digits"
    data = json.loads((out / "run.json").read_text())
    assert (data["run"], data["title"]) == (result["run"], "digits")
    tree = Tree.of(map(from_json, data["events"]))
    assert len(tree.nodes) == result["nodes"]
    names = {name for event in data["events"] for name in event.get("images", {}).values()}
    assert {f"previews/{path.name}" for path in (out / "previews").iterdir()} == names


def test_compare_spends_no_more_on_the_baseline(world):
    result = world.json("compare", "digits", "--baseline", "toy-ode", "--budget", "400", "--seed", "2")
    ar, diffusion = result["ar"], result["diffusion"]
    assert ar.keys() == diffusion.keys() == KEYS
    assert (ar["strategy"], diffusion["strategy"]) == ("beam_search", "random_search")
    image = 1e9 * (4 + 9 + 16) + 75e7
    assert 0 <= ar["cost"]["flops"] - diffusion["cost"]["flops"] < image and ar["cost"]["flops"] <= 400e9
    assert RunStore().meta(ar["run"])["beside"] == diffusion["run"]


def test_compare_without_a_budget_takes_the_default_search(world):
    result = world.json("compare", "digits", "--baseline", "toy-ode", "--seed", "5")
    assert RunStore().load(result["ar"]["run"])[0].spec.params == {"width": 3, "branch": 5, "look": "preview"}
    assert result["diffusion"]["cost"]["flops"] <= result["ar"]["cost"]["flops"]
    assert result["ar"]["seed"] == result["diffusion"]["seed"] == 5


def test_a_baseline_image_larger_than_the_search_may_use_the_budget(world):
    """A search of one candidate a step costs less than the best of one here, but both fit into the budget."""
    args = ("compare", "digits", "--baseline", "toy", "--width", "1", "--branch", "1", "--look", "preview")
    result = world.json(*args, "--budget", "60")
    assert result["diffusion"]["nodes"] == 5
    assert max(result[side]["cost"]["flops"] for side in ("ar", "diffusion")) <= 60e9


def test_compare_exports_both_sides(world, tmp_path):
    world.json("compare", "digits", "--baseline", "toy-ode", "--out", str(tmp_path / "out"))
    assert {path.name for path in tmp_path.glob("out/*/*")} == {"best.png", "run.json", "previews"}
    assert {path.name for path in tmp_path.glob("out/*")} == {"ar", "diffusion"}


def test_models_lists_what_is_ready_and_why_not(world, monkeypatch):
    def missing():
        raise WeightsMissing("taste.safetensors is not\nhere")

    monkeypatch.setitem(VERIFIERS, "taste", Entry("taste", missing))
    assert world.json("models")["verifiers"]["taste"]["ready"], "that it does not load is not known before"
    table = world.json("models", "--load")
    assert table["generators"]["toy"]["ready"] and table["verifiers"]["closeness"]["ready"]
    assert table["verifiers"]["taste"] == {
        "description": "taste", "ready": False, "reason": "taste.safetensors is not here"
    }  # fmt: skip
    assert table["strategies"]["greedy_tokens"]["not_for"] == {
        "toy-ode": unsupported("greedy_tokens", "toy-ode", ToyGenerator(branching=frozenset({0})).abilities)
    }  # fmt: skip
    assert table["strategies"]["random_search"]["not_for"] == {}
    code, out, _ = world.run("models", "--load")
    assert code == 0 and "taste: not ready: taste.safetensors is not here" in out


def test_an_observer_that_is_not_ready_is_named_and_left_out(world, monkeypatch):
    def missing():
        raise WeightsMissing("no weights")

    monkeypatch.setitem(VERIFIERS, "taste", Entry("taste", missing))
    code, out, err = world.run("search", "digits", "--json")
    assert code == 0 and "note: taste does not look on: no weights" in err
    assert json.loads(out)["best"]["scores"].keys() == {"closeness", "brightness"}
    assert world.json("search", "digits", "--observers", "none")["best"]["scores"].keys() == {"closeness"}


def test_a_dear_verifier_looks_on_only_when_it_is_named(world, monkeypatch):
    monkeypatch.setitem(VERIFIERS, "brightness", Entry("mean pixel", Brightness, dear=True))
    assert world.json("search", "digits")["best"]["scores"].keys() == {"closeness"}
    named = world.json("search", "digits", "--observers", "brightness")
    assert named["best"]["scores"].keys() == {"closeness", "brightness"}


def test_verifiers_of_the_embedded_world_are_not_shown_the_pictures_of_real_models(world, monkeypatch):
    """They read 128 px, and a search failed with that after its first passes had been paid for."""
    monkeypatch.setitem(GENERATORS, "large", Entry("toy", lambda: world.generator, needs=Needs(parameters=1.0)))
    monkeypatch.setitem(VERIFIERS, "native", Entry("mean pixel", Brightness, needs=Needs(assets=("tokenizer",))))
    sentence = world.refused("search", "digits", "--generator", "large", "--verifier", "native")
    assert sentence == "native of the embedded world cannot score what large makes: choose closeness, brightness"
    found = world.json("search", "digits", "--generator", "large")
    assert found["best"]["scores"].keys() == {"closeness", "brightness"}


class Telling(Closeness):
    """A verifier that says what it made its score of."""

    def answers(self, prompt, images):
        return [[(f"is it {prompt}?", 0.75), ("is it blue?", 0.25)] for _ in images]


def test_who_decides_shows_its_answers_about_the_best_image(world, monkeypatch):
    """Guide, member of an ensemble or judge; those that only look on say nothing."""
    monkeypatch.setitem(VERIFIERS, "closeness", Entry("tells", Telling))
    told = ["asked  is it digits? yes (closeness, 0.75)", "asked  is it blue? no (closeness, 0.25)"]
    asked = ("search", "digits", "--strategy", "random_search")
    for more in ((), ("--verifier", "rank:brightness+closeness"), ("--verifier", "brightness", "--judge", "closeness")):
        assert world.run(*asked, *more)[1].splitlines()[-2:] == told
    assert "asked" not in world.run(*asked, "--verifier", "brightness")[1]


def test_an_ensemble_guides_and_a_judge_chooses(world):
    result = world.json("search", "digits", "--verifier", "rank:closeness+brightness", "--seed", "1")
    assert result["best"]["scores"].keys() == {"rank:closeness+brightness", "closeness", "brightness"}
    assert result["best"]["score"] == result["best"]["scores"]["rank:closeness+brightness"]
    judged = world.json("search", "digits", "--strategy", "random_search", "--judge", "brightness", "--finalists", "16")
    plain = world.json("search", "digits", "--strategy", "random_search")
    assert judged["best"]["scores"]["brightness"] >= plain["best"]["scores"]["brightness"]
    assert judged["best"]["score"] <= plain["best"]["score"]
    pixels = np.asarray(Image.open(judged["best"]["image"]))
    assert Closeness().score("", pixels[None]) == [judged["best"]["score"]]


@pytest.mark.parametrize(("budget", "currency", "limit"), [("40nfe", "nfe", 40), ("7images", "images", 7)])
def test_a_budget_may_be_in_any_currency(world, budget, currency, limit):
    result = world.json("search", "digits", "--strategy", "random_search", "--budget", budget)
    assert limit - 4 < result["cost"][currency] <= limit
    assert RunStore().load(result["run"])[0].spec.params["n"] == {"nfe": 10, "images": 7}[currency]


def test_a_budget_of_seconds_is_sized_by_trying_the_models(world):
    result = world.json("search", "digits", "--strategy", "random_search", "--budget", "0.5s")
    assert result["best"] and RunStore().load(result["run"])[0].spec.budget_seconds == 0.5
    assert result["cost"]["seconds"] < 1


def test_a_dry_run_forecasts_and_runs_nothing(world):
    forecast = world.json("search", "digits", "--width", "2", "--dry-run")
    assert forecast["params"] == {"width": 2, "branch": 5, "look": "preview"} and forecast["cost"]["seconds"] > 0
    assert RunStore().list() == []
    result = world.json("search", "digits", "--width", "2")
    assert result["cost"]["flops"] <= forecast["cost"]["flops"]
    code, out, _ = world.run("search", "digits", "--width", "2", "--dry-run")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["run", "cost", "time"]


def test_a_memory_limit_is_kept_or_said(world, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_MEMORY", "")   # what the command sets is undone
    assert "give MiB, such as 8000" in world.refused("search", "digits", "--memory", "0")
    assert world.json("search", "digits", "--memory", "1")["cost"]["peak_bytes"] <= 2**20
    code, _, err = world.run("search", "digits", "--memory", "0.002")
    assert code == 1 and "out of memory" in err and "the memory limit of 0 MiB is reached" in err


def test_resume_goes_on_from_any_node_and_tells_the_regret(world):
    run = world.json("search", "digits", "--width", "2", "--branch", "4", "--seed", "3")
    tree = Tree.of(RunStore().load(run["run"]))
    lost = next(node for node in tree.nodes.values() if node.status == "pruned" and node.step == 2)
    child = world.json("resume", run["run"], str(lost.id), "--strategy", "random_search", "--budget", "300")
    regret = child["best"]["score"] - run["best"]["score"]
    assert child["resumed"] == {"run": run["run"], "node": lost.id, "regret": regret}
    assert (child["prompt"], child["seed"], child["verifier"]) == ("digits", lost.seed, "closeness")
    assert world.json("replay", child["run"]) == child
    code, out, _ = world.run("replay", child["run"])
    assert code == 0 and f"regret {regret:+.3f} from node {lost.id} of run {run['run']}" in out
    assert RunStore().meta(child["run"])["parent"] == run["run"]


@pytest.mark.parametrize(
    ("node", "args", "sentence"),
    [
        ("999", (), "has no node 999: its nodes are 0 to"), ("-1", (), "has no node -1"),
        ("one", (), "argument NODE: invalid int value: 'one'"),
        ("1", ("--strategy", "zero_order"), "zero_order begins with the bare prompt and cannot go on from a node"),
    ],
)  # fmt: skip
def test_what_cannot_be_resumed_is_refused(world, node, args, sentence):
    run = world.json("search", "digits", "--width", "1")["run"]
    code, out, err = world.run("resume", run, node, *args)
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1


def test_runs_are_listed_and_pinned(world):
    one, two = (world.json("search", "digits", "--width", "1", "--seed", seed)["run"] for seed in "12")
    rows = {row["run"]: row for row in world.json("runs", "--pin", one)["runs"]}
    assert rows.keys() == {one, two} and rows[one]["pinned"] and not rows[two]["pinned"] and rows[one]["bytes"] > 0
    code, out, _ = world.run("runs", "--unpin", one)
    assert code == 0 and "pinned" not in out and one in out
    assert "there is no run" in world.run("runs", "--pin", "20200101-nothing")[2]


def test_a_run_travels_as_one_file(world, tmp_path, monkeypatch):
    there = world.json("compare", "digits", "--generator", "toy", "--baseline", "toy", "--width", "2", "--branch", "2")
    told = world.json("export", there["ar"]["run"], str(tmp_path / "run.zip"))
    assert told["bytes"] == (tmp_path / "run.zip").stat().st_size
    monkeypatch.setenv("BEAMSCOPE_RUNS", str(tmp_path / "elsewhere"))
    here = world.json("import", str(tmp_path / "run.zip"))
    before, after = there["ar"], world.json("replay", here["runs"][0])
    assert {**after, "run": 0, "best": 0} == {**before, "run": 0, "best": 0} and len(here["runs"]) == 2


def test_a_file_that_is_no_run_is_refused(world, tmp_path):
    (tmp_path / "a.zip").write_text("no zip at all, and longer than the last record of one")
    assert "no run.zip" in world.refused("import", str(tmp_path / "a.zip"))
    assert "there is no run" in world.refused("export", "no-such-run", str(tmp_path / "b.zip"))
    assert not (tmp_path / "b.zip").exists()


def test_a_full_disk_is_told_and_exits_with_1(world, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = world.run("search", "digits")
    assert (code, out) == (1, "") and "Traceback" not in err and "BEAMSCOPE_RUNS" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ((" ",), "the prompt is empty: say what the picture should show"),
        (("digits", "--generator", "dall-e"), "unknown generator 'dall-e': choose one of toy, toy-ode, emoji-toy"),
        (("digits", "--strategy", "mcts"), "unknown strategy 'mcts': choose one of random_search, greedy_tokens, "
                                           "beam_search"),
        (("digits", "--verifier", "taste"), "unknown verifier 'taste': choose one of closeness, brightness"),
        (("digits", "--observers", "brightness,taste"), "unknown verifier 'taste'"),
        (("digits", "--width", "0"), "width 0 is impossible: it is a whole number from 1 to 64"),
        (("digits", "--branch", "1000"), "branch 1000 is impossible"),
        (("digits", "--width", "60", "--branch", "60"), "width 60 x branch 60 makes 3600 candidates a step"),
        (("digits", "--n", "4"), "beam_search takes no n: it takes width, branch, look"),
        (("digits", "--seed", "-1"), "seed -1 is impossible"),
        (("digits", "--seed", "99999999999999999999"), "seed 99999999999999999999 is impossible"),
        (("digits", "--look", "hindsight"), "look 'hindsight' is impossible: it is preview, rollout, or a scale"),
        (("digits", "--look", "9"), "look 9 is impossible: it is preview, rollout, or a scale from 1 to 4"),
        (("digits", "--budget", "0"), "a budget of '0' is impossible: write a positive number of GFLOP (250)"),
        (("digits", "--budget", "nan"), "a budget of 'nan' is impossible"),
        (("digits", "--budget", "10parsecs"), "a budget of '10parsecs' is impossible"),
        (("digits", "--budget", "3nfe"), "a budget of 3 NFE is too small for one image: the smallest for beam_search "
                                         "on toy is 4 NFE"),
        (("digits", "--judge", "taste"), "unknown verifier 'taste'"),
        (("digits", "--judge", "brightness", "--finalists", "99"), "99 finalists are impossible"),
        (("digits", "--verifier", "rank:closeness"), "ensemble 'rank:closeness' is impossible"),
        (("digits", "--verifier", "rank:closeness+taste"), "unknown verifier 'taste'"),
        (("digits", "--strategy", "adaptive_beam", "--stop", "soon"), "stop 'soon' is impossible: it is a number from "
                                                                      "-100 to 100, or off"),
        (("digits", "--strategy", "fk_steering", "--potential", "2"), "potential 2 is impossible: it is max, value or "
                                                                      "difference"),
        (("digits", "--budget", "1"), "a budget of 1 GFLOP is too small for one image: the smallest for beam_search on "
                                      "toy is 33.1 GFLOP"),
        (("digits", "--budget", "100", "--width", "9"),
         "beam_search with width 9, branch 1 costs 289.1 GFLOP, more than the budget of 100 GFLOP: the largest width "
         "that fits is 3"),
        (("digits", "--width", "many"), "width 'many' is impossible: it is a whole number from 1 to 64"),
        ((), "the following arguments are required: PROMPT"),
        (("digits", "--fast"), "unrecognized arguments: --fast"),
        (("xyzzy plugh", "--generator", "emoji-toy"), "the embedded world knows no word of 'xyzzy plugh'"),
        (("digits", "--out", "/dev/null/out"), "cannot write to /dev/null/out"),
    ],
)
def test_bad_input_is_refused_in_one_line(world, args, sentence):
    assert sentence in world.refused("search", *args)


def test_the_smallest_budget_that_is_advised_suffices(world):
    sentence = world.refused("search", "digits", "--budget", "1")
    smallest = sentence.split(" is ")[-1].split()[0]
    assert world.json("search", "digits", "--budget", smallest)["best"]


@pytest.mark.parametrize("strategy", ["greedy_tokens", "beam_search"])
def test_an_unsupported_strategy_is_refused_with_the_sentence_of_the_core(world, strategy):
    sentence = world.refused("search", "digits", "--generator", "toy-ode", "--strategy", strategy)
    assert sentence == unsupported(strategy, "toy-ode", ToyGenerator(branching=frozenset({0})).abilities)


@pytest.mark.parametrize("run", ["20200101-000000-00000000", "../../etc/passwd"])
def test_an_unknown_run_is_refused(world, run):
    assert f"there is no run {run!r}" in world.refused("replay", run)


def test_missing_weights_are_a_request_that_cannot_be_met(world, monkeypatch):
    def missing():
        raise WeightsMissing("toy.safetensors is not here: run the trainer")

    monkeypatch.setitem(GENERATORS, "toy", Entry("digits", missing))
    assert world.refused("search", "digits") == "toy.safetensors is not here: run the trainer"


def test_known_words_are_no_obstacle(world):
    assert world.json("search", "a red car and a zyzzyva", "--generator", "emoji-toy")["best"]


def test_ctrl_c_ends_with_130_and_keeps_the_run(world, monkeypatch):
    """The signal comes in the middle of a model call; that call finishes, the next is not made."""
    step, calls = world.generator.step, []

    def interrupted(states, seeds):
        calls.append(len(states))
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return step(states, seeds)

    monkeypatch.setattr(world.generator, "step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    code, out, err = world.run("search", "digits", "--strategy", "greedy_tokens", "--branch", "3", "--json")
    assert code == 130 and "Traceback" not in err and len(calls) == 6
    [info] = RunStore().list()
    assert info.status == "cancelled" and json.loads(out)["run"] == info.run
    assert json.loads(out)["best"] is not None
    assert signal.getsignal(signal.SIGINT) is before


def test_a_model_that_fails_exits_with_1_and_keeps_the_run(world, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(world.generator, "preview", broken)
    code, _, err = world.run("search", "digits")
    assert code == 1 and err.splitlines()[-1] == "error: RuntimeError: out of memory"
    assert [info.status for info in RunStore().list()] == ["failed"]


def test_help_loads_nothing_heavy():
    """--help must answer at once; torch and gradio take seconds to import."""
    script = (
        "import sys\nfrom core.cli import main\n"
        "try: main(['search', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'gradio', 'plotly', 'numpy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--width" in done.stdout and "beam_search: a whole number from 1 to 64 (3)" in " ".join(done.stdout.split())


def test_the_module_is_a_command():
    done = subprocess.run([sys.executable, "-m", "core.cli", "search", ""], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the prompt is empty: say what the picture should show\n"


def test_a_model_is_loaded_once_a_process(monkeypatch):
    load = lazy("tests.toy:Brightness")
    assert load() is load() is not lazy("tests.toy:Brightness")()
