"""Words of the emoji world: scene -> caption, prompt -> known words, prompt -> scene, and what it does not know.

Models read `words(prompt)`: known words in order, plurals made singular, synonyms and articles resolved, filler gone.
"""

import difflib
import random
import re
from dataclasses import dataclass

from core.world.scene import MAX_THINGS, Group, Scene
from core.world.vocabulary import (
    BACKGROUNDS,
    COLOUR_SYNONYMS,
    COLOURS,
    KIND_BY_NOUN,
    KINDS,
    NUMBER_SYNONYMS,
    NUMBERS,
    OPPOSITE,
    RELATIONS,
)

PHRASES = {
    "left": ("to the left of", "on the left of", "left of"),
    "right": ("to the right of", "on the right of", "right of"),
    "above": ("on top of", "above", "over", "atop"),
    "below": ("underneath", "beneath", "below", "under"),
}
SOME = {"some", "several", "few", "many"}
FILLER = frozenset((
    "the", "of", "is", "are", "there", "in", "with", "to", "at", "its", "it", "that", "this", "which", "here", "placed",
    "picture", "photo", "image", "drawing", "emoji", "scene", "showing", "show", "shows", "draw", "render", "3d",
    "we", "see", "you", "can", "please",
))  # fmt: skip
# The models' token table. Append, never reorder.
VOCABULARY = (
    "<pad>", "<end>", *NUMBERS, "some", *COLOURS, *RELATIONS, "and", "on", "background",
    *(name for name in BACKGROUNDS if name not in COLOURS), *(kind.noun for kind in KINDS),
)  # fmt: skip
INDEX = {word: index for index, word in enumerate(VOCABULARY)}
MAX_WORDS = 24  # longer prompts are cut; `check` says so


def _surface() -> dict[str, str]:
    """Every single word people may type -> the canonical word."""
    table = {word: word for word in (*NUMBERS, *COLOURS, *BACKGROUNDS, "and", "on", "background")}
    table |= NUMBER_SYNONYMS | COLOUR_SYNONYMS | dict.fromkeys(SOME, "some") | {"gray": "grey", "&": "and"}
    for kind in KINDS:
        for name in (kind.noun, kind.plural, *kind.synonyms, *(f"{synonym}s" for synonym in kind.synonyms)):
            table[name] = kind.noun
    return table | {"puppies": "dog", "kitties": "cat"}


SURFACE = _surface()
_RELATION = re.compile(
    "|".join(rf"(?P<{name}>\b(?:{'|'.join(phrases)})\b)" for name, phrases in PHRASES.items()), re.IGNORECASE
)
_WORD = re.compile(r"<(\w+)>|[\w&][\w&'-]*")


def _tokens(prompt: str) -> list[tuple[str, str | None]]:
    """Words as typed, each with its canonical word, '' for filler, None where the world does not know it."""
    marked = _RELATION.sub(lambda match: f" <{match.lastgroup}> ", prompt.replace("<", " ").replace(">", " "))
    found = []
    for match in _WORD.finditer(marked.lower()):
        word = match.group(1) or match.group(0).removesuffix("'s")
        known = word if match.group(1) else SURFACE.get(word)
        if found and found[-1][0] in ("a", "an") and (word in FILLER or known in (*NUMBERS, "some")):
            found[-1] = (found[-1][0], "")  # "a picture of two cats", "a pair of cats": the article counts nothing
        found.append((word, "" if word in FILLER and not match.group(1) else known))
    return found


def words(prompt: str) -> list[str]:
    """The known words of `prompt`, canonical and in order, at most MAX_WORDS."""
    return [word for _, word in _tokens(prompt) if word][:MAX_WORDS]


def encode(prompt: str) -> list[int]:
    """Token indices of `prompt`, ended by <end>."""
    return [*(INDEX[word] for word in words(prompt)), INDEX["<end>"]]


@dataclass(frozen=True)
class PromptCheck:
    """What the world makes of a prompt: words it knows, words it does not (with the nearest known), and remarks."""

    known: tuple[str, ...]
    unknown: tuple[tuple[str, str | None], ...]
    notes: tuple[str, ...]
    has_object: bool


def check(prompt: str) -> PromptCheck:
    """Say which words of `prompt` the emoji world knows."""
    tokens = _tokens(prompt)
    readable = {"left": "left of", "right": "right of"}
    unsaid = ("a", "an", "and", "on")
    known = dict.fromkeys(readable.get(word, word) for typed, word in tokens if word and typed not in unsaid)
    unknown = dict.fromkeys(typed for typed, word in tokens if word is None)
    has_object = any(word in KIND_BY_NOUN for _, word in tokens if word)
    pairs = tuple((word, _nearest(word)) for word in unknown)
    return PromptCheck(tuple(known), pairs, tuple(_notes(prompt, tokens)), has_object)


def _nearest(word: str) -> str | None:
    if word.isdigit() or word in ("five", "six", "seven", "eight", "nine", "ten"):
        return NUMBERS[-1]
    close = difflib.get_close_matches(word, SURFACE, n=1, cutoff=0.75)
    return SURFACE[close[0]] if close else None


def _notes(prompt: str, tokens: list) -> list[str]:
    scene, notes = parse(prompt), []
    if not scene.groups:
        notes.append(f"no object of this world is named; try one of: {', '.join(kind.noun for kind in KINDS)}")
    if sum(group.count for group in scene.groups) > MAX_THINGS:
        notes.append(f"this world was trained on up to {MAX_THINGS} objects in a picture")
    for group in scene.groups:
        if group.colour and not KIND_BY_NOUN[group.noun].recolourable:
            notes.append(f"a {group.noun} comes in one colour only")
    if sum(1 for _, word in tokens if word) > MAX_WORDS:
        notes.append(f"only the first {MAX_WORDS} known words are read")
    return notes


def parse(prompt: str) -> Scene:
    """Read a prompt as an unplaced scene: groups, the relation of the first to the second, background or ''."""
    groups, relation, background = [], None, ""
    count, colour, after_on = 1, None, False
    for word in words(prompt):
        if word in NUMBERS:
            count = NUMBERS.index(word) + 1
        elif word == "some":
            count = 2
        elif word in KIND_BY_NOUN:
            groups.append(Group(word, count, colour))
            count, colour = 1, None
        elif word in BACKGROUNDS and after_on:
            background = word
        elif word in COLOURS or word in BACKGROUNDS:
            colour = word
        elif word == "background":
            background, colour = colour or background, None
        elif word in RELATIONS and len(groups) == 1:
            relation = word
        after_on = word == "on" or (after_on and word == "one")
    return Scene(tuple(groups), relation if len(groups) > 1 else None, background)


OPENINGS = ("", "", "", "a picture of ", "an emoji scene with ", "there is ", "a drawing of ", "an image showing ")
BACKDROPS = ("on a {} background", "with a {} background", "on {}", "on the {} background")


def describe(scene: Scene, rng: random.Random, complete: float = 0.6) -> str:
    """Write a caption for `scene`; with probability 1 - complete some attributes are left unsaid."""
    partial = rng.random() > complete
    groups, relation = list(scene.groups), scene.relation
    if len(groups) > 1 and rng.random() < 0.5:  # both orders of every relation
        groups = [groups[1], groups[0], *groups[2:]]
        relation = OPPOSITE[relation] if relation else None
    phrases = [_phrase(group, rng, partial) for group in groups]
    text = phrases[0]
    if relation and not (partial and rng.random() < 0.2):
        text += f" {rng.choice(PHRASES[relation])} {phrases[1]}"
    elif len(phrases) > 1:
        text += f" and {phrases[1]}"
    text += "".join(f" and {phrase}" for phrase in phrases[2:])
    if rng.random() < 0.2:
        text += " " + rng.choice(BACKDROPS).format(scene.background)
    return rng.choice(OPENINGS) + text


def _phrase(group: Group, rng: random.Random, partial: bool) -> str:
    kind = KIND_BY_NOUN[group.noun]
    colour = group.colour and not (partial and rng.random() < 0.4) and f"{group.colour} "
    number = NUMBERS[group.count - 1] if rng.random() < 0.8 else str(group.count)
    if group.count == 1 and rng.random() < 0.8:
        number = "an" if (colour or kind.noun)[0] in "aeiou" else "a"
    elif group.count > 1 and partial and rng.random() < 0.15:
        number = "some"
    return f"{number} {colour or ''}{kind.noun if group.count == 1 else kind.plural}"


def full_prompt(scene: Scene) -> str:
    """The plain complete prompt of a scene without its background: 'a red car to the left of two apples'."""
    phrases = [_plain(group) for group in scene.groups]
    joint = f" {PHRASES[scene.relation][0]} " if scene.relation else " and "
    return joint.join(phrases)


def _plain(group: Group) -> str:
    colour = f"{group.colour} " if group.colour else ""
    article = "an" if (colour or group.noun)[0] in "aeiou" else "a"
    if group.count == 1:
        return f"{article} {colour}{group.noun}"
    return f"{NUMBERS[group.count - 1]} {colour}{KIND_BY_NOUN[group.noun].plural}"
