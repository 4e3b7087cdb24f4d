"""The transformer block that the next-scale model and the flow model share.

Adaptive layer norm from one shared projection (Infinity, Han et al. 2025), QK-norm, cross-attention to the text.
Keys and values of earlier scales are an argument, never an attribute, so states can be branched at will.

Letters: B batch, L tokens, P tokens of earlier scales, T text tokens, D width, H heads, E head width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 32  # E
SIZES = {"XS": (192, 6), "S": (256, 8), "M": (384, 12)}  # the one dial: width, depth


@dataclass(frozen=True)
class Sized:
    """A configuration whose width and depth follow from one dial."""

    size: str = "XS"

    @property
    def width(self) -> int:
        return SIZES[self.size][0]

    @property
    def depth(self) -> int:
        return SIZES[self.size][1]


def split_heads(x: Tensor) -> Tensor:
    """[B, L, D] -> [B, H, L, E]."""
    return x.unflatten(-1, (-1, HEAD)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """[B, H, L, E] -> [B, L, D]."""
    return x.transpose(1, 2).flatten(2)


class Block(nn.Module):
    """Self-attention, cross-attention to text, MLP; modulated by a condition vector."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.ada = nn.Parameter(torch.tensor([1.0, 1.0, 0, 0, 0, 0])[:, None].repeat(1, width))  # gates open, rest 0
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.q_norm, self.k_norm = nn.RMSNorm(HEAD), nn.RMSNorm(HEAD)
        self.cross_norm, self.cross_q = nn.LayerNorm(width), nn.Linear(width, width)
        self.cross_kv, self.cross_proj = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.proj, self.cross_proj, self.down):  # residual branches start small
            nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * depth))
            nn.init.zeros_(layer.bias)

    def text_kv(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of text [B, T, D], computed once a prompt: two of [B, H, T, E]."""
        key, value = self.cross_kv(text).chunk(2, -1)
        return split_heads(key), split_heads(value)

    def forward(self, x, modulation, text_kv, text_mask, cache=None, mask=None):
        """x [B, L, D], modulation [B, 6, D], text_mask [B, 1, 1, T], mask [L, L]; returns the new x.

        cache: two of [B, H, P + L, E], keys and values: P of earlier scales, and room behind that this call fills.
        """
        gate1, gate2, scale1, scale2, shift1, shift2 = (modulation + self.ada).unsqueeze(2).unbind(1)  # [B, 1, D]
        query, key, value = map(split_heads, self.qkv(self.norm(x) * (1 + scale1) + shift1).chunk(3, -1))
        key = self.k_norm(key)
        if cache is not None:
            key, value = (_filled(*pair) for pair in zip(cache, (key, value), strict=True))
        seen = F.scaled_dot_product_attention(self.q_norm(query), key, value, attn_mask=mask)
        x = x + gate1 * self.proj(merge_heads(seen))
        read = F.scaled_dot_product_attention(split_heads(self.cross_q(self.cross_norm(x))), *text_kv, text_mask)
        x = x + self.cross_proj(merge_heads(read))
        hidden = F.gelu(self.up(self.norm(x) * (1 + scale2) + shift2), approximate="tanh")
        return x + gate2 * self.down(hidden)


def _filled(cache: Tensor, own: Tensor) -> Tensor:
    """The cache [B, H, P + L, E] with `own` [B, H, L, E] in the room behind."""
    cache[:, :, -own.shape[2] :] = own
    return cache


def block_flops(width: int, tokens: int, seen: int, words: int) -> float:
    """FLOPs of one block for one sequence: `tokens` queries that see `seen` keys and `words` text tokens."""
    return tokens * 28 * width * width + 4 * tokens * width * (seen + words)


def text_kv_flops(width: int, words: int) -> float:
    """FLOPs of the keys and values of `words` text tokens in one block."""
    return words * 4 * width * width


def grid_positions(side: int, width: int) -> Tensor:
    """Fixed 2-D sine and cosine features of a side x side grid over the unit square, [side * side, width]."""
    centres = (torch.arange(side) + 0.5) / side
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    rates = torch.logspace(0, math.log10(32), width // 4) * math.pi
    angles = torch.cat([rows.reshape(-1, 1) * rates, columns.reshape(-1, 1) * rates], 1)
    return torch.cat([angles.sin(), angles.cos()], 1)
