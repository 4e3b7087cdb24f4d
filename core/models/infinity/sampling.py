"""From logits to bits: guidance, temperature, certain bits, and noise that belongs to one node and one scale.

A draw is argmax(p / Exp(1) noise), which is what torch.multinomial computes; so one generator in scale order gives
the official pictures, and one generator a node makes a candidate independent of its place in a batch.

Letters: G guided halves (prompt, no prompt), B beams, n tokens, dt bits a token.
"""

from hashlib import blake2b

import torch
from torch import Tensor


def mix_guidance(logits: Tensor, cfg: float) -> Tensor:
    """[G, B, n, dt, 2] -> [B, n, dt, 2]: away from what is said without the prompt."""
    if len(logits) == 1 or cfg == 1:
        return logits[0]
    prompt, empty = logits
    return cfg * prompt + (1 - cfg) * empty


def bit_probabilities(logits: Tensor, tau: float, top_p: float) -> Tensor:
    """Of values 0 and 1 of every bit, [..., 2]. A value with at most 1 - top_p is never drawn."""
    logits = logits.float() / tau
    unlikely = logits.softmax(-1) <= 1 - top_p
    unlikely &= logits < logits.amax(-1, keepdim=True)  # the likelier value always stays
    return logits.masked_fill(unlikely, -torch.inf).softmax(-1)


def draw(probabilities: Tensor, noise: Tensor) -> Tensor:
    """Bits [...] bool from probabilities and Exp(1) noise of the same shape [..., 2]."""
    return (probabilities / noise.to(probabilities.device)).argmax(-1).bool()


def exponential_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Exp(1) noise, drawn where the generator lives."""
    return torch.empty(shape, device=generator.device).exponential_(1, generator=generator)


def node_noise(seed: int, scale: int, shape: tuple[int, ...]) -> Tensor:
    """The noise of one node's draw at one scale, on the CPU so that every device draws the same."""
    data = seed.to_bytes(8, "big") + scale.to_bytes(1, "big")
    own = int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1
    return exponential_noise(shape, torch.Generator().manual_seed(own))
