"""An example of a plug-in: dice instead of a neural network, shown as grey fields, more pips lighter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np

from core.search.budget import Cost
from core.search.schema import Range

DICE, PX = 4, 16
State = tuple[int, ...]   # pips of the dice thrown so far


class Dice:
    """Four dice thrown one after another; the prompt is not read

    Named by an entry point of beamscope.generators; core/generators/base.py says what each member is for.
    """

    name = "dice"
    num_steps = DICE
    step_labels = tuple(f"die {i + 1}" for i in range(DICE))
    branching_steps = frozenset(range(DICE))
    sharing_steps = frozenset()
    abilities = frozenset({"branches", "signature"})
    start_cost, decode_cost = Cost(), Cost(flops_decoder=1e6, decodes=1)
    max_batch, weights_bytes, decode_bytes = 16, 0, 3 * DICE * PX * PX

    def start(self, prompt: str) -> State:
        return ()

    def step(self, states: Sequence[State], seeds: Sequence[int]) -> list[State]:
        return [(*state, 1 + seed % 6) for state, seed in zip(states, seeds, strict=True)]

    def preview(self, states: Sequence[State]) -> np.ndarray:
        rows = [[*state, *[0] * (DICE - len(state))] for state in states]
        greys = np.array(rows, np.uint8).reshape(len(states), 2, 2) * 40   # dice as a square of fields
        return np.stack([greys.repeat(PX, axis=1).repeat(PX, axis=2)] * 3, axis=-1)

    def step_cost(self, step: int) -> Cost:
        return Cost(nfe=1, tokens=1, flops_generator=1e6)

    def step_bytes(self, step: int) -> int:
        return 0

    def held_bytes(self, states: Sequence[State]) -> int:
        return sum(len(state) for state in states)

    def freeze(self, state: State) -> bytes:
        return bytes(state)

    def thaw(self, prompt: str, data: bytes) -> State:
        return tuple(data)

    def signature(self, states: Sequence[State]) -> list[list[float]]:
        return [[float(sum(state))] for state in states]


class Pips:
    name, max_batch, weights_bytes, image_bytes = "pips", 16, 0, 0
    cost = Cost(flops_verifier=1e6, verifier_calls=1)

    def score(self, prompt: str, images: np.ndarray) -> list[float]:
        return [float(image[::PX, ::PX, 0].sum() / 40) for image in images]


def load_pips() -> Pips:
    """Counts the pips of all dice"""
    return Pips()


def reroll(
    search,
    throws: Annotated[int, Range(1, 32)] = 6,
    share: Annotated[float, Range(0, 1)] = 0.5,
    enough: Annotated[float | None, Range(0, 24)] = None,
    order: Literal["best_first", "as_thrown"] = "best_first",
):
    """Throw every die a few times and keep a share of the throws.

    Ends before the last die where a kept throw has `enough` pips already; the rest is thrown once.
    """
    root = yield from search.start()
    kept = [root]
    while not search.finished(kept):
        thrown = yield from search.expand(kept, max(1, throws // len(kept)))
        width = max(1, round(share * len(thrown)))
        kept = yield from search.keep(thrown, width, choose=None if order == "best_first" else by_birth)
        if enough is not None and kept[0].score >= enough:
            break
    images = yield from search.finish(kept)
    return (yield from search.keep(images, 1, rule="best_of_n"))


def by_birth(ranked):
    return sorted(ranked, key=lambda node: node.id)
