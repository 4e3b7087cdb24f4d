"""Infinity's next-scale transformer (Han et al. 2025): all bits of one grid from the running sum of those before.

The input of a scale is made of the earlier scales' bits, so the bits of a scale do not enter its own keys and values:
siblings share one pass. Knows no search, no files and no device but that of its weights. Names of parameters are the
official ones, with the blocks in one list and without the constant zero_k_bias.

Letters: G guided halves (prompt, no prompt), B beams, n tokens of a scale, T text tokens, C width, dt bits a token.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from core.models.infinity.conditioner import HeadModulation, TextContext, TextNorm, TextPool
from core.models.infinity.config import InfinityConfig
from core.models.infinity.kv import KVBatch
from core.models.infinity.layers import Block, norm
from core.models.infinity.rope import rope_table
from core.models.infinity.schedule import Schedule
from core.search.errors import BadRequest

MOST_WORDS = 512  # text tokens
MOST_SCALES = 15


class InfinityTransformer(nn.Module):
    def __init__(self, config: InfinityConfig):
        super().__init__()
        self.config, width = config, config.dim
        self.cfg_uncond = nn.Parameter(torch.randn(MOST_WORDS, config.text_dim) / config.text_dim**0.5)
        self.pos_start = nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.text_norm, self.text_proj_for_sos = TextNorm(config.text_dim), TextPool(config)
        self.text_proj_for_ca = nn.Sequential(
            nn.Linear(config.text_dim, width), nn.GELU("tanh"), nn.Linear(width, width)
        )
        self.lvl_embed, self.word_embed = nn.Embedding(MOST_SCALES, width), nn.Linear(config.bits, width)
        self.shared_ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head_nm, self.head = HeadModulation(width), nn.Linear(width, 2 * config.bits)

    def placed(self, device: str, dtype: torch.dtype) -> "InfinityTransformer":
        """Moved there, ready for inference: the blocks' matrices in `dtype`, all else in fp32."""
        matrices = {module for module in self.blocks.modules() if isinstance(module, nn.Linear)}
        for module in self.modules():  # one by one, so that a copy of the whole never exists
            wanted = dtype if module in matrices else torch.float32
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(device, wanted)
        return self.eval().requires_grad_(False)

    # The prompt

    def read(self, features: Tensor, guided: bool = True) -> TextContext:
        """Text features [T, text width] -> what every scale needs; with `guided` also that of no prompt."""
        if features.ndim != 2 or features.shape[1] != self.config.text_dim or not 0 < len(features) <= MOST_WORDS:
            raise BadRequest(
                f"text features of shape {list(features.shape)}: {self.config.name} reads 1 to {MOST_WORDS} tokens "
                f"of {self.config.text_dim} numbers; encode the prompt with the encoder it was trained with"
            )
        prompt = features.to(self.pos_start)
        halves = [prompt, self.cfg_uncond[: len(prompt)]] if guided else [prompt]
        text = self.text_norm(torch.stack(halves))  # [G, T, text width]
        start, words = self.text_proj_for_sos(text), self.text_proj_for_ca(text)
        ada = self.shared_ada_lin(start).unflatten(-1, (6, -1))
        return TextContext(start, ada, self.head_nm(start), tuple(block.ca.text_kv(words) for block in self.blocks))

    # The scales

    def step(self, scale: int, grid: Tensor | None, text: TextContext, cache: KVBatch, schedule: Schedule) -> Tensor:
        """Logits [G, B, n, dt, 2] of one scale from its input [B, n, dt]; None at scale 0, the same for all beams.

        The cache holds the earlier scales of every beam and takes up this one's.
        """
        x = self.embed(scale, grid, text).expand(-1, cache.count, -1, -1)
        rope = self._rope(scale, schedule)
        for layer, block in enumerate(self.blocks):
            x = block(x, text.ada, text.text_kv[layer], rope, partial(cache.extend, layer))
        return self.logits(x, text)

    def forward(self, grids: Sequence[Tensor | None], text: TextContext, schedule: Schedule) -> list[Tensor]:
        """All scales at once where all inputs are known: logits [G, B, n, dt, 2] a scale. Builds an n x n mask."""
        count = next((len(grid) for grid in grids if grid is not None), 1)
        inputs = [self.embed(scale, grid, text) for scale, grid in enumerate(grids)]
        x = torch.cat([one.expand(-1, count, -1, -1) for one in inputs], 2)
        rope = torch.cat([self._rope(scale, schedule) for scale in range(len(grids))], 1)
        mask = block_causal(schedule.tokens[: len(grids)]).to(x.device)
        for block, text_kv in zip(self.blocks, text.text_kv, strict=True):
            x = block(x, text.ada, text_kv, rope, lambda key, value: (key, value), mask)
        return list(self.logits(x, text).split(schedule.tokens[: len(grids)], 2))

    def embed(self, scale: int, grid: Tensor | None, text: TextContext) -> Tensor:
        """The tokens of a scale before the first block, [G, B, n, C]."""
        if grid is None:
            tokens = text.start[:, None, None] + self.pos_start
        else:
            tokens = self.word_embed(grid).expand(text.halves, -1, -1, -1)
        return tokens + self.lvl_embed.weight[scale]

    def logits(self, x: Tensor, text: TextContext) -> Tensor:
        """[G, B, n, C] -> one pair a bit, [G, B, n, dt, 2]; the second of a pair says that the bit is set."""
        scale, shift = text.head[:, :, None, None].unbind(1)  # [G, 1, 1, C]
        return self.head(norm(x) * (1 + scale) + shift).unflatten(-1, (-1, 2))

    def _rope(self, scale: int, schedule: Schedule) -> Tensor:
        grid, device = schedule.grids[scale], self.pos_start.device
        return rope_table(grid, schedule.reference, self.config.head_dim, device)


def block_causal(tokens: Sequence[int]) -> Tensor:
    """Mask [n, n], true where a token may look: at its own scale and those before."""
    level = torch.repeat_interleave(torch.arange(len(tokens)), torch.tensor(tokens))
    return level[:, None] >= level[None, :]
