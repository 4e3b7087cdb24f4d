"""Next-scale model: predicts all bits of one grid from the grids before it (Tian et al. 2024; Han et al. 2025).

Block-causal transformer: tokens of scale k see every token of scales <= k. The input of scale k is the running sum
of the scales before it, so the bits of a scale do not enter its own keys and values: siblings share one pass.

Letters: B batch, L = 130 tokens of all scales, n tokens of one scale, d bits, D width, h latent side.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.layers import HEAD, Block, Sized, block_flops, grid_positions, text_kv_flops
from core.models.text import TextEncoder
from core.models.tokenizer import SCALES, Tokenizer


@dataclass(frozen=True)
class NextScaleConfig(Sized):
    bits: int = 32
    scales: tuple[int, ...] = SCALES


@dataclass(frozen=True)
class TextContext:
    """What the image tokens need of B prompts: modulation [B, 6, D], start [B, D], keys and values per block, mask."""

    modulation: Tensor
    head: Tensor  # [B, 2, D] scale and shift before the last projection
    start: Tensor
    text_kv: tuple[tuple[Tensor, Tensor], ...]
    mask: Tensor


class NextScale(nn.Module):
    def __init__(self, config: NextScaleConfig | None = None):
        super().__init__()
        self.config = config = config or NextScaleConfig()
        width, depth = config.width, config.depth
        self.text = TextEncoder(width)
        self.shared_ada, self.head_ada = nn.Linear(width, 6 * width), nn.Linear(width, 2 * width)
        self.start = nn.Linear(width, width)
        self.embed = nn.Linear(config.bits, width)
        self.level = nn.Parameter(torch.randn(len(config.scales), width) * 0.1)
        self.blocks = nn.ModuleList(Block(width, depth) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, config.bits)
        for layer in (self.shared_ada, self.head_ada, self.head):
            nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        for number, side in enumerate(config.scales):
            self.register_buffer(f"grid{number}", grid_positions(side, width), persistent=False)

    def read(self, indices: Tensor) -> TextContext:
        """Word indices [B, T] -> what every step needs of the prompt."""
        text, pooled, mask = self.text(indices)
        condition = F.silu(pooled)
        modulation = self.shared_ada(condition).unflatten(-1, (6, -1))
        head = self.head_ada(condition).unflatten(-1, (2, -1))
        return TextContext(modulation, head, self.start(pooled), tuple(b.text_kv(text) for b in self.blocks), mask)

    def inputs(self, number: int, grid: Tensor | None, context: TextContext) -> Tensor:
        """Tokens of scale `number` from the downsampled running sum [B, d, s, s] (None at scale 0): [B, n, D]."""
        tokens = context.start[:, None] if grid is None else self.embed(grid.flatten(2).transpose(1, 2))
        return tokens + self.level[number] + getattr(self, f"grid{number}")

    def logits(self, x: Tensor, context: TextContext) -> Tensor:
        """[B, L, D] -> one logit per bit [B, L, d]; positive means the bit is set."""
        scale, shift = context.head.unsqueeze(2).unbind(1)  # [B, 1, D]
        return self.head(self.norm(x) * (1 + scale) + shift)

    def forward(self, grids: list[Tensor | None], indices: Tensor) -> Tensor:
        """All scales at once, for training: grids per scale [B, d, s, s] -> logits [B, L, d]."""
        context = self.read(indices)
        x = torch.cat([self.inputs(number, grid, context) for number, grid in enumerate(grids)], 1)
        mask = block_causal(self.config.scales).to(x.device)
        for block, text_kv in zip(self.blocks, context.text_kv, strict=True):
            x = block(x, context.modulation, text_kv, context.mask, mask=mask)
        return self.logits(x, context)

    def cache(self, number: int, count: int) -> Tensor:
        """Room for the keys and values of `count` sequences up to scale `number`: [depth, 2, B, H, P + n, E]."""
        heads, seen = self.config.width // HEAD, sum(side**2 for side in self.config.scales[: number + 1])
        return torch.empty(self.config.depth, 2, count, heads, seen, HEAD)

    def step(self, number: int, grid: Tensor | None, context: TextContext, cache: Tensor) -> Tensor:
        """Logits [B, n, d] of one scale. The cache holds the earlier scales; this scale's are written behind them."""
        x = self.inputs(number, grid, context)
        for block, text_kv, own in zip(self.blocks, context.text_kv, cache, strict=True):
            x = block(x, context.modulation, text_kv, context.mask, own)
        return self.logits(x, context)

    def step_flops(self, number: int, words: int) -> float:
        """FLOPs of scale `number` for one sequence, without guidance; scale 0 includes reading the prompt."""
        width, tokens = self.config.width, self.config.scales[number] ** 2
        seen = sum(side**2 for side in self.config.scales[: number + 1])
        flops = self.config.depth * block_flops(width, tokens, seen, words) + tokens * 4 * width * self.config.bits
        return flops + (0 if number else self.text_flops(words))

    def text_flops(self, words: int) -> float:
        """FLOPs of reading a prompt of `words` tokens once."""
        width = self.config.width
        return self.text.flops(words) + self.config.depth * text_kv_flops(width, words) + 18 * width * width


def block_causal(scales: tuple[int, ...]) -> Tensor:
    """Mask [L, L], true where a token may look: at its own scale and those before."""
    level = torch.cat([torch.full((side * side,), number) for number, side in enumerate(scales)])
    return level[:, None] >= level[None, :]


def corrupted_history(tokenizer: Tokenizer, latent: Tensor, rate: Tensor, noise: torch.Generator):
    """Quantise latent [B, d, h, h] while flipping a share `rate` [B, 1, 1, 1] of the bits of every scale.

    Targets of later scales are recomputed from the flipped history, so the model learns to mend its own mistakes
    (Han et al. 2025, bitwise self-correction). Returns inputs and target bits per scale.
    """
    total, grids, targets = torch.zeros_like(latent), [], []
    for number, side in enumerate(tokenizer.config.scales):
        grids.append(tokenizer.downsample(total, side) if number else None)
        bits = tokenizer.downsample(latent - total, side) > 0  # [B, d, s, s]
        flips = torch.rand(bits.shape, generator=noise, device=latent.device) < rate
        targets.append(bits)
        total = total + tokenizer.code(bits ^ flips, number)
    return grids, targets
