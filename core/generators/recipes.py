"""How a diffusion state was made: operations that can be written down, and done again to get the same state.

A seed a decision is not enough where a search goes back (more noise, other noise), so the operations are kept.
"""

import struct
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Draw:
    """The next decision of the sampler."""

    seed: int


@dataclass(frozen=True)
class Renoise:
    """Carried forward to the noise after `step` decisions."""

    step: int
    seed: int


@dataclass(frozen=True)
class Neighbour:
    """The first noise turned towards another, and one decision taken with it."""

    seed: int
    closeness: float


Operation = Draw | Renoise | Neighbour
Recipe = tuple[Operation, ...]

KINDS = (Draw, Renoise, Neighbour)  # an operation's first byte is its place here
FORMATS = (">Q", ">BQ", ">Qd")


def pack(recipe: Recipe) -> bytes:
    places = [KINDS.index(type(operation)) for operation in recipe]
    return b"".join(
        bytes([place]) + struct.pack(FORMATS[place], *astuple(operation))
        for place, operation in zip(places, recipe, strict=True)
    )


def unpack(data: bytes, name: str) -> Recipe:
    """The recipe that was packed. Raises ValueError, naming the generator, if there is none in `data`."""
    recipe, place = [], 0
    try:
        while place < len(data):
            kind, form = KINDS[data[place]], FORMATS[data[place]]
            recipe.append(kind(*struct.unpack_from(form, data, place + 1)))
            place += 1 + struct.calcsize(form)
    except (IndexError, struct.error):
        raise ValueError(f"{len(data)} bytes are not a frozen state of {name}") from None
    return tuple(recipe)


def beginning(recipe: Recipe) -> Recipe:
    """The operations that made the first noise: a draw and the neighbours taken of it."""
    length = 1
    while length < len(recipe) and isinstance(recipe[length], Neighbour):
        length += 1
    return recipe[:length]
