"""What no training set shows: kept for testing whether models compose what they know (generators and verifiers alike).

15% of (class, colour) pairs, two counts of every class, 10% of ordered (class, relation, class) triples, and one
family of templates. Chosen by hash, so that a longer vocabulary changes nothing for the words that were there.
"""

import hashlib
from functools import lru_cache

from core.world.vocabulary import COLOURS, KIND_BY_NOUN, KINDS

PAIRS, TRIPLES = 0.15, 0.10  # shares held out
SALT = "held out 2258"  # this one keeps everyday pairs (red apple, yellow star) and every colour in training
FAMILY = "clause"  # "a star that is red", "a tree with a car to its left"


@lru_cache(maxsize=1 << 16)
def _draw(key: str) -> float:
    """A number in [0, 1) that depends on `key` alone."""
    return int.from_bytes(hashlib.sha256(f"{SALT}: {key}".encode()).digest()[:6], "big") / 2**48


def pair_held_out(noun: str, colour: str) -> bool:
    """Whether no training scene shows `noun` in `colour`."""
    return KIND_BY_NOUN[noun].recolourable and _draw(f"{noun} {colour}") < PAIRS


def counts_held_out(noun: str) -> tuple[int, int]:
    """The two counts of `noun` that no training scene shows: one of two to four, one of the rest up to six."""
    first = 2 + int(3 * _draw(f"{noun} first count"))
    rest = [count for count in range(2, 7) if count != first]
    return first, rest[int(len(rest) * _draw(f"{noun} second count"))]


def triple_held_out(a: str, relation: str, b: str) -> bool:
    """Whether no training caption says "a relation b", nor the same the other way round."""
    if relation in ("right", "below") or (relation == "next" and b < a):
        a, b = b, a
    relation = {"right": "left", "below": "above"}.get(relation, relation)
    return _draw(f"{a} {relation} {b}") < TRIPLES


def held_out(scene, template: str | None = None) -> str | None:
    """Which split a scene and the template of its caption belong to: pair_ood, count_ood, relation_ood, paraphrase.

    None: the training distribution.
    """
    groups = scene.groups
    if any(group.colour and pair_held_out(group.noun, group.colour) for group in groups):
        return "pair_ood"
    if any(group.count in counts_held_out(group.noun) for group in groups):
        return "count_ood"
    if any(triple_held_out(groups[a].noun, relation, groups[b].noun) for a, relation, b in scene.relations):
        return "relation_ood"
    return "paraphrase" if template == FAMILY else None


def held_out_pairs() -> tuple[tuple[str, str], ...]:
    """All (class, colour) pairs that are held out."""
    return tuple((k.noun, c) for k in KINDS for c in COLOURS if pair_held_out(k.noun, c))
