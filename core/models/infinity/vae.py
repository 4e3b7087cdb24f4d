"""The autoencoder of Infinity: bits on grids of growing size become an image, and an image becomes bits.

A convolutional encoder and decoder without attention, 16 or 8 px per latent pixel, and a quantiser without parameters
that keeps only signs (Han et al. 2025, bitwise residual quantisation). The running sum of the first scales is a latent
too: decoded at any size, it is a preview. The latents are not normalised in any way. Module names are the official
ones, convolutions and norms wrapped as there, so that official weights need no new names.

Letters: B batch, d latent channels, h w latent size, H W image size, s t size of one scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32  # of every norm: the base width must be a multiple of it


@dataclass(frozen=True)
class VaeConfig:
    """One official autoencoder; `multipliers` has a level for every halving and one more."""

    latent_channels: int  # d
    multipliers: tuple[int, ...] = (1, 2, 4, 4, 4)  # widths of the levels, in base widths, full resolution first
    base: int = 128

    @property
    def stride(self) -> int:
        """Image pixels per latent pixel and side."""
        return 2 ** (len(self.multipliers) - 1)


F16, F8 = (1, 2, 4, 4, 4), (1, 2, 4, 4)
VAES = {  # by the name of their package
    "infinity-vae-d16": VaeConfig(16, F16),
    "infinity-vae-d32reg": VaeConfig(32, F16),
    "infinity-vae-d56": VaeConfig(14, F8),  # the transformer sees four of its pixels as one token of 56 bits
    "tiny-vae": VaeConfig(8, (1, 1, 1, 1, 1), 32),  # of the configuration `tiny`, never trained
    "tiny-vae-patchify": VaeConfig(6, (1, 1, 1, 1), 32),
}


def config_of(shapes: Mapping[str, Sequence[int]]) -> VaeConfig:
    """What the shapes of an autoencoder's weights say of it: `decoder.conv_in.conv.weight` and so on.

    Raises KeyError for the first name that an autoencoder must have and these have not.
    """
    levels = len({key.split(".")[2] for key in shapes if key.startswith("decoder.up.")})
    widths = [shapes[f"decoder.up.{level}.block.0.conv1.conv.weight"][0] for level in range(max(1, levels))]
    base = widths[0]
    return VaeConfig(shapes["decoder.conv_in.conv.weight"][1], tuple(width // base for width in widths), base)


class Conv(nn.Module):
    """A convolution under the name `conv`."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, stride: int = 1, padding: int | None = None):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Norm(nn.Module):
    """A group norm under the name `norm`."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ResBlock(nn.Module):
    """Two convolutions behind norms, and a 1x1 shortcut where the width changes."""

    def __init__(self, inside: int, outside: int):
        super().__init__()
        self.norm1, self.conv1 = Norm(inside), Conv(inside, outside)
        self.norm2, self.conv2 = Norm(outside), Conv(outside, outside)
        if inside != outside:
            self.nin_shortcut = Conv(inside, outside, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Downsample(nn.Module):
    """Halve the size; only the right and the lower edge are padded."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = Conv(width, width, stride=2, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the size by repeating pixels, then smooth."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = Conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _level(widths: Sequence[int]) -> nn.Module:
    """Residual blocks from width to width, under the name `block`."""
    level = nn.Module()
    level.block = nn.ModuleList([ResBlock(a, b) for a, b in zip(widths, widths[1:], strict=False)])
    return level


def _middle(width: int) -> nn.Module:
    middle = nn.Module()
    middle.block_1, middle.block_2 = ResBlock(width, width), ResBlock(width, width)
    return middle


class Encoder(nn.Module):
    """Image -> continuous latent."""

    def __init__(self, config: VaeConfig):
        super().__init__()
        widths = [config.base * multiplier for multiplier in config.multipliers]
        self.conv_in = Conv(3, widths[0])
        self.down = nn.ModuleList()
        before = widths[0]
        for number, width in enumerate(widths):
            level = _level([before, width, width])
            if number < len(widths) - 1:
                level.downsample = Downsample(width)
            self.down.append(level)
            before = width
        self.mid = _middle(before)
        self.norm_out, self.conv_out = Norm(before), Conv(before, config.latent_channels)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv_in(images)  # [B, base, H, W]
        for level in self.down:
            for block in level.block:
                x = block(x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        x = self.mid.block_2(self.mid.block_1(x))  # [B, 4 base, h, w]
        return self.conv_out(F.silu(self.norm_out(x)))  # [B, d, h, w]


class Decoder(nn.Module):
    """Latent -> image. Fully convolutional: any latent size will do."""

    def __init__(self, config: VaeConfig):
        super().__init__()
        widths = [config.base * multiplier for multiplier in config.multipliers]
        self.conv_in = Conv(config.latent_channels, widths[-1])
        self.mid = _middle(widths[-1])
        self.up = nn.ModuleList()  # by level as the encoder's: up.0 works at full resolution, and last
        for number, width in enumerate(widths):
            before = widths[min(number + 1, len(widths) - 1)]
            level = _level([before, width, width, width])
            if number:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out, self.conv_out = Norm(widths[0]), Conv(widths[0], 3)

    def forward(self, latent: Tensor) -> Tensor:
        x = self.conv_in(latent)  # [B, 4 base, h, w]
        x = self.mid.block_2(self.mid.block_1(x))
        for level in reversed(self.up):
            for block in level.block:
                x = block(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(F.silu(self.norm_out(x)))  # [B, 3, H, W]


class Vae(nn.Module):
    """Encoder, decoder and the quantiser between them. `encoder` is None where only images are wanted."""

    def __init__(self, config: VaeConfig, encoder: bool = True):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config) if encoder else None
        self.decoder = Decoder(config)

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] -> continuous latent [B, d, H / stride, W / stride].

        Raises ValueError for a size that is no multiple of the stride, and where the encoder was not loaded.
        """
        stride = self.config.stride
        if self.encoder is None:
            raise ValueError("this autoencoder has no encoder: load it from the official file with encoder=True")
        if any(side % stride for side in images.shape[-2:]):
            wide, high = images.shape[-1], images.shape[-2]
            raise ValueError(f"an image of {wide}x{high} px: both sides must be multiples of {stride} px; resize it")
        return self.encoder(images)

    def decode(self, latent: Tensor) -> Tensor:
        """A latent, or the running sum of some scales, [B, d, h, w] -> images [B, 3, H, W] in [-1, 1]."""
        return self.decoder(latent).clamp(-1, 1)

    def quantise(self, latent: Tensor, scales: Sequence[tuple[int, int]]) -> tuple[list[Tensor], Tensor]:
        """Bits of every scale, bool [B, d, s, t], and their sum [B, d, h, w], of a continuous latent.

        `scales` are sizes (s, t) in latent pixels; the last is the latent's own.
        """
        if tuple(scales[-1]) != tuple(latent.shape[-2:]):
            raise ValueError(f"the last scale is {tuple(scales[-1])}, the latent {tuple(latent.shape[-2:])}: make them "
                             "equal")
        total, bits = torch.zeros_like(latent), []
        for size in scales:
            drawn = area(latent - total, size) > 0
            total = total + upsampled(code(drawn), latent.shape[-2:])
            bits.append(drawn)
        return bits, total


def code(bits: Tensor) -> Tensor:
    """Bits [B, d, s, t] -> unit vectors over the channels: plus or minus 1 / sqrt(d)."""
    return (bits.float() * 2 - 1) / bits.shape[1] ** 0.5


def area(x: Tensor, size: Sequence[int]) -> Tensor:
    """Means over cells, [B, d, h, w] -> [B, d, s, t]."""
    return x if tuple(x.shape[-2:]) == tuple(size) else F.interpolate(x, size=tuple(size), mode="area")


def upsampled(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, [B, d, s, t] -> [B, d, h, w]."""
    same = tuple(x.shape[-2:]) == tuple(size)
    return x if same else F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
