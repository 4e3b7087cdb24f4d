"""Multi-scale bitwise tokenizer: an image becomes signs on grids of 1, 2, 3, 4, 6 and 8 tokens a side, and back.

Infinity's quantiser in small (Han et al. 2025, bitwise residual quantisation over next-scale grids, Tian et al. 2024).
The running sum of the first k scales can be decoded for every k: that is what previews are.

Letters: B batch, d bits per token, h latent side, s side of one scale, H image side.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class TokenizerConfig:
    image: int = 128  # px
    bits: int = 32  # d, sign bits per token
    widths: tuple[int, int, int] = (64, 128, 192)  # channels at 32, 16 and 8 px
    scales: tuple[int, ...] = SCALES

    @property
    def latent(self) -> int:
        return self.scales[-1]


class ResBlock(nn.Module):
    """Pre-activation residual block of two 3x3 convolutions."""

    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)  # a block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Encoder(nn.Module):
    def __init__(self, config: TokenizerConfig):
        super().__init__()
        a, b, c = config.widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),  # [B, 48, 32, 32]
            nn.Conv2d(48, a, 3, padding=1), ResBlock(a),
            nn.Conv2d(a, b, 4, stride=2, padding=1), ResBlock(b),  # [B, b, 16, 16]
            nn.Conv2d(b, c, 4, stride=2, padding=1), ResBlock(c), ResBlock(c),  # [B, c, 8, 8]
            nn.GroupNorm(8, c), nn.SiLU(), nn.Conv2d(c, config.bits, 1),
            nn.BatchNorm2d(config.bits, affine=False),  # centred channels: every bit is worth asking
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)  # [B, d, h, h], mean 0 and variance 1 per channel


class Decoder(nn.Module):
    def __init__(self, config: TokenizerConfig):
        super().__init__()
        a, b, c = config.widths
        self.body = nn.Sequential(
            nn.Conv2d(config.bits, c, 3, padding=1), ResBlock(c), ResBlock(c),  # [B, c, 8, 8]
            nn.Conv2d(c, 4 * b, 1), nn.PixelShuffle(2), ResBlock(b), ResBlock(b),  # [B, b, 16, 16]
            nn.Conv2d(b, 4 * a, 1), nn.PixelShuffle(2), ResBlock(a), ResBlock(a), ResBlock(a),  # [B, a, 32, 32]
            nn.GroupNorm(8, a), nn.SiLU(), nn.Conv2d(a, 48, 3, padding=1), nn.PixelShuffle(4),
        )  # fmt: skip

    def forward(self, latent: Tensor) -> Tensor:
        return self.body(latent)  # [B, 3, H, H], about [-1, 1]


class Tokenizer(nn.Module):
    """Encoder, residual sign quantiser and decoder."""

    def __init__(self, config: TokenizerConfig | None = None):
        super().__init__()
        self.config = config = config or TokenizerConfig()
        self.encoder, self.decoder = Encoder(config), Decoder(config).to(memory_format=torch.channels_last)
        start = torch.linspace(0.6, 0.3, len(config.scales))
        self.log_magnitude = nn.Parameter(start.log())  # one step length per scale

    def encode(self, images: Tensor) -> Tensor:
        """images [B, 3, H, H] in [-1, 1] -> continuous latent [B, d, h, h]."""
        return self.encoder(images)

    def upsample(self, codes: Tensor) -> Tensor:
        """codes [B, d, s, s] -> [B, d, h, h]."""
        h = self.config.latent
        return codes if codes.shape[-1] == h else F.interpolate(codes, size=(h, h), mode="bicubic")

    def downsample(self, latent: Tensor, side: int) -> Tensor:
        """latent [B, d, h, h] -> [B, d, side, side]."""
        return latent if latent.shape[-1] == side else F.adaptive_avg_pool2d(latent, side)

    def code(self, bits: Tensor, scale: int) -> Tensor:
        """Boolean bits [B, d, s, s] of scale number `scale` -> their contribution to the latent [B, d, h, h]."""
        signs = bits.to(self.log_magnitude.dtype) * 2 - 1
        return self.upsample(signs * self.log_magnitude[scale].exp())

    def quantise(self, latent: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Residual quantisation of `latent` [B, d, h, h], straight-through.

        Returns for every scale its bits [B, d, s, s] (bool) and the running sum after it [B, d, h, h], and the
        bit balance: the mean square over channels of the batch-mean soft sign, zero when every bit is fair.
        """
        total, bits, sums, balance = torch.zeros_like(latent), [], [], latent.new_zeros(())
        for number, side in enumerate(self.config.scales):
            residual = self.downsample(latent - total, side)  # [B, d, s, s]
            magnitude = self.log_magnitude[number].exp()
            signs = torch.where(residual > 0, 1.0, -1.0)
            balance = balance + torch.tanh(residual / magnitude).mean((0, 2, 3)).square().mean()
            quantised = signs * magnitude + (residual - residual.detach())  # straight-through
            total = total + self.upsample(quantised)
            bits.append(residual > 0)
            sums.append(total)
        return bits, sums, balance / len(self.config.scales)

    def decode(self, latent: Tensor) -> Tensor:
        """Running sum [B, d, h, h] -> images [B, 3, H, H], about [-1, 1]."""
        return self.decoder(latent.contiguous(memory_format=torch.channels_last))  # a twentieth less time on a CPU
