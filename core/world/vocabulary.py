"""What the emoji world can show: objects, colours, numbers, places, and the words people use for them.

Pure data. `ORDER` of every table is part of the trained models: append, never reorder.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One object class: its word, its plural, the Unicode code point of its sprite, what else people call it."""

    noun: str
    plural: str
    sprite: str
    recolourable: bool
    synonyms: tuple[str, ...] = ()


KINDS = (
    Kind("apple", "apples", "1f34e", True, ("fruit",)),
    Kind("car", "cars", "1f697", True, ("automobile", "auto", "vehicle")),
    Kind("star", "stars", "2b50", True),
    Kind("heart", "hearts", "2764-fe0f", True, ("love",)),
    Kind("balloon", "balloons", "1f388", True),
    Kind("book", "books", "1f4d5", True, ("novel", "notebook")),
    Kind("shirt", "shirts", "1f455", True, ("t-shirt", "tshirt", "tee", "jersey")),
    Kind("flower", "flowers", "1f337", True, ("tulip", "blossom", "bloom", "rose")),
    Kind("gift", "gifts", "1f381", True, ("present", "parcel")),
    Kind("bell", "bells", "1f514", True),
    Kind("mushroom", "mushrooms", "1f344", True, ("toadstool", "fungus")),
    Kind("crown", "crowns", "1f451", True, ("tiara",)),
    Kind("cat", "cats", "1f431", False, ("kitten", "kitty")),
    Kind("dog", "dogs", "1f436", False, ("puppy", "hound", "doggy")),
    Kind("penguin", "penguins", "1f427", False),
    Kind("tree", "trees", "1f333", False, ("oak",)),
    Kind("house", "houses", "1f3e0", False, ("home", "cottage", "building", "hut")),
    Kind("robot", "robots", "1f916", False, ("android", "bot")),
    Kind("pizza", "pizzas", "1f355", False),
    Kind("donut", "donuts", "1f369", False, ("doughnut",)),
)

# name -> hue in [0, 1), least saturation, value gain
COLOURS = {
    "red": (0.995, 0.70, 1.0),
    "yellow": (0.140, 0.75, 1.15),
    "green": (0.345, 0.65, 0.95),
    "blue": (0.600, 0.70, 1.0),
    "purple": (0.755, 0.60, 1.0),
    "pink": (0.920, 0.42, 1.15),
}
COLOUR_SYNONYMS = {
    "crimson": "red", "scarlet": "red", "ruby": "red",
    "golden": "yellow", "gold": "yellow", "lemon": "yellow",
    "emerald": "green", "lime": "green",
    "azure": "blue", "navy": "blue", "cobalt": "blue",
    "violet": "purple", "lilac": "purple", "magenta": "purple",
    "rosy": "pink", "rose-coloured": "pink",
}  # fmt: skip

NUMBERS = ("one", "two", "three", "four")
NUMBER_SYNONYMS = {
    "a": "one", "an": "one", "1": "one", "single": "one",
    "2": "two", "pair": "two", "couple": "two",
    "3": "three", "trio": "three", "4": "four",
}  # fmt: skip

RELATIONS = ("left", "right", "above", "below")
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}

BACKGROUNDS = {
    "white": (250, 250, 250),
    "blue": (190, 218, 250),
    "green": (200, 236, 208),
    "yellow": (252, 240, 196),
    "pink": (250, 214, 224),
    "grey": (200, 200, 206),
}

KIND_BY_NOUN = {kind.noun: kind for kind in KINDS}
