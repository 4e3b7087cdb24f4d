"""What the emoji world can show: objects, colours, patterns, sizes, numbers, places, and the words people use for them.

Pure data. `ORDER` of every table is part of the trained models: append, never reorder.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One object class: its word, its plural, the Unicode code point of its sprite, what else people call it.

    A recolourable kind is drawn in every colour and pattern, any other kind only as the artist left it. Recolouring
    takes hold of the vivid parts of a sprite, or of its `pale` ones, and spares the hues between the two of `keeps`.
    """

    noun: str
    plural: str
    sprite: str
    recolourable: bool
    synonyms: tuple[str, ...] = ()
    keeps: tuple[float, float] | None = None
    pale: bool = False


LEAVES, BLUES = (0.17, 0.45), (0.50, 0.68)  # hues of stalks; of windows, water and strings

KINDS = (
    Kind("apple", "apples", "1f34e", True, ("fruit",), LEAVES),
    Kind("banana", "bananas", "1f34c", False),
    Kind("pear", "pears", "1f350", False),
    Kind("strawberry", "strawberries", "1f353", False, ("berry",)),
    Kind("lemon", "lemons", "1f34b", False, ("citrus",)),
    Kind("carrot", "carrots", "1f955", False, ("vegetable",)),
    Kind("mushroom", "mushrooms", "1f344", True, ("toadstool", "fungus")),
    Kind("cat", "cats", "1f431", False, ("kitten", "kitty")),
    Kind("dog", "dogs", "1f436", False, ("puppy", "hound", "doggy")),
    Kind("rabbit", "rabbits", "1f430", False, ("bunny", "hare")),
    Kind("fox", "foxes", "1f98a", False, ("vixen",)),
    Kind("frog", "frogs", "1f438", False, ("toad",)),
    Kind("fish", "fish", "1f41f", True, ("goldfish",)),
    Kind("duck", "ducks", "1f986", False, ("mallard", "duckling")),
    Kind("turtle", "turtles", "1f422", False, ("tortoise",)),
    Kind("bee", "bees", "1f41d", False, ("honeybee", "bumblebee", "wasp")),
    Kind("butterfly", "butterflies", "1f98b", True),
    Kind("elephant", "elephants", "1f418", False),
    Kind("owl", "owls", "1f989", False),
    Kind("penguin", "penguins", "1f427", False),
    Kind("car", "cars", "1f697", True, ("automobile", "auto", "vehicle"), BLUES),
    Kind("bus", "buses", "1f68c", True, ("coach",), BLUES),
    Kind("bicycle", "bicycles", "1f6b2", False, ("bike", "cycle")),
    Kind("airplane", "airplanes", "2708-fe0f", False, ("plane", "aeroplane", "jet", "aircraft")),
    Kind("rocket", "rockets", "1f680", False, ("spaceship", "spacecraft")),
    Kind("boat", "boats", "26f5", True, ("sailboat", "ship", "yacht"), BLUES),
    Kind("house", "houses", "1f3e0", False, ("home", "cottage", "building", "hut")),
    Kind("tree", "trees", "1f333", False, ("oak",)),
    Kind("flower", "flowers", "1f337", True, ("tulip", "blossom", "bloom", "rose"), LEAVES),
    Kind("star", "stars", "2b50", True),
    Kind("heart", "hearts", "2764-fe0f", True, ("love",)),
    Kind("ball", "balls", "26bd", False, ("football", "soccer")),
    Kind("balloon", "balloons", "1f388", True, (), BLUES),
    Kind("book", "books", "1f4d5", True, ("novel", "notebook")),
    Kind("chair", "chairs", "1fa91", True, ("seat", "stool")),
    Kind("cup", "cups", "2615", True, ("mug", "coffee", "tea"), pale=True),
    Kind("clock", "clocks", "23f0", True, ("alarm", "watch")),
    Kind("key", "keys", "1f511", True),
    Kind("hat", "hats", "1f9e2", True, ("cap",)),
    Kind("shoe", "shoes", "1f97e", True, ("boot", "sneaker", "trainer")),
    Kind("shirt", "shirts", "1f455", True, ("t-shirt", "tshirt", "tee", "jersey")),
    Kind("guitar", "guitars", "1f3b8", True),
    Kind("umbrella", "umbrellas", "2602-fe0f", True, ("parasol", "brolly")),
    Kind("gift", "gifts", "1f381", True, ("present", "parcel")),
    Kind("camera", "cameras", "1f4f7", False),
    Kind("robot", "robots", "1f916", False, ("android", "bot")),
    Kind("cake", "cakes", "1f382", False),
    Kind("donut", "donuts", "1f369", False, ("doughnut",)),
    Kind("pizza", "pizzas", "1f355", False),
    Kind("bell", "bells", "1f514", True),
    Kind("crown", "crowns", "1f451", True, ("tiara",)),
    Kind("backpack", "backpacks", "1f392", True, ("rucksack", "bag", "satchel")),
    Kind("kite", "kites", "1fa81", True),
    Kind("hamburger", "hamburgers", "1f354", False, ("burger", "cheeseburger")),
)

# name -> hue in [0, 1), least and most saturation, and the value that the middle tone of a sprite takes
COLOURS = {
    "red": (0.990, 0.75, 1.0, 0.90),
    "orange": (0.070, 0.80, 1.0, 0.98),
    "yellow": (0.140, 0.72, 1.0, 1.0),
    "green": (0.350, 0.65, 1.0, 0.72),
    "blue": (0.600, 0.72, 1.0, 0.90),
    "purple": (0.755, 0.60, 0.8, 0.75),
    "pink": (0.920, 0.38, 0.45, 1.0),
    "black": (0.70, 0.0, 0.12, 0.22),
    "white": (0.65, 0.0, 0.05, 0.95),
}
COLOUR_SYNONYMS = {
    "crimson": "red", "scarlet": "red", "ruby": "red", "maroon": "red",
    "amber": "orange", "tangerine": "orange",
    "golden": "yellow", "gold": "yellow",
    "emerald": "green", "lime": "green", "olive": "green",
    "azure": "blue", "navy": "blue", "cobalt": "blue", "turquoise": "blue", "cyan": "blue",
    "violet": "purple", "lilac": "purple", "magenta": "purple", "lavender": "purple", "indigo": "purple",
    "rosy": "pink", "rose-coloured": "pink",
    "dark": "black", "ebony": "black", "snowy": "white", "ivory": "white",
}  # fmt: skip

PATTERNS = ("plain", "striped", "dotted", "checkered")
PATTERN_SYNONYMS = {
    "solid": "plain", "unpatterned": "plain",
    "stripy": "striped", "stripes": "striped", "lined": "striped",
    "spotted": "dotted", "dotty": "dotted", "dots": "dotted", "dot": "dotted", "spots": "dotted",
    "polka-dotted": "dotted", "polka-dot": "dotted", "polka-dots": "dotted",
    "checked": "checkered", "chequered": "checkered", "checks": "checkered", "checkerboard": "checkered",
    "plaid": "checkered",
}  # fmt: skip

SIZE_NAMES = ("small", "big")  # a thing without a size word is of the usual size
SIZE_SYNONYMS = {
    "little": "small", "tiny": "small", "mini": "small", "miniature": "small",
    "large": "big", "huge": "big", "giant": "big", "enormous": "big", "oversized": "big",
}  # fmt: skip

NUMBERS = ("one", "two", "three", "four", "five", "six")
NUMBER_SYNONYMS = {
    "a": "one", "an": "one", "1": "one", "single": "one",
    "2": "two", "pair": "two", "couple": "two",
    "3": "three", "trio": "three", "4": "four", "quartet": "four", "5": "five", "6": "six",
}  # fmt: skip

RELATIONS = ("left", "right", "above", "below", "next")
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above", "next": "next"}

BACKGROUNDS = {
    "white": (250, 250, 250),
    "blue": (190, 218, 250),
    "green": (200, 236, 208),
    "yellow": (252, 240, 196),
    "pink": (250, 214, 224),
    "grey": (200, 200, 206),
}

KIND_BY_NOUN = {kind.noun: kind for kind in KINDS}
