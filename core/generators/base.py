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

    A state's tensors are its own or shared with its parents, never views of a batch: dropping it frees at once what
    only it used.

    Where the pass of a step comes before the draw (next-scale models), siblings share it: given one state object
    several times, `step` computes it once. Where the draw comes first (diffusion: noise, then a prediction from it),
    every candidate has a pass of its own. `sharing_steps` says which, and the ledger goes by it.
    """

    name: str
    num_steps: int
    step_labels: tuple[str, ...]        # one a step: "1x1", "2x2", ... or "t=1.00", "t=0.95", ...
    sharing_steps: frozenset[int]       # steps, from 0, with one forward pass for all children of a state
    branching_steps: frozenset[int]     # steps, from 0, at which the seed matters; {0} for an ODE sampler
    abilities: frozenset[str]           # what it can besides; the registry's Entry says the same, before it is loaded:
    # "branches"    a seed matters after the first step: branching_steps is more than {0}
    # "signature", "renoise", "neighbours"    the methods below
    # "handover"    renoise leads from one model to another: handover_step
    start_cost: Cost                    # of what start() computes and step_cost(0) does not hold
    decode_cost: Cost                   # of one preview: flops_decoder and decodes=1
    max_batch: int                      # states a call should take; decoding them takes < 150 ms on two CPU cores
    weights_bytes: int                  # of all its networks, each counted once
    decode_bytes: int                   # working memory of one preview

    def start(self, prompt: str) -> State:
        """The bare prompt. Raises PromptOutOfWorld when the model cannot do anything with it."""

    def step(self, states: Sequence[State], seeds: Sequence[int]) -> list[State]:
        """Take the next decision for states that have all taken the same number.

        A result depends on its state and seed only, never on the rest of the batch.
        """

    def preview(self, states: Sequence[State]) -> np.ndarray:
        """The best guess at each image, uint8 [B, H, W, 3]; of a state after the last step the image itself."""

    # Where an early state is shown in fewer pixels, or otherwise cheaper, than the image: these two in place of
    # decode_cost and decode_bytes, which hold for every step unless a generator has them.

    def preview_cost(self, step: int) -> Cost:
        """Of one preview after `step` decisions, and of the image after the last."""

    def preview_bytes(self, step: int) -> int:
        """Working memory of one preview after `step` decisions."""

    def step_cost(self, step: int) -> Cost:
        """One forward pass at `step` (0 is the first): nfe, tokens, flops_generator with guidance."""

    def step_bytes(self, step: int) -> int:
        """Working memory of one forward pass at `step`, per distinct state where the step is shared."""

    def held_bytes(self, states: Sequence[State]) -> int:
        """Memory that these states hold together; what they share counts once."""

    def freeze(self, state: State) -> bytes:
        """All it takes to restore the state: the sampled bits, or how the noise was made. Equal bytes, equal states."""

    def thaw(self, prompt: str, data: bytes) -> State:
        """The state that was frozen; may replay forward passes. Raises ValueError for bytes of something else."""

    # Abilities. A generator has the members of those it names, and need not have the others.

    handover_step: int   # "handover": the first step of the second model; renoise reaches beyond it from earlier ones

    def signature(self, states: Sequence[State]) -> list[list[float]]:
        """"signature": at most 64 numbers for each state after the first step, near for states that look alike.

        Costs nothing worth charging.
        """

    def renoise(self, states: Sequence[State], step: int, seeds: Sequence[int]) -> list[State]:
        """"renoise": the states with the noise again that they had after `step` decisions, and predicted from there.

        One pass each, of step_cost(step - 1). The result has taken `step` decisions. Raises ValueError unless
        1 <= step < decisions taken; with "handover" also from states before the handover to steps beyond it.
        """

    def neighbours(self, states: Sequence[State], seeds: Sequence[int], closeness: float) -> list[State]:
        """"neighbours": states after one decision whose noise has the cosine `closeness` with the state's first noise.

        Same norm, the direction away from it drawn from the seed. One pass each, of step_cost(0). The states may have
        taken any number of decisions but none. Raises ValueError otherwise, or if `closeness` is no cosine.
        """
