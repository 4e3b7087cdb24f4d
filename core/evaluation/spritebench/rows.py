"""The rows of SpriteBench: a prompt, and the scene that it asks for as the only truth about it. One JSON object a line.

    {"id", "suite", "tag", "prompt", "atoms": [...], "split",
     "scene": {"objects": [{"id", "class", "count", "color"?, "pattern"?, "size"?}], "relations": [[a, rel, b]],
               "background"?}}

Whatever a scene leaves open may be anything. `atoms` only tells people what will be asked; it follows from the scene.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.evaluation.oracle.check import atom_names
from core.search.errors import BadRequest
from core.world.scene import Group, Scene
from core.world.vocabulary import BACKGROUNDS, COLOURS, KIND_BY_NOUN, PATTERNS, RELATIONS, SIZE_NAMES

FOLDER = Path(__file__).resolve().parents[3] / "assets" / "spritebench"
SPLITS = ("dev", "test")
WORDS = {"color": ("colour", COLOURS), "pattern": ("pattern", PATTERNS), "size": ("size", SIZE_NAMES)}


@dataclass(frozen=True)
class Row:
    id: str
    tag: str
    prompt: str
    scene: Scene  # not placed
    suite: str = ""  # the benchmark that the tag's name is from
    split: str = "iid"  # or how it was held out of all training

    def to_json(self) -> dict:
        return {
            "id": self.id, "suite": self.suite, "tag": self.tag, "prompt": self.prompt,
            "scene": _scene_to_json(self.scene), "atoms": atom_names(self.scene), "split": self.split,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict) -> Row:
        """Raises ValueError or KeyError on what no scene of the world can be."""
        optional = {name: data[name] for name in ("suite", "split") if name in data}
        return cls(str(data["id"]), data["tag"], data["prompt"], _scene_from_json(data["scene"]), **optional)


def _scene_to_json(scene: Scene) -> dict:
    objects = []
    for number, group in enumerate(scene.groups):
        said = {key: getattr(group, name) for key, (name, _) in WORDS.items() if getattr(group, name)}
        objects.append({"id": number, "class": group.noun, "count": group.count} | said)
    background = {"background": scene.background} if scene.background else {}
    return {"objects": objects, "relations": [list(relation) for relation in scene.relations]} | background


def _scene_from_json(data: dict) -> Scene:
    order = {thing.get("id", number): number for number, thing in enumerate(data["objects"])}
    groups = tuple(_group(thing) for thing in data["objects"])
    if not groups or len({group.noun for group in groups}) < len(groups):
        raise ValueError("a scene has one object or more, each of another class")
    relations = tuple((order[a], _known(relation, RELATIONS), order[b]) for a, relation, b in data.get("relations", ()))
    background = data.get("background", "")
    return Scene(groups, relations, background and _known(background, BACKGROUNDS))


def _group(thing: dict) -> Group:
    said = {name: thing[key] and _known(thing[key], words) for key, (name, words) in WORDS.items() if key in thing}
    if thing["count"] < 1:
        raise ValueError(f"a count of {thing['count']} cannot be drawn: the least is 1")
    return Group(_known(thing["class"], KIND_BY_NOUN), thing["count"], **said)


def _known(word: str, words: Iterable[str]) -> str:
    if word not in words:
        raise ValueError(f"the world has no {word!r}: choose one of {', '.join(words)}")
    return word


def read_rows(path: Path) -> list[Row]:
    """The rows of a file. Raises BadRequest that names the line."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BadRequest(f"cannot read the prompts in {path}: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(Row.from_json(json.loads(line)))
        except KeyError as error:
            raise BadRequest(f"{path} line {number} lacks {error}: see core/evaluation/spritebench/rows.py") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise BadRequest(f"{path} line {number} is no row of SpriteBench: {error}") from error
    if not rows or len({row.id for row in rows}) < len(rows):
        raise BadRequest(f"{path} has no rows, or two of one id: give every prompt an id of its own")
    return rows


def write_rows(rows: list[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
