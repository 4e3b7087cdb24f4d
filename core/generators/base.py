"""What a search needs of a text-to-image model: decisions one after another, on states that are values.

Scales of an autoregressive model and denoising steps of a diffusion model are both steps here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from core.search.budget import Cost

if TYPE_CHECKING:
    import numpy as np

State = Any   # a prefix: opaque to everything but its generator


class Generator(Protocol):
    """A model seen as `num_steps` decisions. A state is never changed, so any can be branched, kept or dropped.

    Where the pass of a step comes before the draw (next-scale models), siblings share it: given one state object
    several times, `step` computes it once. Where the draw comes first (diffusion: noise, then a prediction from it),
    every candidate has a pass of its own. `siblings_share` says which, and the ledger goes by it.
    """

    name: str
    num_steps: int
    step_labels: tuple[str, ...]        # one a step: "1x1", "2x2", ... or "t=1.00", "t=0.95", ...
    siblings_share: bool                # one forward pass for all children of a state
    branching_steps: frozenset[int]     # steps, from 0, at which the seed matters; {0} for an ODE sampler
    decode_cost: Cost                   # of one preview: flops_decoder and decodes=1

    def start(self, prompt: str) -> State:
        """The bare prompt. Raises PromptOutOfWorld when the model cannot do anything with it."""

    def step(self, states: Sequence[State], seeds: Sequence[int]) -> list[State]:
        """Take the next decision for states that have all taken the same number.

        A result depends on its state and seed only, never on the rest of the batch.
        """

    def preview(self, states: Sequence[State]) -> np.ndarray:
        """The best guess at each image, uint8 [B, H, W, 3]; of a state after the last step the image itself."""

    def step_cost(self, step: int) -> Cost:
        """One forward pass at `step` (0 is the first): nfe, tokens, flops_generator with guidance."""

    def freeze(self, state: State) -> bytes:
        """All it takes to restore the state: the sampled bits, or the seeds."""

    def thaw(self, prompt: str, data: bytes) -> State:
        """The state that was frozen; may replay forward passes."""
