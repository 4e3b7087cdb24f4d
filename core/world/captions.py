"""Words of the emoji world: scene -> caption, prompt -> known words, prompt -> scene, and what it does not know.

Models read `words(prompt)`: known words in order, plurals made singular, synonyms and articles resolved, filler gone.
"""

import difflib
import random
import re
from dataclasses import dataclass, replace

from core.world.holdouts import FAMILY
from core.world.scene import MAX_GROUPS, MAX_THINGS, SIZES, Group, Relation, Scene, big, total
from core.world.vocabulary import (
    BACKGROUNDS,
    COLOUR_SYNONYMS,
    COLOURS,
    KIND_BY_NOUN,
    KINDS,
    NUMBER_SYNONYMS,
    NUMBERS,
    OPPOSITE,
    PATTERN_SYNONYMS,
    PATTERNS,
    RELATIONS,
    SIZE_NAMES,
    SIZE_SYNONYMS,
)

PHRASES = {
    "left": ("to the left of", "on the left of", "left of"),
    "right": ("to the right of", "on the right of", "right of"),
    "above": ("on top of", "above", "over", "atop"),
    "below": ("underneath", "beneath", "below", "under"),
    "next": ("next to", "beside", "close to"),
}
TYPED = {  # what people type besides, also without a second object: "a cat on the left and a dog on the right"
    "left": ("to its left", "on its left", "to the left", "on the left"),
    "right": ("to its right", "on its right", "to the right", "on the right"),
    "next": ("near", "alongside", "adjacent to", "nearby", "by the side of"),
}
SOME = {"some", "several", "few", "many"}
FILLER = frozenset((
    "the", "of", "is", "are", "there", "in", "with", "to", "at", "its", "it", "that", "this", "which", "here", "placed",
    "picture", "photo", "image", "drawing", "emoji", "scene", "showing", "show", "shows", "draw", "render", "3d",
    "we", "see", "you", "can", "please", "me", "them", "they", "polka", "light", "bright", "pale", "coloured",
))  # fmt: skip
# The models' token table. Append, never reorder.
VOCABULARY = (
    "<pad>", "<end>", *NUMBERS, "some", *COLOURS, *PATTERNS, *SIZE_NAMES, *RELATIONS, "and", "on", "background",
    *(name for name in BACKGROUNDS if name not in COLOURS), *(kind.noun for kind in KINDS),
)  # fmt: skip
INDEX = {word: index for index, word in enumerate(VOCABULARY)}
MAX_WORDS = 32  # longer prompts are cut; `check` says so


def _surface() -> dict[str, str]:
    """Every single word people may type -> the canonical word."""
    own = (*NUMBERS, *COLOURS, *PATTERNS, *SIZE_NAMES, *BACKGROUNDS, "and", "on", "background")
    table = {word: word for word in own} | NUMBER_SYNONYMS | COLOUR_SYNONYMS | PATTERN_SYNONYMS | SIZE_SYNONYMS
    table |= dict.fromkeys(SOME, "some") | {"gray": "grey", "&": "and"}
    for kind in KINDS:
        for name in (kind.noun, kind.plural, *kind.synonyms, *(f"{synonym}s" for synonym in kind.synonyms)):
            table[name] = kind.noun
    irregular = {"puppies": "dog", "kitties": "cat", "bunnies": "rabbit", "berries": "strawberry", "fishes": "fish"}
    return table | irregular


SURFACE = _surface()
_RELATION = re.compile(
    "|".join(rf"(?P<{name}>\b(?:{'|'.join(PHRASES[name] + TYPED.get(name, ()))})\b)" for name in PHRASES), re.IGNORECASE
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


# --- what a prompt says ------------------------------------------------------------------------------------------


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
    readable = {"left": "left of", "right": "right of", "next": "next to"}
    unsaid = ("a", "an", "and", "on")
    known = dict.fromkeys(readable.get(word, word) for typed, word in tokens if word and typed not in unsaid)
    unknown = dict.fromkeys(typed for typed, word in tokens if word is None)
    has_object = any(word in KIND_BY_NOUN for _, word in tokens if word)
    pairs = tuple((word, _nearest(word)) for word in unknown)
    return PromptCheck(tuple(known), pairs, tuple(_notes(prompt, tokens)), has_object)


def _nearest(word: str) -> str | None:
    if word.isdigit() or word in ("seven", "eight", "nine", "ten", "dozen"):
        return NUMBERS[-1]
    close = difflib.get_close_matches(word, SURFACE, n=1, cutoff=0.75)
    return SURFACE[close[0]] if close else None


def _notes(prompt: str, tokens: list) -> list[str]:
    scene, notes = parse(prompt), []
    if not scene.groups:
        notes.append(f"no object of this world is named; try one of: {', '.join(kind.noun for kind in KINDS)}")
    if total(scene) > MAX_THINGS:
        notes.append(f"this world was trained on up to {MAX_THINGS} objects in a picture")
    elif any(group.size not in SIZES[total(scene)] for group in scene.groups):
        notes.append("sizes were trained with up to 3 objects in a picture")
    if big(scene) > 1:
        notes.append("this world was trained on one big object in a picture")
    if len(scene.groups) > MAX_GROUPS:
        notes.append(f"this world was trained on up to {MAX_GROUPS} kinds of object in a picture")
    for group in scene.groups:
        if (group.colour or group.pattern) and not KIND_BY_NOUN[group.noun].recolourable:
            notes.append(f"a {group.noun} comes in one colour only")
    if sum(1 for _, word in tokens if word) > MAX_WORDS:
        notes.append(f"only the first {MAX_WORDS} known words are read")
    return notes


def parse(prompt: str) -> Scene:
    """Read a prompt as an unplaced scene: groups, relations between neighbouring groups, background or ''."""
    reader = _Reader()
    for word in words(prompt):
        reader.take(word)
    reader.settle()
    return Scene(tuple(reader.groups), tuple(reader.relations), reader.background)


class _Reader:
    """Words one by one into groups. Attributes go to the next object, or to the last one where a phrase ends."""

    def __init__(self):
        self.groups: list[Group] = []
        self.relations: list[Relation] = []
        self.background = ""
        self.look: dict = {}  # said of an object that is still to come
        self.relation: str | None = None  # waits for its second object
        self.inverted: str | None = None  # "left of a tree is a car": waits for both
        self.on = False  # after "on": a colour may be the background's
        self.backdrop = False  # after "background": a colour is

    def take(self, word: str) -> None:
        if word in KIND_BY_NOUN:
            self._object(word)
        elif word in NUMBERS or word == "some":
            self._attributes()
            self.look["count"] = 2 if word == "some" else NUMBERS.index(word) + 1
            return  # "on a blue background": still on
        elif word in PATTERNS:
            self.look["pattern"] = word
        elif word in SIZE_NAMES:
            self.look["size"] = word
        elif word == "background":
            self.background = self.look.get("colour") or self.background
            self.backdrop, self.look, self.on = "colour" not in self.look, {}, False
        elif word in RELATIONS:
            self.settle()
            self.relation, self.inverted = (word, None) if self.groups else (None, word)
        elif word in COLOURS or word in BACKGROUNDS:
            self._colour(word)
            return
        else:  # and, on
            self.settle()
            self.on = word == "on"
            return
        self.on = False

    def _colour(self, word: str) -> None:
        if self.backdrop and word in BACKGROUNDS:
            self.background, self.backdrop = word, False
        else:
            self.look["colour"] = word

    def _object(self, noun: str) -> None:
        self.groups.append(Group(noun, **self.look))
        self.look, self.backdrop, number = {}, False, len(self.groups) - 1
        if self.relation:
            self.relations.append((number - 1, self.relation, number))
            self.relation = None
        elif self.inverted and number == 1:
            self.relations.append((1, self.inverted, 0))

    def _attributes(self) -> None:
        """Attributes that no object followed belong to the last one, or to the background: "cats on blue"."""
        if self.on and self.look.get("colour") in BACKGROUNDS:
            self.background = self.look["colour"]
        elif self.groups and self.look:
            last = self.groups[-1]
            said = {key: value for key, value in self.look.items() if key != "count" and not getattr(last, key)}
            self.groups[-1] = replace(last, **said)
        self.look = {}

    def settle(self) -> None:
        """A phrase ends: "a tree with a car to its left"."""
        self._attributes()
        if self.relation and len(self.groups) > 1:
            self.relations.append((len(self.groups) - 1, self.relation, len(self.groups) - 2))
        self.relation, self.on = None, False


# --- captions ----------------------------------------------------------------------------------------------------

OPENINGS = {  # templates that only put words before the plain caption
    "plain": ("",),
    "picture": ("a picture of ", "a photo of "),
    "scene": ("an emoji scene with ", "a scene showing "),
    "drawing": ("a drawing of ", "an image showing "),
    "request": ("draw ", "show me ", "please draw ", "render "),
    "there": ("there is ", "here is "),
}
TEMPLATES = {
    "plain": 30, "picture": 6, "scene": 5, "drawing": 5, "request": 6, "there": 5, "list": 8, "with": 6,
    "backdrop first": 6, "sentences": 6, "inverted": 8, "sides": 6,
}  # fmt: skip
BACKDROPS = ("on a {} background", "with a {} background", "on {}", "on the {} background")
Links = list[tuple[int, str | None]]  # groups of one phrase, each with its relation to the next; None ends it


def describe(scene: Scene, rng: random.Random, complete: float = 0.6, template: str | None = None) -> str:
    """Write a caption for `scene`; with probability 1 - complete some attributes are left unsaid.

    `template` names one of TEMPLATES or the held-out family, which is never drawn by chance.
    """
    partial = rng.random() > complete
    template = template or _sample_template(rng, scene)
    say = _clause if template == FAMILY else _phrase
    digits = rng.random() < 0.2
    phrases = [say(group, rng, partial, digits) for group in scene.groups]
    backdrop = template in ("backdrop first", "sentences") or rng.random() < 0.2
    text = _body(scene, rng, template, phrases, partial)
    if not backdrop:
        return text
    if template == "backdrop first":
        return f"on a {scene.background} background, {text}"
    if template == "sentences":
        return f"{text}. the background is {scene.background}"
    return f"{text} {rng.choice(BACKDROPS).format(scene.background)}"


def _sample_template(rng: random.Random, scene: Scene) -> str:
    fits = {name: weight for name, weight in TEMPLATES.items() if _fits(name, scene)}
    return rng.choices(tuple(fits), tuple(fits.values()))[0]


def _fits(template: str, scene: Scene) -> bool:
    """Whether a template can say what the scene holds."""
    if template in ("list", "with"):
        return len(scene.groups) > 1 and not scene.relations
    if template in ("inverted", "sides"):
        pair = len(scene.groups) == 2 and len(scene.relations) == 1
        return pair and (template == "inverted" or scene.relations[0][1] in ("left", "right"))
    return True


def _body(scene: Scene, rng: random.Random, template: str, phrases: list[str], partial: bool) -> str:
    chains = [_turned(chain, rng) for chain in _chains(scene)]
    rng.shuffle(chains)
    if template in ("list", "with"):
        return (", " if template == "list" else " with ").join(phrases[chain[0][0]] for chain in chains)
    if template in ("inverted", "sides"):
        (a, relation), (b, _) = chains[0]
        if template == "sides":
            return f"{phrases[a]} on the {relation} and {phrases[b]} on the {OPPOSITE[relation]}"
        return f"{rng.choice(PHRASES[relation])} {phrases[b]} {_verb(scene.groups[a])} {phrases[a]}"
    if template == FAMILY:
        return " and ".join(_with_beside(chain, phrases, rng) for chain in chains)
    drop = partial and rng.random() < 0.2
    said = [_said(chain, phrases, rng, drop) for chain in chains]
    opening = rng.choice(OPENINGS.get(template, ("",)))
    if template == "there":
        opening = opening.replace("is", _verb(scene.groups[chains[0][0][0]]))
    return opening + " and ".join(said)


def _verb(group: Group) -> str:
    return "is" if group.count == 1 else "are"


def _chains(scene: Scene) -> list[Links]:
    """The groups in phrases: relations that meet follow one another, what has none stands alone."""
    chains: list[Links] = []
    for a, relation, b in scene.relations:
        if chains and chains[-1][-1][0] == a:
            chains[-1][-1:] = [(a, relation), (b, None)]
        else:
            chains.append([(a, relation), (b, None)])
    used = {index for chain in chains for index, _ in chain}
    chains += [[(index, None)] for index in range(len(scene.groups)) if index not in used]
    return sorted(chains)


def _turned(chain: Links, rng: random.Random) -> Links:
    """Both orders of every relation."""
    if len(chain) == 1 or rng.random() < 0.5:
        return chain
    relations = [OPPOSITE[relation] for _, relation in chain[:-1]][::-1]
    return list(zip([index for index, _ in reversed(chain)], [*relations, None], strict=True))


def _said(chain: Links, phrases: list[str], rng: random.Random | None, drop: bool = False) -> str:
    """A car to the left of a tree, which is above a dog."""
    text = ""
    for number, (index, relation) in enumerate(chain):
        text += phrases[index]
        if relation:
            which = ", which is" if number else ""
            link = rng.choice(PHRASES[relation]) if rng else PHRASES[relation][0]
            text += " and " if drop else f"{which} {link} "
    return text


def _with_beside(chain: Links, phrases: list[str], rng: random.Random) -> str:
    """The held-out family turned round: a tree with a car to its left."""
    if len(chain) != 2:
        return _said(chain, phrases, rng)
    (a, relation), (b, _) = chain
    place = OPPOSITE[relation]
    beside = {"left": "to its left", "right": "to its right", "next": "next to it"}.get(place, f"{place} it")
    return f"{phrases[a]} with {phrases[b]} {beside}"


def _attributes(group: Group, rng: random.Random, partial: bool) -> dict[str, str]:
    """What is said of a group's look; plain is rarely worth a word."""
    said = {key: getattr(group, key) for key in ("size", "pattern", "colour")}
    if said["pattern"] == "plain" and rng.random() > 0.06:
        said["pattern"] = None
    return {key: value for key, value in said.items() if value and not (partial and rng.random() < 0.4)}


def _phrase(group: Group, rng: random.Random, partial: bool, digits: bool) -> str:
    """A small striped red car; two cats; 3 stars."""
    look = _attributes(group, rng, partial)
    if len(look) > 1 and rng.random() < 0.3 and "size" not in look:
        look = dict(reversed(look.items()))  # a red striped car
    return _counted(group, [*look.values()], rng, partial, digits)


def _clause(group: Group, rng: random.Random, partial: bool, digits: bool) -> str:
    """The held-out family: a car that is red and striped."""
    look = _attributes(group, rng, partial)
    verb = "that is" if group.count == 1 else "that are"
    return _counted(group, [], rng, partial, digits) + (f" {verb} {' and '.join(look.values())}" if look else "")


def _counted(group: Group, look: list[str], rng: random.Random, partial: bool, digits: bool) -> str:
    kind = KIND_BY_NOUN[group.noun]
    number = str(group.count) if digits else NUMBERS[group.count - 1]
    if group.count == 1 and rng.random() < 0.85:
        number = _article([*look, kind.noun])
    elif group.count > 1 and partial and rng.random() < 0.15:
        number = "some"
    return " ".join([number, *look, kind.noun if group.count == 1 else kind.plural])


def _article(following: list[str]) -> str:
    return "an" if following[0][0] in "aeio" or following[0] == "umbrella" else "a"


def full_prompt(scene: Scene) -> str:
    """The plain complete prompt of a scene without its background: 'a red car to the left of two striped hats'."""
    phrases = [_plain(group) for group in scene.groups]
    return " and ".join(_said(chain, phrases, None) for chain in _chains(scene))


def _plain(group: Group) -> str:
    """A plain group's pattern is not worth a word."""
    pattern = None if group.pattern == "plain" else group.pattern
    look = [word for word in (group.size, pattern, group.colour) if word]
    kind = KIND_BY_NOUN[group.noun]
    if group.count == 1:
        return " ".join([_article([*look, kind.noun]), *look, kind.noun])
    return " ".join([NUMBERS[group.count - 1], *look, kind.plural])
