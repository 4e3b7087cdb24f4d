"""Image-text reward: how well an image shows what a prompt says. One scalar, higher is better.

ImageReward in small (Xu et al. 2023): an image trunk, text that cross-attends to it, a scalar head, trained by
Bradley-Terry. Here every word ends with a penalty of its own and the score is what the penalties leave, because
an image fails a prompt word by word.

Letters: B pairs, N image tokens (64), T words, D width, H heads, E head width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.layers import HEAD, grid_positions, merge_heads, split_heads
from core.models.text import TABLE, TextBlock
from core.models.tokenizer import ResBlock
from core.world.captions import MAX_WORDS


@dataclass(frozen=True)
class RewardConfig:
    widths: tuple[int, int, int] = (64, 96, 128)  # channels at 32, 16 and 8 px; the last is D
    text_depth: int = 1  # layers that read the prompt alone
    fusion_depth: int = 3  # layers that look at the image
    side: int = 8  # image tokens a side


class Trunk(nn.Module):
    """Images [B, 3, 128, 128] in [-1, 1] -> tokens [B, N, D]."""

    def __init__(self, config: RewardConfig):
        super().__init__()
        a, b, c = config.widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, a, 3, padding=1), ResBlock(a),  # [B, a, 32, 32]
            nn.Conv2d(a, b, 4, stride=2, padding=1), ResBlock(b),  # [B, b, 16, 16]
            nn.Conv2d(b, c, 4, stride=2, padding=1), ResBlock(c), ResBlock(c),  # [B, c, 8, 8]
        )  # fmt: skip
        self.norm = nn.LayerNorm(c)

    def forward(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        return self.norm(self.body(images).flatten(2).transpose(1, 2))


class Fusion(nn.Module):
    """Words look at the image, then at each other."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.query, self.proj = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        # A key that is no place: against it the softmax tells three cats from two.
        self.nowhere = nn.Parameter(torch.zeros(2, width))
        self.block = TextBlock(width)

    def look(self, tokens: Tensor) -> Tensor:
        """tokens [B, N, D] -> keys and values [2, B, H, N + 1, E]."""
        seen = torch.stack(self.key_value(tokens).chunk(2, -1))
        nowhere = self.nowhere[:, None, None].expand(-1, len(tokens), -1, -1)
        return split_heads(torch.cat([seen, nowhere], 2).flatten(0, 1)).unflatten(0, (2, -1))

    def forward(self, x: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
        query = split_heads(self.query(self.norm(x)))
        x = x + self.proj(merge_heads(F.scaled_dot_product_attention(query, seen[0], seen[1])))
        return self.block(x, mask)


class Reward(nn.Module):
    """score = level - sum over words of their penalties, then standardised by two measured constants."""

    def __init__(self, config: RewardConfig | None = None):
        super().__init__()
        self.config = config = config or RewardConfig()
        width = config.widths[-1]
        assert width % HEAD == 0
        self.trunk = Trunk(config)
        self.cells = nn.Parameter(grid_positions(config.side, width))  # where an image token is
        self.words = nn.Embedding(TABLE, width)
        self.places = nn.Parameter(torch.randn(MAX_WORDS + 1, width) * 0.3)
        # A word learns its neighbours at once: whose colour it is, what stands to the left of what.
        self.phrase = nn.Conv1d(width, width, 7, padding=3)
        self.text = nn.ModuleList(TextBlock(width) for _ in range(config.text_depth))
        self.fusion = nn.ModuleList(Fusion(width) for _ in range(config.fusion_depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.level = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("faithful", torch.tensor(1.0))  # mean raw score of faithful clean renders: becomes 1
        self.register_buffer("mismatch", torch.tensor(-1.0))  # mean raw score of random mismatches: becomes -1

    def read(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Word indices [B, T], 0 padding -> features [B, T, D] and the mask of real words [B, 1, 1, T]."""
        mask = (words > 0)[:, None, None]
        x = self.words(words) * (words > 0)[..., None]
        x = x + self.phrase(x.mT).mT + self.places[: words.shape[1]]
        for block in self.text:
            x = block(x, mask)
        return x, mask

    def look(self, tokens: Tensor) -> Tensor:
        """Image tokens [B, N, D] -> what every fusion layer sees of them, [layers, 2, B, H, N + 1, E]."""
        return torch.stack([layer.look(tokens + self.cells) for layer in self.fusion])

    def penalties(self, text: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
        """How far the image fails each word: non-negative [B, T], zero on padding."""
        for layer, part in zip(self.fusion, seen, strict=True):
            text = layer(text, mask, part)
        return F.softplus(self.head(text).squeeze(-1)) * mask[:, 0, 0]

    def standardise(self, raw: Tensor) -> Tensor:
        return 2 * (raw - self.mismatch) / (self.faithful - self.mismatch) - 1

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        """images [B, 3, 128, 128] and word indices [B, T] -> standardised scores [B]."""
        text, mask = self.read(words)
        return self.standardise(self.level - self.penalties(text, mask, self.look(self.trunk(images))).sum(-1))
