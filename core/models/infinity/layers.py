"""Infinity's transformer block: self-attention over scales, cross-attention to the prompt, MLP (Han et al. 2025).

Keys and values of earlier scales are handed in and out, never kept in a module. The residual stream, the norms and
the rotations are fp32; only the matrix products run in the dtype of the weights. Names of parameters are the
official ones.

Letters: G guided halves (prompt, no prompt), B beams, n tokens, C width, H heads, E head width, T text tokens.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.infinity.config import InfinityConfig
from core.models.infinity.rope import rotate

EPS = 1e-6  # of every norm
MOST_SHARP = math.log(100)  # of the learnt sharpness of self-attention

Extend = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # own keys and values -> those of all scales so far


def norm(x: Tensor, learnt: nn.LayerNorm | None = None) -> Tensor:
    """Layer norm in fp32, by default without parameters."""
    own = () if learnt is None else (learnt.weight.float(), learnt.bias.float())
    return F.layer_norm(x, x.shape[-1:], *own, eps=EPS)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[..., n, C] -> [..., H, n, E]."""
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def merge_heads(x: Tensor) -> Tensor:
    """[..., H, n, E] -> [..., n, C]."""
    return x.transpose(-2, -3).flatten(-2)


def keys_and_values(layer: nn.Linear, v_bias: Tensor, text: Tensor, heads: int) -> Tensor:
    """Text [G, T, width] -> keys and values [2, G, H, T, E]; only values have a bias."""
    bias = torch.cat([torch.zeros_like(v_bias), v_bias]).to(layer.weight.dtype)
    both = F.linear(text.to(layer.weight.dtype), layer.weight, bias)
    return torch.stack([split_heads(part, heads) for part in both.chunk(2, -1)])


class SelfAttention(nn.Module):
    """Cosine attention with a learnt sharpness per head, over the tokens of all scales so far."""

    def __init__(self, config: InfinityConfig):
        super().__init__()
        width, self.heads = config.dim, config.heads
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, self.heads, 1, 1), math.log(4)))
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, rope: Tensor, extend: Extend, mask: Tensor | None = None) -> Tensor:
        """x [G * B, n, C] -> the same shape; mask [n, n] is true where a token may look."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias]).to(x.dtype)
        parts = F.linear(x, self.mat_qkv.weight, bias).chunk(3, -1)
        query, key, value = (split_heads(part, self.heads) for part in parts)  # [G * B, H, n, E]
        sharpness = self.scale_mul_1H11.float().clamp(max=MOST_SHARP).exp()
        query = rotate(F.normalize(query.float(), dim=-1) * sharpness, rope).to(x.dtype)
        key = rotate(F.normalize(key.float(), dim=-1), rope).to(x.dtype)
        key, value = extend(key, value)
        seen = F.scaled_dot_product_attention(query, key, value, mask, scale=1.0)
        return self.proj(merge_heads(seen))


class CrossAttention(nn.Module):
    """Attention to the prompt. All beams read the same text, so they are queries of one call."""

    def __init__(self, config: InfinityConfig):
        super().__init__()
        width, self.heads = config.dim, config.heads
        self.mat_q = nn.Linear(width, width)
        self.mat_kv = nn.Linear(width, 2 * width, bias=False)
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def text_kv(self, text: Tensor) -> Tensor:
        """Text [G, T, C] -> keys and values [2, G, H, T, E], once a prompt."""
        return keys_and_values(self.mat_kv, self.v_bias, text, self.heads)

    def forward(self, x: Tensor, text_kv: Tensor) -> Tensor:
        """x [G, B, n, C] -> the same shape."""
        query = split_heads(self.mat_q(x.flatten(1, 2)), self.heads)  # [G, H, B * n, E]
        read = F.scaled_dot_product_attention(query, *text_kv)
        return self.proj(merge_heads(read)).view(x.shape)


class FeedForward(nn.Module):
    def __init__(self, config: InfinityConfig):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(config.dim, config.hidden), nn.Linear(config.hidden, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """One layer; modulated by the prompt through what all layers share plus `ada_gss` of its own."""

    def __init__(self, config: InfinityConfig):
        super().__init__()
        self.ada_gss = nn.Parameter(torch.randn(1, 1, 6, config.dim) / config.dim**0.5)
        self.sa, self.ca, self.ffn = SelfAttention(config), CrossAttention(config), FeedForward(config)
        self.ca_norm = nn.LayerNorm(config.dim, eps=EPS)

    def forward(self, x: Tensor, ada: Tensor, text_kv: Tensor, rope: Tensor, extend: Extend, mask=None) -> Tensor:
        """x [G, B, n, C] fp32 -> the same; ada [G, 6, C]."""
        gate1, gate2, scale1, scale2, shift1, shift2 = (ada + self.ada_gss[0])[:, :, None, None].unbind(1)
        dtype, halves = self.ffn.fc1.weight.dtype, x.shape[:2]  # [G, 1, 1, C] above
        inner = (norm(x) * (1 + scale1) + shift1).to(dtype).flatten(0, 1)
        x = x + gate1 * self.sa(inner, rope, extend, mask).unflatten(0, halves)
        x = x + self.ca(norm(x, self.ca_norm).to(dtype), text_kv)
        return x + gate2 * self.ffn((norm(x) * (1 + scale2) + shift2).to(dtype))
