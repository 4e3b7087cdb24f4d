"""The command line and the store on the trained models, in real processes where it is about signals and exit codes."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from core import cli, running
from core.generators.registry import GENERATORS, load_generator
from core.models import weights
from core.registry import Entry, lazy
from core.request import prepare
from core.search.errors import WeightsMissing
from core.search.events import RunSpec, Scored
from core.search.search import Search
from core.search.tree import Tree
from core.store.runs import RunStore
from core.verifiers.registry import VERIFIERS, load_verifier

ROOT = Path(__file__).parents[1]
PROMPT = "a red car to the left of a green apple"
COMMAND = (sys.executable, "-m", "core.cli")
SMALL = ("--width", "1", "--branch", "2", "--observers", "none")
LONG = ("search", PROMPT, "--strategy", "greedy_tokens", "--branch", "16", "--observers", "none", "--seed", "5")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The run store of this file's runs."""
    return tmp_path_factory.mktemp("acceptance") / "runs"


@pytest.fixture
def call(home, monkeypatch, capsys):
    """The command line in this process, where models stay loaded: (exit code, stdout, stderr)."""
    monkeypatch.setenv("BEAMSCOPE_RUNS", str(home))

    def run(*args):
        code = cli.main(list(args))
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def found(call):
    """The object that a command prints."""

    def run(*args):
        code, out, err = call(*args, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def process(home, *args):
    """The command line in a process of its own."""
    return subprocess.Popen(
        [*COMMAND, *args], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"BEAMSCOPE_RUNS": str(home)},
    )  # fmt: skip


def ended(done):
    out, err = done.communicate(timeout=60)
    return done.returncode, out, err


def log_of(store, run):
    """The lines of a log without their times."""
    lines = (store.folder(run) / "events.jsonl").read_bytes().rpartition(b"\n")[0].splitlines()
    return [untimed(json.loads(line)) for line in lines]


def untimed(data):
    if isinstance(data, dict):
        return {key: untimed(value) for key, value in data.items() if key != "seconds"}
    return [untimed(value) for value in data] if isinstance(data, list) else data


# Runs


@pytest.fixture(scope="module")
def default(home):
    """The default search, live: what was printed and the tree that grew."""
    done = {}

    class Watched(Search):
        def run(self):
            done["search"] = self
            return super().run()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEAMSCOPE_RUNS", str(home))
        patch.setattr(running, "Search", Watched)
        patch.setattr(cli, "_print_json", lambda data: done.update(result=json.loads(json.dumps(data))))
        assert cli.main(["search", PROMPT, "--seed", "7", "--json"]) == 0
    return SimpleNamespace(result=done["result"], tree=done["search"].tree)


def test_the_object_has_the_promised_keys_and_types(default):
    result = default.result
    types = {"run": str, "prompt": str, "strategy": str, "verifier": str, "seed": int, "best": dict, "cost": dict,
             "resumed": type(None), "nodes": int, "pruned": int, "scales": int, "notes": list}
    assert {key: type(value) for key, value in result.items()} == types
    assert {"node": int, "score": float, "scores": dict, "image": str} == {
        key: type(value) for key, value in result["best"].items()
    }  # fmt: skip
    assert set(result["best"]["scores"]) == {name for name, entry in VERIFIERS.items() if not entry.dear}
    costs = {key: type(result["cost"][key]) for key in ("nfe", "tokens", "flops", "decodes", "verifier_calls")}
    assert costs == {"nfe": int, "tokens": int, "flops": float, "decodes": int, "verifier_calls": int}
    assert type(result["cost"]["seconds"]) is float
    assert (result["prompt"], result["seed"], result["nodes"], result["pruned"]) == (PROMPT, 7, 91, 72)


def test_the_best_image_has_the_best_score(default):
    """The stored picture, scored afresh by every verifier, gets the scores that were printed."""
    best = default.result["best"]
    pixels = np.asarray(Image.open(best["image"]))[None]
    assert pixels.shape == (1, 128, 128, 3) and pixels.std() > 5
    for name, score in best["scores"].items():
        assert load_verifier(name).score(PROMPT, pixels) == pytest.approx([score], abs=1e-4 * max(1, abs(score)))


def test_the_default_search_is_quick_and_streams(default, home):
    """Fifteen seconds at most, the first candidates within 1.5, and at least one event for every scale between."""
    events = RunStore(home).load(default.result["run"])
    assert events[-1].seconds < 15
    first = next(event.seconds for event in events if event.kind == "expanded" and event.step == 1)
    assert first < 1.5
    scored = [event.seconds for event in events if isinstance(event, Scored)]
    assert len(scored) == 6 and scored == sorted(scored) and scored[0] < events[-1].seconds / 2


def test_the_tree_of_the_log_is_the_tree_that_grew(default, home):
    assert Tree.of(RunStore(home).load(default.result["run"])) == default.tree


def test_replay_prints_what_the_search_printed(default, found):
    assert found("replay", default.result["run"]) == default.result


@pytest.mark.parametrize(
    "args",
    [("--width", "2", "--branch", "2", "--look", "3"),
     ("--generator", "emoji-flow", "--strategy", "random_search", "--n", "1")],
)  # fmt: skip
def test_one_seed_one_log_another_seed_another(args, found, home):
    runs = [found("search", PROMPT, *args, "--observers", "none", "--seed", seed)["run"] for seed in ("3", "3", "4")]
    one, again, other = (log_of(RunStore(home), run) for run in runs)
    assert one == again
    assert len(one) == len(other) and one != other
    assert [event.get("scores") for event in one] != [event.get("scores") for event in other]


@pytest.mark.parametrize(
    "generator, strategy",
    [("emoji-ar", SMALL[:4]), ("emoji-flow", ("--strategy", "random_search", "--n", "2")),
     ("emoji-flow-sde", ("--strategy", "random_search", "--n", "1"))],
)  # fmt: skip
def test_a_frozen_node_thaws_to_its_picture(generator, strategy, found, home):
    """Early, middle and finished nodes: the stored state alone gives the stored picture, to the rounding of a JPEG."""
    run = found("search", PROMPT, "--generator", generator, *strategy, "--observers", "none")["run"]
    store, model = RunStore(home), load_generator(generator)
    tree = Tree.of(store.load(run))
    shown = [node for node in tree.nodes.values() if node.has_preview or node.has_final]
    for node in (shown[0], shown[len(shown) // 2], shown[-1], tree.best()):
        [image] = model.preview([model.thaw(PROMPT, base64.b64decode(node.state))])
        stored = store.image(run, node.id, "final" if node.has_final else "preview")
        assert np.abs(decoded(stored) - decoded(jpeg(image))).mean() < 0.5, f"node {node.id}"
    lossless = np.asarray(Image.open(store.best_image(run, tree.best().id))).astype(int)
    assert np.abs(lossless - image.astype(int)).max() <= 2


def decoded(data):
    return np.asarray(Image.open(BytesIO(data))).astype(int)


def jpeg(image):
    data = BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=90, subsampling=0)
    return data.getvalue()


@pytest.mark.parametrize(
    "generator, strategy, params",
    [
        ("emoji-ar", "beam_search", {"width": 2, "branch": 2, "look": "preview"}),
        ("emoji-ar", "beam_search", {"width": 2, "branch": 2, "look": "rollout"}),
        ("emoji-ar", "beam_search", {"width": 2, "branch": 2, "look": 3}),
        ("emoji-ar", "greedy_tokens", {"branch": 3}),
        ("emoji-ar", "random_search", {"n": 9}),
        ("emoji-flow", "random_search", {"n": 2}),
    ],
)  # fmt: skip
def test_the_estimate_is_the_cost(generator, strategy, params):
    """In every currency but seconds, and nothing is left of a budget of just that much."""
    ready = prepare(RunSpec(PROMPT, generator, strategy, params, "image_reward", ("aesthetic",), 1))
    search = Search(ready.generator, ready.verifiers, replace(ready.spec, budget_flops=ready.cost.flops))
    end = list(search.run())[-1]
    assert (end.kind, end.reason) == ("finished", "done")
    assert replace(search.tree.spent, seconds=0.0, peak_bytes=0) == ready.cost


EVERY = [
    ("emoji-ar", "adaptive_beam", {"width": 2, "branch": 2}),
    ("emoji-ar", "diverse_beam", {"width": 2, "branch": 2}),
    ("emoji-ar", "resampling_search", {"particles": 2, "widen": 2}),
    ("emoji-ar", "backtracking_search", {"branch": 2, "visits": 3}),
    ("emoji-flow", "zero_order", {"neighbours": 1, "rounds": 2}),
    ("emoji-flow", "search_over_paths", {"paths": 1, "branch": 1}),
    ("emoji-flow-sde", "fk_steering", {"particles": 2}),
    ("emoji-ar-flow", "ar_then_flow", {"width": 1, "branch": 2, "draws": 1}),
]


@pytest.mark.parametrize("generator, strategy, params", EVERY)
def test_every_strategy_searches_with_the_trained_models(generator, strategy, params, found):
    given = [text for name, value in params.items() for text in (f"--{name}", str(value))]
    request = ("search", PROMPT, "--generator", generator, "--strategy", strategy, *given, "--seed", "1",
               "--observers", "none")
    result, forecast = found(*request), found(*request, "--dry-run")
    assert result["best"]["score"] > -1 and forecast["params"].items() >= params.items()
    assert 0.9 * result["cost"]["flops"] <= forecast["cost"]["flops"] and forecast["cost"]["seconds"] > 0


def test_a_pruned_node_goes_on_and_tells_its_regret(found, home):
    """A beam from a node that lost, by the same guide: its children are real, and the difference is told."""
    run = found("search", PROMPT, *SMALL, "--seed", "3")
    store = RunStore(home)
    tree = Tree.of(store.load(run["run"]))
    lost = next(node for node in tree.nodes.values() if node.status == "pruned" and node.step == 2)
    child = found("resume", run["run"], str(lost.id), *SMALL)
    grown = Tree.of(store.load(child["run"]))
    assert child["resumed"]["run"] == run["run"] and child["resumed"]["node"] == lost.id
    assert child["resumed"]["regret"] == pytest.approx(child["best"]["score"] - run["best"]["score"])
    assert grown.nodes[0].state == lost.state and {node.step for node in grown.nodes.values()} == {2, 3, 4, 5, 6}
    assert found("replay", child["run"])["resumed"] == child["resumed"]


def test_compare_matches_the_compute_of_the_trained_models(found):
    result = found("compare", "a red car", *SMALL, "--seed", "2")
    assert set(result) == {"prompt", "verifier", "seed", "ar", "diffusion"}
    search, baseline = result["ar"]["cost"]["flops"], result["diffusion"]["cost"]["flops"]
    images = result["diffusion"]["nodes"] // result["diffusion"]["scales"]
    assert 0 <= search - baseline < baseline / images   # not one more image would fit


def test_our_own_models_are_all_ready(found, monkeypatch, tmp_path):
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    table = found("models", "--load")
    assert set(table) == {"generators", "verifiers", "strategies"}
    for name, row in (table["generators"] | table["verifiers"]).items():
        own = not (GENERATORS | VERIFIERS)[name].foreign
        assert row["ready"] == own and (row["reason"] is None) == own
    assert "emoji-flow" in table["strategies"]["beam_search"]["not_for"]
    assert "emoji-ar" not in table["strategies"]["beam_search"]["not_for"]


# Refusals, each in a process of its own

REFUSED = {
    "no prompt": (("search",), "PROMPT"),
    "empty prompt": (("search", "  "), "the prompt is empty"),
    "generator": (("search", PROMPT, "--generator", "dall-e"), "choose one of emoji-ar"),
    "strategy": (("search", PROMPT, "--strategy", "mcts"), "choose one of random_search"),
    "verifier": (("search", PROMPT, "--verifier", "taste"), "choose one of image_reward"),
    "look": (("search", PROMPT, "--look", "hindsight"), "preview, rollout, or a scale"),
    "look that is no digit": (("search", PROMPT, "--look", "²"), "preview, rollout, or a scale"),
    "width 0": (("search", PROMPT, "--width", "0"), "from 1 to 64"),
    "width 999": (("search", PROMPT, "--width", "999"), "from 1 to 64"),
    "branch -1": (("search", PROMPT, "--branch", "-1"), "from 1 to 64"),
    "seed -1": (("search", PROMPT, "--seed", "-1"), "from 0 to"),
    "seed text": (("search", PROMPT, "--seed", "lucky"), "invalid int value: 'lucky'"),
    "budget nan": (("search", PROMPT, "--budget", "nan"), "a budget of 'nan' is impossible"),
    "budget inf": (("search", PROMPT, "--budget", "inf"), "a budget of 'inf' is impossible"),
    "budget -5": (("search", PROMPT, "--budget", "-5"), "a budget of '-5' is impossible"),
    "no known word": (("search", "xyzzy plugh"), "knows no word of 'xyzzy plugh'"),
    "only control characters": (("search", "\x07\x1b[2J\r"), r"knows no word of '\x07\x1b[2J\r'"),
    "unwritable out": (("search", PROMPT, "--out", "/dev/null/x"), "cannot write to /dev/null/x"),
    "diffusion has no beam": (("search", PROMPT, "--generator", "emoji-flow"), "use random_search"),
    "unknown run": (("replay", "20200101-000000-00000000"), "there is no run"),
    "path in place of a run": (("replay", "../../etc"), "there is no run '../../etc'"),
    "no command": ((), "COMMAND"),
}


@pytest.mark.parametrize("args, sentence", REFUSED.values(), ids=REFUSED)
def test_a_request_that_cannot_be_met_is_refused_in_one_line(args, sentence, home):
    code, out, err = ended(process(home, *args))
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and sentence in err and err.count("\n") == 1
    assert err.removesuffix("\n").isprintable() and len(err) < 600


@pytest.mark.parametrize(
    "args, sentence",
    [(("--budget", "0.001"), "is too small for one image: the smallest for beam_search on emoji-ar is "),
     (("--budget", "20", "--width", "9"), "more than the budget of 20 GFLOP: the largest width that fits is 1"),
     (("--look", "9"), "a scale from 1 to 6")],
)  # fmt: skip
def test_what_only_the_model_can_refuse(args, sentence, call, home):
    before = len(RunStore(home).list())
    code, out, err = call("search", PROMPT, *args)
    assert (code, out) == (2, "") and sentence in err and err.count("\n") == 1
    assert len(RunStore(home).list()) == before


def test_the_smallest_budget_that_is_named_is_enough_and_is_the_smallest(call, found):
    smallest = call("search", PROMPT, "--budget", "0.001")[2].split(" is ")[-1].split()[0]
    result = found("search", PROMPT, "--budget", smallest, "--observers", "none")
    assert result["cost"]["flops"] <= float(smallest) * 1e9 and result["best"]
    assert call("search", PROMPT, "--budget", str(float(smallest) * 0.999))[0] == 2


def test_a_very_long_prompt_and_control_characters_are_only_words(call, found):
    for prompt in ("a red car " * 1000, "a red\ncar\x07\x1b[2J"):
        result = found("search", prompt, *SMALL)
        assert result["prompt"] == prompt and result["best"]
        code, out, err = call("replay", result["run"])
        assert code == 0 and "\x1b" not in out + err
    code, out, err = call("search", "zyzzyva " * 1250)
    assert (code, out, err.count("\n")) == (2, "", 1) and len(err) < 600


def test_missing_weights_are_told_in_one_line(call, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    monkeypatch.setitem(GENERATORS, "emoji-ar", Entry("moved away", lazy("core.generators.emoji_ar:load")))
    code, out, err = call("search", PROMPT, "--observers", "none")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path}/next_scale.safetensors is missing") and err.count("\n") == 1
    assert "python -m core.training.next_scale" in err


@pytest.mark.parametrize("home_of_runs", ["/dev/null/runs", __file__])
def test_a_store_that_cannot_be_made_is_told_in_one_line(home_of_runs, call, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_RUNS", home_of_runs)
    code, out, err = call("search", PROMPT, *SMALL)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "cannot keep runs in" in err and "BEAMSCOPE_RUNS" in err


def test_out_holds_the_result_and_a_blocked_one_is_told_in_one_line(found, call, tmp_path):
    result = found("search", PROMPT, *SMALL, "--out", str(tmp_path / "out"))
    assert result["best"]["image"] == str(tmp_path / "out" / "best.png")
    assert Image.open(tmp_path / "out" / "best.png").size == (128, 128)
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "previews").touch()
    code, out, err = call("search", PROMPT, *SMALL, "--out", str(tmp_path / "blocked"))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (code, out, len(errors)) == (1, "", 1) and "Traceback" not in err and "previews" in errors[0]


def test_a_damaged_log_is_told_in_one_line(found, call, home):
    run = found("search", PROMPT, *SMALL)["run"]
    log = RunStore(home).folder(run) / "events.jsonl"
    log.write_bytes(b"{" + log.read_bytes())
    code, out, err = call("replay", run)
    assert (code, out, err.count("\n")) == (2, "", 1) and f"the log of run {run} is damaged" in err


# Ends that nobody planned


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory):
    """Two equal searches in processes of their own, one interrupted and one killed in the middle."""
    folder = tmp_path_factory.mktemp("cut")
    ends = {}
    running = {how: process(folder / how.name, *LONG, "--json") for how in (signal.SIGINT, signal.SIGKILL)}
    for how, one in running.items():
        _wait_for_events(one, folder / how.name, 8)
        one.send_signal(how)
        ends[how] = (RunStore(folder / how.name), *ended(one))
    return ends


def _wait_for_events(one, folder, count):
    until = time.monotonic() + 60
    while sum(log.read_bytes().count(b"\n") for log in folder.glob("*/events.jsonl")) < count:
        assert one.poll() is None and time.monotonic() < until, "it ended before it was to be cut short"
        time.sleep(0.005)


def test_ctrl_c_ends_with_130_and_the_run_is_kept(cut_short, call, monkeypatch):
    store, code, out, err = cut_short[signal.SIGINT]
    assert code == 130 and "Traceback" not in err
    [info] = store.list()
    assert info.status == "cancelled" and json.loads(out)["run"] == info.run
    assert store.load(info.run)[-1].kind == "cancelled"
    monkeypatch.setenv("BEAMSCOPE_RUNS", str(store.root))
    code, replayed, _ = call("replay", info.run, "--json")
    assert code == 0 and replayed == out


def test_a_killed_run_keeps_every_finished_step(cut_short, call, monkeypatch):
    """All that the dead process had announced on its progress bar is in the log."""
    store, code, out, err = cut_short[signal.SIGKILL]
    assert (code, out) == (-signal.SIGKILL, "")
    [info] = store.list()
    tree = Tree.of(store.load(info.run))
    announced = float(err.splitlines()[-1].split("%")[1].split()[0])   # GFLOP
    assert 0 < announced <= round(tree.spent.flops / 1e9, 1)
    assert info.status == "interrupted" and tree.end is None
    assert all(store.image(info.run, node.id, "final") for node in tree.nodes.values() if node.has_final)
    monkeypatch.setenv("BEAMSCOPE_RUNS", str(store.root))
    code, replayed, _ = call("replay", info.run)
    assert code == 0 and "state  interrupted" in replayed
    assert "16 candidates, 1 kept, 15 pruned" in replayed and f"{len(tree.nodes)} nodes" in replayed


def test_runs_cut_short_are_the_beginning_of_one_another(cut_short):
    """Two processes, one command: what both got to do is the same, event for event."""
    logs = [log_of(store, store.list()[0].run) for store, *_ in cut_short.values()]
    interrupted, killed = logs[0][:-1], logs[1]   # the last event of the first says that it was cancelled
    common = min(map(len, (interrupted, killed)))
    assert common >= 8 and interrupted[:common] == killed[:common]


def test_a_reader_that_leaves_early_causes_no_complaint(default, home):
    one = process(home, "replay", default.result["run"])
    one.stdout.close()
    assert one.stderr.read() == "" and one.wait() == 1


def test_help_is_instant_and_imports_no_model():
    script = ("import sys\nfrom core.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
              "sys.exit(bool({'torch', 'gradio', 'numpy'} & set(sys.modules)))")
    times = []
    for _ in range(3):   # the machine may be busy once
        began = time.perf_counter()
        assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True).returncode == 0
        times.append(time.perf_counter() - began)
    assert min(times) < 1


def test_words_that_are_not_read_are_named_on_stderr(call):
    """`a red zeppelin` used to search for something red and say nothing."""
    code, _, stderr = call("search", "a red zeppelin", "--strategy", "random_search", "--n", "1")
    assert code == 0 and "note: does not know zeppelin" in stderr


def test_damaged_weights_are_told_in_one_sentence(tmp_path, monkeypatch):
    for suffix in (".safetensors", ".json"):
        whole = (weights.FOLDER / f"flow{suffix}").read_bytes()
        (tmp_path / f"flow{suffix}").write_bytes(whole if suffix == ".json" else whole[:-1])
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(WeightsMissing, match="damaged.*python -m core.training.flow"):
        weights.weights_file("flow")
