"""Images for the field's own benchmarks: read from their files, laid out as their scorers look for them, resumable.

The prompts are our own, in the formats of the files.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import cli
from core.evaluation.field import run
from core.evaluation.field.benchmarks import BENCHMARKS, benchmark
from core.generators.registry import GENERATORS
from core.registry import Entry
from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.verifiers.registry import VERIFIERS
from tests.toy import Closeness, ToyGenerator

FILES = {
    "geneval": "\n".join(json.dumps(row) for row in (
        {"tag": "single_object", "include": [{"class": "kite", "count": 1}], "prompt": "a photo of a kite"},
        {"tag": "counting", "include": [{"class": "spoon", "count": 3}], "exclude": [{"class": "spoon", "count": 4}],
         "prompt": "a photo of three spoons"},
        {"tag": "position", "prompt": "a photo of a sheep above a clock", "include": [
            {"class": "clock", "count": 1}, {"class": "sheep", "count": 1, "position": ["above", 0]}]},
    )),
    "compbench": "a teal lamp and a pink stool\na brown shoe and a white kettle.\tnot read\n",
    "drawbench": 'Prompts,Category\n"Two lamps, one of them lit.",Counting\nA plaid whale.,Colors\n',
    "parti": "Prompt\tCategory\tChallenge\tNote\nan otter\tAnimals\tBasic\t\na sad robot\tArtifacts\tImagination\tx\n",
}  # fmt: skip
PROMPTS = {"geneval": ["a photo of a kite", "a photo of three spoons", "a photo of a sheep above a clock"],
           "compbench": ["a teal lamp and a pink stool", "a brown shoe and a white kettle."],
           "drawbench": ["Two lamps, one of them lit.", "A plaid whale."], "parti": ["an otter", "a sad robot"]}
SPEC = RunSpec("", "toy", "random_search", {"n": 3}, "closeness")


def read(name, text, folder):
    path = folder / "prompts.file"
    path.write_text(text, encoding="utf-8")
    return benchmark(name).read(path)


class World:
    def __init__(self, folder):
        self.folder, self.out, self.generator, self.told, self.noted = folder, folder / "out", ToyGenerator(250), [], []

    def bench(self, name="geneval", spec=SPEC, seeds=2, limit=None):
        items = read(name, FILES[name], self.folder)[:limit]
        self.told, self.noted = [], []
        return run.bench(items, benchmark(name), spec, seeds, self.out, self.told.append, self.noted.append)

    def images(self):
        return {str(path.relative_to(self.out)): path.read_bytes() for path in sorted(self.out.rglob("*.png"))}


@pytest.fixture
def world(monkeypatch, tmp_path):
    world = World(tmp_path)
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    monkeypatch.setitem(GENERATORS, "toy", Entry("digits", lambda: world.generator))
    monkeypatch.setitem(VERIFIERS, "closeness", Entry("distance from the optimum", Closeness))
    return world


# Files


@pytest.mark.parametrize("name", BENCHMARKS)
def test_prompts_are_those_of_the_file_in_its_order(name, tmp_path):
    for text in (FILES[name], "\ufeff" + FILES[name].replace("\n", "\r\n") + "\r\n\r\n"):
        assert [item.prompt for item in read(name, text, tmp_path)] == PROMPTS[name]


def test_what_a_file_says_of_a_prompt_is_kept(tmp_path):
    assert read("parti", FILES["parti"], tmp_path)[1].row == {
        "prompt": "a sad robot", "category": "Artifacts", "challenge": "Imagination", "note": "x",
    }  # fmt: skip
    assert [item.row for item in read("geneval", FILES["geneval"], tmp_path)] == [
        json.loads(line) for line in FILES["geneval"].splitlines()]  # fmt: skip


@pytest.mark.parametrize("name, text, said", [
    ("geneval", FILES["compbench"], "line 1: Expecting value.*evaluation_metadata.jsonl"),
    ("geneval", '{"tag": "colors", "prompt": "a kite"}', "line 1 lacks 'include'"),
    ("geneval", FILES["geneval"] + '\n{"tag": "a", "prompt": "b", "include": [{"class": "kite"}]}', "line 4 lacks 'co"),
    ("geneval", '{"tag": "colors", "prompt": "a kite", "include": "kite"}', "line 1: "),
    ("geneval", '{"tag": "colors", "prompt": " ", "include": [{"class": "a", "count": 1}]}', "empty prompt"),
    ("geneval", "", "no prompts"),
    ("compbench", FILES["geneval"], "line 1 is JSON"),
    ("compbench", "a kite\na black/white kite", "line 2 has a slash"),
    ("compbench", "a kite " * 50, "too long for the name of a file"),
    ("drawbench", FILES["parti"], "no column Prompts, but prompt.*CSV"),
    ("drawbench", FILES["drawbench"] + "a kite\n", "line 4 has 1 columns instead of 2"),
    ("parti", FILES["drawbench"], "no column Prompt, but prompts,category"),
    ("parti", "Prompt\na kite", "no column Category and Challenge"),
    ("parti", "", "no column Prompt, but nothing"),
])  # fmt: skip
def test_a_wrong_file_is_named_with_what_is_wrong(name, text, said, tmp_path):
    with pytest.raises(BadRequest, match=f"(?s){tmp_path}.*{said}"):
        read(name, text, tmp_path)


def test_files_that_cannot_be_read_and_benchmarks_that_there_are_not(tmp_path):
    with pytest.raises(BadRequest, match="cannot read the prompts in .*none.jsonl"):
        benchmark("geneval").read(tmp_path / "none.jsonl")
    (tmp_path / "picture").write_bytes(bytes(range(128, 255)))
    with pytest.raises(BadRequest, match="is no file of GenEval"):
        benchmark("geneval").read(tmp_path / "picture")
    with pytest.raises(BadRequest, match="unknown benchmark 'dpg': choose one of geneval, compbench"):
        benchmark("dpg")


# Images


def geneval_scorer(folder: Path) -> list[tuple[str, str]]:
    """(prompt, image) as evaluate_images.py finds them."""
    found = []
    for sub in sorted(folder.iterdir()):
        if sub.is_dir() and sub.name.isdigit():
            row = json.loads((sub / "metadata.jsonl").read_text())
            names = sorted(path.name for path in (sub / "samples").iterdir())
            found += [(row["prompt"], f"{sub.name}/{name}") for name in names if re.match(r"\d+\.png", name)]
    return found


@pytest.mark.parametrize("name", ["geneval", "drawbench", "parti"])
def test_geneval_s_scorer_finds_every_image_and_its_row(world, name):
    world.bench(name)
    assert geneval_scorer(world.out) == [
        (prompt, f"{number:05}/{seed:04}.png") for number, prompt in enumerate(PROMPTS[name]) for seed in (0, 1)]
    lines = FILES["geneval"].splitlines()
    if name == "geneval":
        assert json.loads((world.out / "00002" / "metadata.jsonl").read_text()) == json.loads(lines[2])


def test_compbench_s_scorers_find_every_image_in_the_order_of_the_prompts(world):
    """They read the prompt before the first underscore and the number after the last, and sort by that."""
    world.bench("compbench")
    names = [path.name for path in (world.out / "samples").iterdir()]
    names.sort(key=lambda name: int(name.split("_")[-1].split(".")[0]))
    assert [name.split("_")[0] for name in names] == [p for p in PROMPTS["compbench"] for _ in range(2)]
    assert [int(name[-10:-4]) for name in names] == [0, 1, 2, 3]


def test_the_image_is_the_one_that_the_search_returns(world):
    """The toy's pixels spell its score."""
    world.bench()
    for line in (world.out / run.LOG).read_text().splitlines():
        row = json.loads(line)
        with Image.open(world.out / row["file"]) as image:
            [score] = Closeness().score("", [np.asarray(image)])
        assert row["scores"]["closeness"] == pytest.approx(score)
        assert row["cost"]["nfe"] == 3 * 4 and row["params"]["n"] == 3
    assert len(set(world.images().values())) == 2, "the toy reads no prompt, only seeds"


def test_a_run_that_was_broken_off_goes_on(world):
    whole = World(world.folder)
    whole.out, whole.generator = world.folder / "whole", world.generator
    whole.bench()

    def interrupted(progress):
        if progress.done == 4:
            raise KeyboardInterrupt

    items = read("geneval", FILES["geneval"], world.folder)
    with pytest.raises(KeyboardInterrupt):
        run.bench(items, BENCHMARKS["geneval"], SPEC, 2, world.out, interrupted)
    with (world.out / run.LOG).open("a") as log:
        log.write('{"number": 2, "se')   # cut short
    (world.out / "00000/samples/0001.png").unlink()
    found = world.bench()
    assert [progress.done for progress in world.told] == [4, 5, 6] and found["images"] == 6
    assert world.images() == whole.images()
    world.bench()
    assert world.told == [], "nothing was left to do"


def test_more_prompts_and_seeds_add_to_what_is_there(world):
    world.bench(seeds=1, limit=1)
    first = world.images()
    world.bench(seeds=2)
    assert len(world.told) == 5 and world.images().items() >= first.items()


def test_images_of_another_setting_or_of_other_prompts_are_not_mixed(world, monkeypatch):
    world.bench("compbench")
    before = world.images()
    with pytest.raises(BadRequest, match="of another setting .*choose another --out"):
        world.bench("compbench", replace(SPEC, params={"n": 4}))
    with pytest.raises(BadRequest, match="of another seeds"):   # they are numbered through
        world.bench("compbench", seeds=3)
    with pytest.raises(BadRequest, match="of another benchmark"):
        world.bench("geneval")
    monkeypatch.setitem(FILES, "compbench", "a red lamp\na brown shoe and a white kettle.\n")
    with pytest.raises(BadRequest, match="other prompts .number 0 was 'a teal lamp and a pink stool'"):
        world.bench("compbench")
    assert world.images() == before


def test_what_fails_leaves_a_black_image_and_is_tried_again(world):
    """A scorer counts what it finds: an image that is not there would make the rate better than it is."""
    step = world.generator.step

    def failing(states, seeds):
        if len(states[0]) == 3 and len(geneval_scorer(world.out)) in (2, 3):   # of the second prompt
            raise OSError("no room")
        return step(states, seeds)

    world.generator.step = failing
    found = world.bench()
    assert (found["images"], found["failed"]) == (6, 2) and "no room" in str(found["errors"])
    assert world.told[-1].failed == 2 and "2 failed" in str(world.told[-1])
    assert len(geneval_scorer(world.out)) == 6
    with Image.open(world.out / "00001/samples/0000.png") as image:
        assert not np.asarray(image).any() and image.size == (4, 2), "as large as the others"
    world.generator.step = step
    again = world.bench()
    assert len(world.told) == 2 and again["failed"] == 0


def test_a_setting_that_cannot_run_is_refused(world):
    with pytest.raises(BadRequest, match="unknown strategy"):
        world.bench(spec=replace(SPEC, strategy="guessing", params={}))
    with pytest.raises(BadRequest, match="least is 1"):
        world.bench(seeds=0)
    assert not world.images()


def test_what_is_not_as_published_is_noted(world):
    world.bench()
    assert world.noted == ["3 prompts; GenEval has 553", "2 images a prompt; GenEval is scored with 4"]
    assert run.notes(553, 4, BENCHMARKS["geneval"]) == run.notes(7, 4, BENCHMARKS["parti"]) == []


def test_the_command(world, capsys):
    path = world.folder / "metadata.jsonl"
    path.write_text(FILES["geneval"])
    arguments = ["bench", "images", "--benchmark", "geneval", "--prompts", str(path), "--generator", "toy",
                 "--verifier", "closeness", "--budget", "60", "--out", str(world.out), "--seeds", "2"]  # fmt: skip
    assert cli.main([*arguments, "--limit", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["prompts"], found["images"], found["failed"]) == (2, 4, 0) and found["scores"]["closeness"] <= 0
    assert "4/4 100%" in err and "note: 2 prompts; GenEval has 553" in err
    assert cli.main(arguments) == 0
    assert f"6 images of 3 prompts x 2 seeds in {world.out}" in capsys.readouterr().out
    for wrong, said in ((["--limit", "0"], "least is 1"), (["--workers", "2"], "one process"),
                        (["--benchmark", "dpg"], "unknown benchmark")):  # fmt: skip
        assert cli.main([*arguments, *wrong]) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
    assert cli.main(["bench", "images", "--benchmark", "geneval"]) == 2
    assert "wants --prompts" in capsys.readouterr().err


def test_the_embedded_generator_draws_what_it_knows_and_is_wrong_on_the_rest(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path / "cache"))
    items = read("compbench", "a red car and a blue hat\nquantum jurisprudence\n", tmp_path)
    spec = RunSpec("", "emoji-ar", "random_search", {"n": 1}, "image_reward")
    found = run.bench(items, BENCHMARKS["compbench"], spec, 1, tmp_path / "out", lambda progress: None)
    assert (found["images"], found["failed"]) == (2, 1) and "knows no word" in str(found["errors"])
    drawn, black = sorted((tmp_path / "out/samples").iterdir(), key=lambda path: path.name[-10:])
    with Image.open(drawn) as image, Image.open(black) as none:
        assert image.size == none.size == (128, 128)
        assert np.asarray(image).std() > 5 and not np.asarray(none).any()
