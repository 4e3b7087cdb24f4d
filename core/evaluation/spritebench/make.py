"""Make the prompts of SpriteBench: python -m core.evaluation.spritebench.make

Scenes are drawn tag by tag and written out in words by the world's own captions, complete but for the background.
About an eighth of a tag's prompts is of each kind that no training has seen (core/world/holdouts.py), where the tag
can show it. Tags take turns in the files, so that the first K prompts are of all tags. Writes dev.jsonl and
test.jsonl to assets/spritebench; the same vocabulary, hold-outs and captions give the same files.
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core.evaluation.spritebench.rows import FOLDER, Row, write_rows
from core.world.captions import MAX_WORDS, describe, parse, words
from core.world.holdouts import FAMILY, held_out
from core.world.scene import MAX_THINGS, Group, Scene, total, try_place
from core.world.vocabulary import BACKGROUNDS, COLOURS, KINDS, PATTERNS, RELATIONS, SIZE_NAMES

PER_TAG = {"dev": 25, "test": 100}
HELD_OUT = 0.12  # share of a tag's prompts for each kind of hold-out that the tag can show
TEMPLATES = (None, None, None, FAMILY)  # None: any that training knows
COLOURED = [kind for kind in KINDS if kind.recolourable]
DIRECTIONS = [relation for relation in RELATIONS if relation != "next"]


def _nouns(rng: random.Random, count: int, kinds=KINDS) -> list[str]:
    return [kind.noun for kind in rng.sample(kinds, count)]


def _coloured(rng: random.Random, count: int) -> list[Group]:
    """Groups of as many colours."""
    colours = rng.sample(list(COLOURS), count)
    return [Group(noun, colour=c) for noun, c in zip(_nouns(rng, count, COLOURED), colours, strict=True)]


def single_object(rng: random.Random) -> Scene:
    return Scene((Group(*_nouns(rng, 1)),))


def two_object(rng: random.Random) -> Scene:
    return Scene(tuple(map(Group, _nouns(rng, 2))))


def counting(rng: random.Random) -> Scene:
    return Scene((Group(*_nouns(rng, 1), rng.randint(2, 4)),))


def colors(rng: random.Random) -> Scene:
    return Scene(tuple(_coloured(rng, 1)))


def position(rng: random.Random) -> Scene:
    return replace(two_object(rng), relations=((0, rng.choice(DIRECTIONS), 1),))


def color_attr(rng: random.Random) -> Scene:
    return Scene(tuple(_coloured(rng, 2)))


def color(rng: random.Random) -> Scene:
    """Three objects, two of them coloured at least."""
    groups = _coloured(rng, rng.choice((2, 3)))
    plain = [noun for noun in _nouns(rng, 4) if noun not in {group.noun for group in groups}]
    groups += [Group(noun) for noun in plain[: 3 - len(groups)]]
    return Scene(tuple(rng.sample(groups, len(groups))))


def size(rng: random.Random) -> Scene:
    """One object or two, of which one or both have a size."""
    groups = [Group(noun, size=rng.choice(SIZE_NAMES)) for noun in _nouns(rng, rng.choice((1, 2)))]
    if len(groups) == 2 and (groups[0].size == groups[1].size or rng.random() < 0.5):
        groups[1] = replace(groups[1], size=None)
    return Scene(tuple(rng.sample(groups, len(groups))))


def texture(rng: random.Random) -> Scene:
    """One or two patterned objects, sometimes coloured."""
    patterns = rng.sample(PATTERNS[1:], rng.choice((1, 2)))
    groups = [replace(group, pattern=pattern)
              for group, pattern in zip(_coloured(rng, len(patterns)), patterns, strict=True)]  # fmt: skip
    return Scene(tuple(group if rng.random() < 0.4 else replace(group, colour=None) for group in groups))


def spatial(rng: random.Random) -> Scene:
    return replace(two_object(rng), relations=((0, rng.choice(RELATIONS), 1),))


def numeracy(rng: random.Random) -> Scene:
    """One to three classes, one to five of each, several of one at least."""
    while True:
        scene = Scene(tuple(Group(noun, rng.randint(1, 5)) for noun in _nouns(rng, rng.choice((1, 2, 3)))))
        if len(scene.groups) < total(scene) <= MAX_THINGS:
            return scene


def complex_(rng: random.Random) -> Scene:
    """Three or four objects with attributes and relations, or two with two attributes and a relation."""
    count = rng.choice((2, 3, 3, 4))
    groups = _coloured(rng, 2) + [Group(noun) for noun in _nouns(rng, count - 2)]
    if len({group.noun for group in groups}) < count:
        return complex_(rng)
    if rng.random() < 0.4:
        groups[0] = replace(groups[0], pattern=rng.choice(PATTERNS[1:]))
    if count == 3 and rng.random() < 0.3:
        groups[2] = replace(groups[2], count=2)
    order = rng.sample(groups, count)
    chain = ((0, 1), (count - 2, count - 1))  # of three one after another, of four two apart
    pairs = ((0, 1),) if count == 2 else rng.choice(((), chain[:1], chain))
    return Scene(tuple(order), tuple((a, rng.choice(RELATIONS), b) for a, b in pairs))


TAGS: dict[str, Callable[[random.Random], Scene]] = {
    "single_object": single_object, "two_object": two_object, "counting": counting, "colors": colors,
    "position": position, "color_attr": color_attr,  # the names of GenEval
    "color": color, "size": size, "texture": texture, "spatial": spatial, "numeracy": numeracy,
    "complex": complex_,  # the names of T2I-CompBench
}  # fmt: skip
GENEVAL = tuple(TAGS)[:6]


def drawn(rng: random.Random, tag: str) -> tuple[str, Scene, str]:
    """(prompt, scene, split) of a tag: something that the world can draw, in words that it can read."""
    while True:
        scene, template = TAGS[tag](rng), rng.choice(TEMPLATES)
        on_something = replace(scene, background=rng.choice(list(BACKGROUNDS)))
        drawable = try_place(random.Random(0), on_something, 1000)  # with chance of its own: prompts outlive layouts
        if template == FAMILY and held_out(scene) or drawable is None:
            continue
        prompt = describe(on_something, rng, complete=1.0, template=template)
        if template == FAMILY and not {"that", "with"} & set(prompt.split()):
            continue  # nothing to say that way
        if len(words(prompt)) < MAX_WORDS and not parse(prompt).background:
            return prompt, scene, held_out(scene, template) or "iid"


def make(split: str, taken: set[str]) -> list[Row]:
    """The rows of a split, tags taking turns; prompts in `taken` are left out, and those made are added to it."""
    by_tag = [_of_tag(split, tag, taken) for tag in TAGS]
    return [row for turn in zip(*by_tag, strict=True) for row in turn]


def _of_tag(split: str, tag: str, taken: set[str]) -> list[Row]:
    rng, count = random.Random(f"spritebench {split} {tag}"), PER_TAG[split]
    most = round(HELD_OUT * count)
    kinds: dict[str, list[tuple[str, Scene]]] = {}
    for _ in range(60 * count):  # enough to meet every kind that there is
        prompt, scene, kind = drawn(rng, tag)
        found = kinds.setdefault(kind, [])
        if prompt not in taken and len(found) < (count if kind == "iid" else most):
            found.append((prompt, scene))
            taken.add(prompt)
    rare = [(*found, kind) for kind in sorted(kinds) if kind != "iid" for found in kinds[kind]]
    chosen = rare + [(*found, "iid") for found in kinds["iid"][: count - len(rare)]]
    assert len(chosen) == count, f"{tag} has only {len(chosen)} different prompts: ask for fewer"
    rng.shuffle(chosen)
    suite = "geneval" if tag in GENEVAL else "compbench"
    return [Row(f"{split}-{tag}-{number:03}", tag, prompt, scene, suite, kind)
            for number, (prompt, scene, kind) in enumerate(chosen)]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    out, taken = parser.parse_args().out, set()
    for split in PER_TAG:
        write_rows(make(split, taken), out / f"{split}.jsonl")


if __name__ == "__main__":
    main()
