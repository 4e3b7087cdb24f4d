"""What Infinity costs before anything runs: FLOPs and bytes of every scale, and how many candidates fit in memory.

FLOPs are two a multiplication; norms, embedding and head are left out, together less than a hundredth. A candidate
holds keys and values of its scales but for the last one, which nothing reads. Candidates with a common beginning hold
that once; the planner does not count on it.

Letters: n tokens of a scale, P tokens up to and with it, T text tokens, C width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.models.infinity.config import InfinityConfig
from core.models.infinity.schedule import Grid, Schedule
from core.models.infinity.vae import VaeConfig

WORDS = 64  # text tokens of a nominal prompt
HALVES = 2  # with guidance every pass has a half with and one without the prompt
FLOAT = 4  # bytes of fp32

# Numbers that a pass holds at a time for each token, in widths, measured: in fp32, and in the blocks' dtype.
EXACT_WIDTHS, BLOCK_WIDTHS = 1, 8
# Feature maps of full size that the decoder holds at a time, measured: with the channels of its last upsampling, and
# with those of its last level.
UPSAMPLED_MAPS, LAST_MAPS = 2, 3

# FLOPs


def step_flops(
    config: InfinityConfig, schedule: Schedule, scale: int, words: int = WORDS, halves: int = HALVES
) -> float:
    """Of one pass over a scale; of every layer its products with weights, with tokens so far, and with the text."""
    n, c, seen = schedule.tokens[scale], config.dim, schedule.seen(scale)
    matrices = 2 * n * (6 * c**2 + 2 * c * config.hidden)  # 4 of self-attention, 2 to read the text, 2 of the MLP
    return float(halves * config.depth * (matrices + 4 * n * seen * c + 4 * n * words * c))


def image_flops(config: InfinityConfig, schedule: Schedule, words: int = WORDS, halves: int = HALVES) -> float:
    """Of all scales of one image."""
    return sum(step_flops(config, schedule, scale, words, halves) for scale in range(len(schedule.tokens)))


def read_flops(config: InfinityConfig, words: int = WORDS, halves: int = HALVES) -> float:
    """Of the prompt's features once they are encoded: the pool, the modulations, keys and values of all layers."""
    c, t = config.dim, config.text_dim
    pool = words * t * 2 * c + 2 * words * c + c**2
    text = words * (t * c + c**2) + config.depth * words * 2 * c**2
    return 2.0 * halves * (pool + text + 8 * c**2)


def encode_flops(words: int = WORDS, layers: int = 24, width: int = 2048, hidden: int = 5120) -> float:
    """Of a T5 encoder, by default flan-t5-xl: four projections, attention, and an MLP of three matrices."""
    return float(layers * (2 * words * (4 * width**2 + 3 * width * hidden) + 4 * words**2 * width))


def decode_flops(vae: VaeConfig, latent: Grid) -> float:
    """Of decoding one latent of that many rows and columns."""
    return 2.0 * sum(pixels * area * a * b for pixels, area, a, b in _convolutions(vae, latent[0] * latent[1]))


def _convolutions(vae: VaeConfig, pixels: int) -> Iterator[tuple[int, int, int, int]]:
    """Those of the decoder: output pixels, kernel area, channels before and after."""
    widths = [vae.base * multiplier for multiplier in vae.multipliers]
    before = widths[-1]
    yield pixels, 9, vae.latent_channels, before
    yield from [(pixels, 9, before, before)] * 4  # the middle
    for level, width in reversed(list(enumerate(widths))):
        for _ in range(3):
            yield from [(pixels, 9, before, width), (pixels, 9, width, width)]
            if before != width:
                yield pixels, 1, before, width
            before = width
        if level:
            pixels *= 4
            yield pixels, 9, width, width
    yield pixels, 9, before, 3


# Bytes


def token_bytes(config: InfinityConfig, itemsize: int = 2) -> int:
    """Keys and values of one token in all layers, of one half."""
    return 2 * config.dim * config.depth * itemsize


def decode_bytes(vae: VaeConfig, latent: Grid, itemsize: int = FLOAT) -> int:
    """Working memory of decoding one latent."""
    upsampled, last = vae.multipliers[:2][-1], vae.multipliers[0]
    maps = vae.base * (UPSAMPLED_MAPS * upsampled + LAST_MAPS * last)
    return maps * latent[0] * latent[1] * vae.stride**2 * itemsize


@dataclass(frozen=True)
class Planner:
    """What candidates hold and passes take, and so how many there is room for. `room`: free bytes beside weights."""

    config: InfinityConfig
    schedule: Schedule
    itemsize: int = 2  # bytes of a number in the blocks
    halves: int = HALVES

    def segment(self, scale: int) -> int:
        """Keys and values that a candidate keeps of one scale."""
        last = scale == len(self.schedule.tokens) - 1
        return 0 if last else self.halves * self.schedule.tokens[scale] * token_bytes(self.config, self.itemsize)

    def held(self, scale: int) -> int:
        """Of a candidate that has taken this scale: keys and values of all so far, its latent, its bits."""
        rows, columns = self.schedule.latent()
        latent = rows * columns * self.config.latent_channels * FLOAT
        return sum(map(self.segment, range(scale + 1))) + latent + self.schedule.seen(scale) * self.config.bits

    def passing(self, scale: int) -> int:
        """Working memory of a pass for one candidate: a layer's keys and values of all tokens, a block's numbers."""
        gathered = 2 * self.schedule.seen(scale) * self.itemsize
        block = self.schedule.tokens[scale] * (EXACT_WIDTHS * FLOAT + BLOCK_WIDTHS * self.itemsize)
        return self.halves * self.config.dim * (gathered + block)

    def candidates(self, scale: int, room: int) -> int:
        """The most that may stand at a scale, each with its own beginning, if passes take them one by one."""
        return max(0, (room - self.passing(scale)) // self.held(scale))

    def batch(self, scale: int, count: int, room: int) -> int:
        """How many of `count` candidates a pass takes at a time, at least one; `room` with all of them in memory."""
        left = room - count * self.segment(scale)
        return min(count, max(1, left // self.passing(scale)))
