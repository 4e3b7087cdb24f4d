"""Flow-matching transformer in the tokenizer's latent: the diffusion baseline (Lipman et al. 2023; Peebles & Xie 2023).

Time runs from t = 1 (noise) to t = 0 (image): x_t = (1 - t) x0 + t noise. The network predicts x0; the loss is that
of the velocity v = noise - x0 (Li & He 2025). Same text stack, blocks, width and depth as the next-scale model.

Letters: B batch, d latent channels, h latent side, D width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.layers import Block, Sized, block_flops, grid_positions, text_kv_flops
from core.models.text import TextEncoder

LEAST_T = 0.05  # velocities are read off x0 only above this time


@dataclass(frozen=True)
class FlowConfig(Sized):
    channels: int = 32
    side: int = 8


class Flow(nn.Module):
    def __init__(self, config: FlowConfig | None = None):
        super().__init__()
        self.config = config = config or FlowConfig()
        width, depth = config.width, config.depth
        self.text = TextEncoder(width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.shared_ada, self.head_ada = nn.Linear(width, 6 * width), nn.Linear(width, 2 * width)
        self.embed = nn.Linear(config.channels, width)
        self.blocks = nn.ModuleList(Block(width, depth) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, config.channels)
        self.register_buffer("latent_std", torch.ones(()))  # the latent is divided by this before it is noised
        for layer in (self.shared_ada, self.head_ada, self.head):
            nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        self.register_buffer("grid", grid_positions(config.side, width), persistent=False)

    def read(self, indices: Tensor) -> tuple:
        """Word indices [B, T] -> (pooled, keys and values per block, mask), computed once a prompt."""
        text, pooled, mask = self.text(indices)
        return pooled, tuple(block.text_kv(text) for block in self.blocks), mask

    def predict(self, x: Tensor, t: Tensor, read: tuple) -> Tensor:
        """Noisy latent [B, d, h, h] at times t [B] -> predicted image latent x0_hat [B, d, h, h]."""
        pooled, text_kv, mask = read
        condition = F.silu(pooled + self.time(time_features(t, self.config.width)))
        modulation = self.shared_ada(condition).unflatten(-1, (6, -1))
        tokens = self.embed(x.flatten(2).transpose(1, 2)) + self.grid  # [B, h * h, D]
        for block, kv in zip(self.blocks, text_kv, strict=True):
            tokens = block(tokens, modulation, kv, mask)
        scale, shift = self.head_ada(condition).unflatten(-1, (2, -1)).unsqueeze(2).unbind(1)
        return self.head(self.norm(tokens) * (1 + scale) + shift).transpose(1, 2).unflatten(2, x.shape[2:])

    def forward(self, x: Tensor, t: Tensor, indices: Tensor) -> Tensor:
        return self.predict(x, t, self.read(indices))

    def step_flops(self, words: int) -> float:
        """FLOPs of one call for one latent, without guidance and without reading the prompt."""
        width, tokens = self.config.width, self.config.side**2
        ends = tokens * 4 * width * self.config.channels + 20 * width * width
        return self.config.depth * block_flops(width, tokens, tokens, words) + ends

    def text_flops(self, words: int) -> float:
        """FLOPs of reading a prompt of `words` tokens once."""
        return self.text.flops(words) + self.config.depth * text_kv_flops(self.config.width, words)


def time_features(t: Tensor, width: int) -> Tensor:
    """Sine and cosine features of t [B] in [0, 1]: [B, width]."""
    rates = torch.exp(torch.linspace(0, math.log(1000), width // 2, device=t.device))
    angles = t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


def velocity(x: Tensor, x0_hat: Tensor, t: Tensor) -> Tensor:
    """v = (x_t - x0_hat) / t, with t [B] kept above LEAST_T."""
    return (x - x0_hat) / t.clamp(min=LEAST_T)[:, None, None, None]


def x0_from_velocity(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """The inverse of `velocity` for t >= LEAST_T."""
    return x - t[:, None, None, None] * v
