"""What every scale needs of a prompt, computed once: start token, modulation, keys and values of all layers.

The unguided half reads learnt features, as many as the prompt has.

Letters: G guided halves (prompt, no prompt), T text tokens, C width, H heads, E head width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.infinity.config import InfinityConfig
from core.models.infinity.layers import EPS, keys_and_values, merge_heads


@dataclass(frozen=True, eq=False)
class TextContext:
    start: Tensor  # [G, C]
    ada: Tensor  # [G, 6, C] what all layers share: two gates, two scales, two shifts
    head: Tensor  # [G, 2, C] scale and shift before the last projection
    text_kv: tuple[Tensor, ...]  # one [2, G, H, T, E] a layer

    @property
    def halves(self) -> int:
        return len(self.start)

    def tensors(self) -> Iterator[Tensor]:
        yield from (self.start, self.ada, self.head, *self.text_kv)


class TextNorm(nn.Module):
    """Root mean square norm with a learnt scale."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], self.weight.float(), EPS)


class PoolAttention(nn.Module):
    """One learnt query reads the whole text."""

    def __init__(self, config: InfinityConfig):
        super().__init__()
        width, heads = config.dim, config.pool_heads
        self.mat_q = nn.Parameter(torch.randn(1, heads, width // heads) / width**0.5)
        self.mat_kv = nn.Linear(config.text_dim, 2 * width, bias=False)
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """[G, T, text width] -> [G, C]."""
        heads = self.mat_q.shape[1]
        key, value = keys_and_values(self.mat_kv, self.v_bias, features, heads)
        query = self.mat_q[:, :, None].expand(len(features), -1, -1, -1)  # [G, H, 1, E]
        return self.proj(merge_heads(F.scaled_dot_product_attention(query, key, value))[:, 0])


class TextPool(nn.Module):
    def __init__(self, config: InfinityConfig):
        super().__init__()
        self.ca = PoolAttention(config)

    def forward(self, features: Tensor) -> Tensor:
        return self.ca(features)


class HeadModulation(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, condition: Tensor) -> Tensor:
        """[G, C] -> scale and shift [G, 2, C]."""
        return self.ada_lin(condition).unflatten(-1, (2, -1))
