"""The released Infinity models (Han et al. 2025) by name: shapes, their one right VAE, trained size, sampling.

A transformer gives good pictures only with the VAE and at the number of pixels it was trained with, so both are part
of its configuration. `tiny` and `tiny-patchify` have the same structure and no training; they are for tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.search.errors import BadRequest

TEXT_HEAD = 128  # text features per head of the attention that pools a prompt
PIXELS_PER_TOKEN = 16  # of every model: a stride of 16, or of 8 and patches of 2 x 2


@dataclass(frozen=True)
class InfinityConfig:
    """What a checkpoint's shapes follow from, and how it is sampled unless asked otherwise."""

    name: str
    depth: int
    dim: int
    heads: int
    chunks: int  # the blocks are stored in so many groups
    latent_channels: int
    patchify: bool = False  # a token is 2 x 2 latent positions
    text_dim: int = 2048  # of the text encoder's features
    vae: str = ""  # package with the only VAE that fits
    pixels: str = "1M"  # the size it was trained for, a key of schedule.LENGTHS
    cfg: float = 3.0  # guidance scale
    tau: float = 1.0  # temperature of the bits
    top_p: float = 0.97  # a bit is certain if the other value has at most 1 - top_p

    @property
    def bits(self) -> int:
        """Of one token."""
        return self.latent_channels * self.patch**2

    @property
    def patch(self) -> int:
        """Latent positions along one side of a token."""
        return 2 if self.patchify else 1

    @property
    def stride(self) -> int:
        """Pixels along one side of a latent position."""
        return PIXELS_PER_TOKEN // self.patch

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    @property
    def pool_heads(self) -> int:
        return self.text_dim // TEXT_HEAD

    @property
    def blocks_per_chunk(self) -> int:
        return self.depth // self.chunks

    @property
    def hidden(self) -> int:
        """Width inside the MLP: four times the model's, in whole 256."""
        return round(4 * self.dim / 256) * 256


CONFIGS = {
    config.name: config
    for config in (
        InfinityConfig("infinity-125m", 12, 768, 8, 4, 16, vae="infinity-vae-d16", pixels="0.06M", cfg=4.0, tau=0.5),
        InfinityConfig("infinity-2b", 32, 2048, 16, 8, 32, vae="infinity-vae-d32reg", tau=0.5),
        InfinityConfig("infinity-8b", 40, 3584, 28, 8, 14, True, vae="infinity-vae-d56"),
        InfinityConfig("infinity-8b-512", 40, 3584, 28, 8, 14, True, vae="infinity-vae-d56", pixels="0.25M"),
        InfinityConfig("tiny", 4, 128, 4, 2, 8, text_dim=256, vae="tiny-vae", pixels="0.06M"),
        InfinityConfig("tiny-patchify", 4, 128, 4, 2, 6, True, text_dim=256, vae="tiny-vae-patchify", pixels="0.06M"),
    )
}


def config_of(name: str) -> InfinityConfig:
    """The configuration of that name. Raises BadRequest with the names that there are."""
    if name not in CONFIGS:
        raise BadRequest(f"unknown Infinity model {name!r}: choose one of {', '.join(CONFIGS)}")
    return CONFIGS[name]
