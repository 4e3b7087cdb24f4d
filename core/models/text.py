"""Text stack of the embedded models: word embeddings and a small transformer, trained with its image model.

Letters: B batch, T words, D width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.layers import HEAD, merge_heads, split_heads
from core.world.captions import MAX_WORDS, VOCABULARY, encode

NOMINAL_WORDS = 12  # prices assume a prompt of this length, so that a run costs what was forecast
TABLE = 128  # rows of the embedding: the vocabulary and room for words to come


def tokenise(prompts: list[str]) -> Tensor:
    """Prompts -> padded word indices [B, T]; 0 is padding. The empty prompt is the unconditional one."""
    rows = [torch.tensor(encode(prompt)) for prompt in prompts]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


class TextBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = map(split_heads, self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.proj(merge_heads(F.scaled_dot_product_attention(query, key, value, mask)))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class TextEncoder(nn.Module):
    """Word indices [B, T] -> features [B, T, D], pooled [B, D] and the mask of real words [B, 1, 1, T]."""

    def __init__(self, width: int, depth: int = 2):
        super().__init__()
        assert len(VOCABULARY) <= TABLE and width % HEAD == 0
        self.words = nn.Embedding(TABLE, width)
        self.places = nn.Parameter(torch.randn(MAX_WORDS + 1, width) * 0.3)
        self.blocks = nn.ModuleList(TextBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, width)

    def forward(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real = indices > 0  # [B, T]
        mask = real[:, None, None]
        x = self.words(indices) + self.places[: indices.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        weight = real.unsqueeze(-1).to(x.dtype)
        return x, self.pool((x * weight).sum(1) / weight.sum(1)), mask

    def flops(self, words: int) -> float:
        """FLOPs of reading one prompt of `words` tokens."""
        width, depth = self.places.shape[1], len(self.blocks)
        return depth * (words * 16 * width * width + 4 * words * words * width) + 2 * width * width
