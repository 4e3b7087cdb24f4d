"""Beam search without sharing: what the engine is measured against, and the ways that lie between.

`Restarted` makes every candidate from the bare prompt, text and all, one at a time: a loop around a text-to-image
model. `Replayed` is what public code does that can search prefixes at all (the Infinity wrapper of Search over Tokens,
2026): it reads the text and runs all scales anew for every prefix, but draws the prefix's children from one pass and
decodes in batches of ten. The others each lack one thing that the engine does, so that its lead can be told apart.

All draw the seeds that the engine draws, so all find the same images. Nothing here uses the engine but its rule for
the seeds of a path.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from core.search.states import derive_seed

Path = tuple[int, ...]  # which child at every step; () is the bare prompt


@dataclass
class Found:
    """A beam search by paths: who was kept at every step, best first, and what was seen of every candidate."""

    kept: list[list[Path]] = field(default_factory=list)
    scores: dict[Path, float] = field(default_factory=dict)
    images: dict[Path, np.ndarray] = field(default_factory=dict)
    frozen: dict[Path, bytes] = field(default_factory=dict)  # all that was drawn


class Restarted:
    """Nothing shared, nothing batched."""

    batch = 1  # images decoded and scored at a time

    def __init__(self, generator: Any, verifier: Any, prompt: str, seed: int):
        self.generator, self.verifier, self.prompt, self.seed = generator, verifier, prompt, seed

    def states(self, paths: Sequence[Path]) -> Iterator[Any]:
        """The state at the end of every path."""
        return (self._replay(path) for path in paths)

    def _replay(self, path: Path) -> Any:
        state = self.generator.start(self.prompt)
        for seed in self._seeds(path):
            [state] = self.generator.step([state], [seed])
        return state

    def _seeds(self, path: Path) -> list[int]:
        """One a step, by the engine's rule."""
        seeds = [self.seed]
        for index in path:
            seeds.append(derive_seed(seeds[-1], index))
        return seeds[1:]

    def judge(self, paths: Sequence[Path]) -> Iterator[tuple[Any, np.ndarray, float]]:
        """The state, the image and the score of every path."""
        states = self.states(paths)
        while part := list(islice(states, self.batch)):
            images = self.generator.preview(part)
            yield from zip(part, images, self.verifier.score(self.prompt, images), strict=True)

    def let_go(self, kept: Sequence[Path]) -> None:
        """All candidates but these were pruned."""


class Replayed(Restarted):
    """Every prefix from the bare prompt, its children from one pass; images in batches."""

    batch = 10

    def states(self, paths: Sequence[Path]) -> Iterator[Any]:
        for parent, siblings in _families(paths):
            yield from self._draw(self._replay(parent), siblings)

    def _draw(self, state: Any, siblings: Sequence[Path]) -> list[Any]:
        return self.generator.step([state] * len(siblings), [self._seeds(path)[-1] for path in siblings])


class Batched(Restarted):
    """Every candidate from the bare prompt, but all of a step go through every model together."""

    batch = 15

    def states(self, paths: Sequence[Path]) -> Iterator[Any]:
        states = [self.generator.start(self.prompt) for _ in paths]
        for seeds in zip(*map(self._seeds, paths), strict=True):
            states = self.generator.step(states, seeds)
        return iter(states)


class Continued(Restarted):
    """One at a time, but from the parent's state: keys and values of earlier scales are kept."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.held: dict[Path, Any] = {}

    def states(self, paths: Sequence[Path]) -> Iterator[Any]:
        self.held = self.held or {(): self.generator.start(self.prompt)}
        for path in paths:
            [self.held[path]] = self.generator.step([self.held[path[:-1]]], self._seeds(path)[-1:])
            yield self.held[path]

    def let_go(self, kept: Sequence[Path]) -> None:
        self.held = {path: self.held[path] for path in kept}


class Shared(Replayed, Continued):
    """And siblings share their parent's pass: all that the engine does but batch."""

    batch = 1

    def states(self, paths: Sequence[Path]) -> Iterator[Any]:
        self.held = self.held or {(): self.generator.start(self.prompt)}
        for parent, siblings in _families(paths):
            self.held |= zip(siblings, self._draw(self.held[parent], siblings), strict=True)
        return (self.held[path] for path in paths)


WAYS: dict[str, Callable[..., Restarted]] = {
    "restarted": Restarted, "replayed": Replayed, "batched": Batched, "continued": Continued, "shared": Shared,
}  # fmt: skip


def beam(way: Restarted, width: int, branch: int) -> Found:
    """What beam_search with look "preview" does, without the engine."""
    found, paths = Found(), [(index,) for index in range(width * branch)]
    for _ in range(way.generator.num_steps):
        for path, (state, image, score) in zip(paths, way.judge(paths), strict=True):
            found.frozen[path], found.images[path], found.scores[path] = way.generator.freeze(state), image, score
        kept = sorted(paths, key=lambda path: -found.scores[path])[:width]  # of equal scores the earlier one
        found.kept.append(kept)
        way.let_go(kept)
        paths = [(*path, index) for path in kept for index in range(branch)]
    return found


def _families(paths: Sequence[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Every parent with its children, in order."""
    for parent in dict.fromkeys(path[:-1] for path in paths):
        yield parent, [path for path in paths if path[:-1] == parent]
