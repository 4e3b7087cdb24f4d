"""The questions that a prompt poses about a picture, one an atom, and their answers for a scene that we drew.

A question is asked of what the prompt says (`captions.parse`), never of a scene behind it. All are answered yes by a
scene that shows the prompt. What is asked of a thing that is not there is answered no.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from core.world.corruptions import Wish, read
from core.world.scene import Group, Scene, groups_hold
from core.world.vocabulary import KIND_BY_NOUN, NUMBERS

# What is asked, and of which words. `ORDER` is part of the trained models: append, never reorder.
ASKED = (
    "object",  # (noun,)
    "count",  # (noun, number or "some")
    "colour", "pattern", "size",  # (noun, look)
    "relation",  # (noun, left/right/above/below/next, noun)
    "background",  # (background,)
    "else",  # (noun, ...) all that may be there
)  # fmt: skip
LOOKS = ("colour", "pattern", "size")
MAX_ASKED = 20  # questions of one prompt: what the fullest caption of this world poses
MAX_NOUNS = 6  # words of one question
_PLACES = {"left": "left of", "right": "right of", "next": "next to"}


@dataclass(frozen=True)
class Question:
    """One yes/no question: what kind, about which words of the world; `text` is how it reads."""

    kind: str
    words: tuple[str, ...]
    text: str = field(default="", compare=False)


@lru_cache(maxsize=1024)
def questions(prompt: str) -> tuple[Question, ...]:
    """What `prompt` says as questions: objects and counts, looks, then relations, background, and nothing else.

    At most MAX_ASKED, of which a longer prompt loses looks and objects from its end. None at all where the prompt
    names neither an object nor a background.
    """
    wish = read(prompt)
    scene = wish.scene
    last = [_of_relation(scene, relation) for relation in scene.relations]
    if scene.background:
        last.append(Question("background", (scene.background,), f"is the background {scene.background}?"))
    if scene.groups:
        nouns = tuple(dict.fromkeys(group.noun for group in scene.groups))
        last.append(Question("else", nouns[:MAX_NOUNS], "is there nothing else?"))
    last = list(dict.fromkeys(last))[-MAX_ASKED:]
    first = dict.fromkeys(question for group in scene.groups for question in _of_group(wish, group))
    return (*list(first)[: MAX_ASKED - len(last)], *last)


def _of_group(wish: Wish, group: Group) -> list[Question]:
    """Groups of one noun are counted together: a red car and a blue car are two cars."""
    noun, plural = group.noun, KIND_BY_NOUN[group.noun].plural
    count = sum(other.count for other in wish.scene.groups if other.noun == noun)
    if count == 1:
        seen = Question("object", (noun,), f"is there {'an' if noun[0] in 'aeiou' else 'a'} {noun}?")
    else:
        seen = Question("object", (noun,), f"are there {plural}?")
    looks = [
        Question(key, (noun, look), f"{_subject(group)} {look}?") for key in LOOKS if (look := getattr(group, key))
    ]
    return [seen, _count(noun, count, wish.vague), *looks]


def _count(noun: str, count: int, vague: bool) -> Question:
    plural = KIND_BY_NOUN[noun].plural
    if count == 2 and vague:
        return Question("count", (noun, "some"), f"are there two {plural} or more?")
    number = NUMBERS[min(count, len(NUMBERS)) - 1]  # a scene holds six things at most
    if count == 1:
        return Question("count", (noun, number), f"is there exactly one {noun}?")
    return Question("count", (noun, number), f"are there exactly {count} {plural}?")


def _subject(group: Group) -> str:
    return f"is the {group.noun}" if group.count == 1 else f"are the {KIND_BY_NOUN[group.noun].plural}"


def _of_relation(scene: Scene, relation: tuple[int, str, int]) -> Question:
    first, name, second = scene.groups[relation[0]], relation[1], scene.groups[relation[2]]
    other = second.noun if second.count == 1 else KIND_BY_NOUN[second.noun].plural
    text = f"{_subject(first)} {_PLACES.get(name, name)} the {other}?"
    return Question("relation", (first.noun, name, second.noun), text)


def answer(question: Question, scene: Scene, margin: float = 1.0) -> bool:
    """The answer by construction, from the things of a placed scene; `margin` as in scene.holds.

    All things of the noun must look as asked: one blue car among red ones, and the cars are not red.
    """
    kind, said = question.kind, question.words
    if kind == "background":
        return scene.background == said[0]
    if kind == "else":
        return all(thing.noun in said for thing in scene.things)
    found = [thing for thing in scene.things if thing.noun == said[0]]
    if kind == "count":
        return len(found) >= 2 if said[1] == "some" else len(found) == NUMBERS.index(said[1]) + 1
    if kind == "relation":
        others = [thing for thing in scene.things if thing.noun == said[2]]
        return bool(found and others) and groups_hold(said[1], found, others, margin)
    key = {"size": "size_name"}.get(kind, kind)
    return bool(found) and (kind == "object" or all(getattr(thing, key) == said[1] for thing in found))
