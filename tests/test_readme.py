"""What the README says is there, is there."""

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest

from core.arguments import parser
from core.cli import COMMANDS
from core.reference import markdown, reference
from core.search.strategies.beam_search import beam_search
from core.world.vocabulary import BACKGROUNDS, COLOURS, KINDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
LINKS = re.findall(r"\]\(([^)\s]+)\)", README)


def test_every_model_and_strategy_is_introduced():
    """The tables are the registries' own."""
    assert markdown(reference(load=False)) in README


def test_the_two_commands_are_given():
    commands = [line for _, block in BLOCKS for line in block.splitlines()]
    assert "pip install -r requirements.txt && python app.py" in commands
    assert "pip install -r tests/requirements.txt && pytest" in commands


@pytest.mark.parametrize("link", [link for link in LINKS if not re.match(r"https?://|#", link)])
def test_what_is_linked_exists(link):
    assert (ROOT / link.partition("#")[0]).exists()


def test_there_is_a_screenshot():
    assert "assets/pictures/screenshot.png" in LINKS


def test_every_path_that_is_named_exists():
    paths = re.findall(r"(?<![\w/.-])(?:core|demo|assets|tests|app\.py)(?:/[\w/.]*\w)?(?![\w-])", README)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_command_line_of_ours_is_understood():
    lines = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("python -m core.cli ")]
    asked = {parser().parse_args(shlex.split(line.replace(" NODE", " 1"))[3:]).command for line in lines}
    assert asked == set(COMMANDS)


def test_the_world_is_counted_right():
    words = " ".join(README.split())
    assert f"{len(KINDS)} objects, {len(COLOURS)} colours" in words
    assert len(BACKGROUNDS) == 6 and "six backgrounds" in words


def test_the_strategy_that_is_shown_whole_is_the_real_one():
    [shown] = [ast.parse(block).body[0] for language, block in BLOCKS if language == "python"]
    real = ast.parse(inspect.getsource(beam_search)).body[0]
    assert [ast.dump(line) for line in shown.body[1:]] == [ast.dump(line) for line in real.body[1:]]
    assert [arg.arg for arg in shown.args.args] == [arg.arg for arg in real.args.args]
    assert ast.dump(ast.Tuple(shown.args.defaults)) == ast.dump(ast.Tuple(real.args.defaults))


def test_nothing_is_left_to_be_filled_in():
    assert not re.findall(r"^[A-Z]{4,}$|TODO|TBD", README, re.MULTILINE)
