"""A world without torch and with a known optimum: an image is a row of digits, the best one spells TARGET.

Counts what it really computes, so that the ledger can be checked against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from core.search.budget import Cost
from core.search.states import derive_seed

TARGET = (3, 1, 4, 1)
UNKNOWN = 255   # a pixel whose digit is not drawn yet


class ToyGenerator:
    """States are tuples of digits; each step draws one more from its seed alone.

    reliable: an unfinished preview shows the digits drawn so far, or noise instead.
    branching: with {0} the later digits follow from the first, as with an ODE sampler.
    shares: siblings share a forward pass, or every candidate has its own, as with diffusion.
    """

    def __init__(
        self, digits: int = 10, reliable: bool = True, branching: frozenset[int] | None = None, shares: bool = True
    ):
        self.name = "toy"
        self.num_steps = len(TARGET)
        self.step_labels = tuple(f"digit {i + 1}" for i in range(self.num_steps))
        self.branching_steps = frozenset(range(self.num_steps)) if branching is None else branching
        self.decode_cost = Cost(flops_decoder=5e8, decodes=1)
        self.digits, self.reliable, self.shares = digits, reliable, shares
        self.sharing_steps = frozenset(range(self.num_steps)) if shares else frozenset()
        self.abilities = frozenset({"signature", "renoise", "neighbours"}) | (
            {"branches"} if max(self.branching_steps) else frozenset()
        )
        self.start_cost, self.max_batch = Cost(flops_generator=1e8), 16
        self.weights_bytes, self.decode_bytes = 1000, 100
        self.computed = Counter()   # forwards by step; candidates; decoded images; prompts read

    def start(self, prompt: str) -> tuple[int, ...]:
        self.computed["read"] += 1
        return ()

    def step(self, states: Sequence[tuple[int, ...]], seeds: Sequence[int]) -> list[tuple[int, ...]]:
        steps = {len(state) for state in states}
        assert len(steps) == 1, "a batch has one step"
        self._count(steps.pop(), len({id(state) for state in states}) if self.shares else len(states), len(states))
        return [(*state, self._digit(state, seed)) for state, seed in zip(states, seeds, strict=True)]

    def _count(self, step: int, passes: int, candidates: int) -> None:
        self.computed[step] += passes
        self.computed["candidates"] += candidates

    def renoise(self, states: Sequence[tuple[int, ...]], step: int, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Forget the digits from `step` on and draw that one again."""
        assert all(1 <= step < len(state) for state in states)
        self._count(step - 1, len(states), len(states))
        return [(*state[: step - 1], self._drawn(seed)) for state, seed in zip(states, seeds, strict=True)]

    def neighbours(
        self, states: Sequence[tuple[int, ...]], seeds: Sequence[int], closeness: float
    ) -> list[tuple[int, ...]]:
        """The first digit, moved at most (1 - closeness) of the way round."""
        self._count(0, len(states), len(states))
        reach = round((1 - closeness) * self.digits)
        return [((s[0] + seed % (2 * reach + 1) - reach) % self.digits,) for s, seed in zip(states, seeds, strict=True)]

    def signature(self, states: Sequence[tuple[int, ...]]) -> list[list[float]]:
        return [[float(digit) for digit in state] for state in states]

    def _digit(self, state: tuple[int, ...], seed: int) -> int:
        if len(state) in self.branching_steps:
            return self._drawn(seed)
        return (3 * state[-1] + 1) % self.digits

    def _drawn(self, seed: int) -> int:
        return seed % self.digits

    def preview(self, states: Sequence[tuple[int, ...]]) -> np.ndarray:
        self.computed["decoded"] += len(states)
        return np.stack([self._image(state) for state in states])

    def _image(self, state: tuple[int, ...]) -> np.ndarray:
        row = [*state, *[UNKNOWN] * (self.num_steps - len(state))]
        if len(state) < self.num_steps and not self.reliable:
            row = [derive_seed(sum(state), i) % self.digits for i in range(self.num_steps)]
        return np.repeat(np.array(row, np.uint8)[None, :, None], 3, axis=2).repeat(2, axis=0)   # [2, steps, 3]

    def step_cost(self, step: int) -> Cost:
        return Cost(nfe=1, tokens=(step + 1) ** 2, flops_generator=1e9 * (step + 1) ** 2)

    def step_bytes(self, step: int) -> int:
        return 10 * (step + 1)

    def held_bytes(self, states: Sequence[tuple[int, ...]]) -> int:
        """A byte a digit; the digits that two states have in common are held once."""
        return len({state[:length] for state in states for length in range(1, len(state) + 1)})

    def freeze(self, state: tuple[int, ...]) -> bytes:
        return bytes(state)

    def thaw(self, prompt: str, data: bytes) -> tuple[int, ...]:
        self.computed["read"] += 1
        for step in range(len(data)):
            self._count(step, 1, 1)
        return tuple(data)


class Relay(ToyGenerator):
    """The first two digits are scales; after them, or earlier, diffusion draws the rest."""

    handover_step = 2

    def __init__(self, **options):
        super().__init__(**options)
        self.abilities |= {"handover"}

    def renoise(self, states, step, seeds):
        assert all(self.handover_step < step and (step < len(s) or 1 <= len(s) <= self.handover_step) for s in states)
        self._count(step - 1, len(states), len(states))
        return [(*s[: step - 1], *(derive_seed(seed, i) % self.digits for i in range(step - min(len(s), step - 1))))
                for s, seed in zip(states, seeds, strict=True)]


class Closeness:
    """Minus the distance from TARGET over the digits that are known: 0 is the optimum."""

    max_batch, weights_bytes, image_bytes = 16, 500, 50

    def __init__(self, name: str = "closeness"):
        self.name, self.cost, self.calls = name, Cost(flops_verifier=25e7, verifier_calls=1), 0

    def score(self, prompt: str, images: Sequence[np.ndarray]) -> list[float]:
        self.calls += len(images)
        return [
            -float(sum(abs(digit - want) for digit, want in zip(image[0, :, 0].tolist(), TARGET, strict=True)
                       if digit != UNKNOWN))
            for image in images
        ]


class Brightness:
    """Blind to the target: the mean pixel."""

    max_batch, weights_bytes, image_bytes = 16, 500, 50

    def __init__(self):
        self.name, self.cost, self.calls = "brightness", Cost(flops_verifier=1e8, verifier_calls=1), 0

    def score(self, prompt: str, images: Sequence[np.ndarray]) -> list[float]:
        self.calls += len(images)
        return [float(np.mean(image)) for image in images]
