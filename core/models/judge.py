"""The judge: answers yes/no questions about an image one by one. One logit for each question.

A finer grid than the reward's and a second look at it: every image token first says what it shows, the words of a
question gather the tokens that show them (how many, where, in what look), then look again freely. The gathering
follows neural module networks (Andreas et al. 2016) and soft counting (Zhang et al. 2018); naming is taught by an
auxiliary task whose answers are known because the scenes were drawn by us.

Letters: B images, N image tokens (256), P questions, S slots of a question (7: its kind, then its words), D width,
W words that a token can name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.layers import HEAD, grid_positions, merge_heads, split_heads
from core.models.text import TABLE, TextBlock
from core.models.tokenizer import ResBlock
from core.world.captions import INDEX
from core.world.questions import ASKED, MAX_NOUNS, Question
from core.world.vocabulary import BACKGROUNDS, COLOURS, KINDS, PATTERNS, SIZE_NAMES

SLOTS = 1 + MAX_NOUNS
# Families of words: a token names one of each or none. The last is of tokens that show no thing.
NAMED = ([kind.noun for kind in KINDS], list(COLOURS), list(PATTERNS), list(SIZE_NAMES), list(BACKGROUNDS))
FAMILIES = tuple(1 + len(words) for words in NAMED)  # with "none" first
MOST = 6  # things that are counted apart
# Where the second thing lies from the first, by relation; next is no direction.
WAYS = {"left": (1.0, 0.0), "right": (-1.0, 0.0), "above": (0.0, 1.0), "below": (0.0, -1.0), "next": (0.0, 0.0)}
FILLED = 0.84  # side of what tokens name of a thing, in sides of its square


def encode(questions: Sequence[Question]) -> Tensor:
    """[P, S] indices: the kind, from 1, and the words; 0 is padding."""
    rows = [[1 + ASKED.index(q.kind), *(INDEX[word] for word in q.words)] for q in questions]
    return torch.tensor([row + [0] * (SLOTS - len(row)) for row in rows], dtype=torch.long).view(-1, SLOTS)


def _columns(*families: Sequence[str]) -> Tensor:
    """Word index [TABLE] -> its column among the maps of NAMED; W, an empty one, for words of no such family."""
    columns, start = torch.full((TABLE,), sum(map(len, NAMED))), 0
    for family in NAMED:
        if family in families:
            columns[[INDEX[word] for word in family]] = start + torch.arange(len(family))
        start += len(family)
    return columns


@dataclass(frozen=True)
class JudgeConfig:
    widths: tuple[int, int, int] = (64, 128, 144)  # channels at 32, 16 and 8 px; the second is D
    depth: int = 2  # layers in which image tokens see each other
    fusion_depth: int = 2  # layers in which the words of a question see the image and each other
    side: int = 16  # image tokens a side


class Trunk(nn.Module):
    """Images [B, 3, 128, 128] in [-1, 1] -> tokens [B, N, D]: down to an 8 x 8 grid for the whole, and back up."""

    def __init__(self, config: JudgeConfig):
        super().__init__()
        a, b, c = config.widths
        self.fine = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, a, 3, padding=1),
            ResBlock(a), ResBlock(a), ResBlock(a),  # [B, a, 32, 32]
            nn.Conv2d(a, b, 4, stride=2, padding=1), ResBlock(b), ResBlock(b),  # [B, b, 16, 16]
        )  # fmt: skip
        self.coarse = nn.Sequential(
            nn.Conv2d(b, c, 3, stride=2, padding=1), ResBlock(c), ResBlock(c),  # [B, c, 8, 8]
            nn.Conv2d(c, b, 1), nn.Upsample(scale_factor=2),  # [B, b, 16, 16]
        )  # fmt: skip
        self.join = ResBlock(b)
        self.places = nn.Parameter(grid_positions(config.side, b))
        self.blocks = nn.ModuleList(TextBlock(b) for _ in range(config.depth))
        self.norm = nn.LayerNorm(b)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.fine(images.contiguous(memory_format=torch.channels_last))
        tokens = self.join(fine + self.coarse(fine)).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            tokens = block(tokens, None)
        return self.norm(tokens)


class Naming(nn.Module):
    """What every token shows: one word of each family or none, and whether a thing has its centre there."""

    def __init__(self, width: int):
        super().__init__()
        self.out = nn.Linear(width, sum(FAMILIES) + 1)
        nn.init.constant_(self.out.bias[-1:], -4.0)  # few tokens are centres

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, N, D] -> logits [B, N, sum(FAMILIES) + 1]; the last is of a centre."""
        return self.out(tokens)


def maps(names: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of `Naming` -> maps of words [B, W + 1, N], of background [B, N], of centres [B, N]; in [0, 1].

    The last map of a word is empty: for words that no token names.
    """
    *families, centre = names.split((*FAMILIES, 1), -1)
    parts = [family.softmax(-1) for family in families]
    words = torch.cat([*(part[..., 1:] for part in parts), torch.zeros_like(centre)], -1)
    return words.mT, parts[0][..., 0], centre[..., 0].sigmoid()


class Gather(nn.Module):
    """What the image shows of each slot's word: the tokens that show it, how many things, where, how they look."""

    FEATURES = MOST + 16

    def __init__(self, config: JudgeConfig):
        super().__init__()
        width = config.widths[1]
        self.side = config.side
        self.value, self.proj = nn.Linear(width, width), nn.Linear(width, width)
        self.told = nn.Sequential(nn.Linear(self.FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.register_buffer("columns", _columns(*NAMED[:-1]), persistent=False)
        self.register_buffer("grounds", _columns(NAMED[-1]), persistent=False)  # "blue" is another map there
        ways = torch.zeros(TABLE, 2)
        ways[[INDEX[name] for name in WAYS]] = torch.tensor(list(WAYS.values()))
        self.register_buffer("ways", ways, persistent=False)
        centres = (torch.arange(config.side) + 0.5) / config.side
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        self.register_buffer("places", torch.stack([columns, rows], -1).view(-1, 2), persistent=False)  # x, y: [N, 2]

    def forward(self, tokens: Tensor, names: Tensor, asked: Tensor) -> Tensor:
        """tokens [B, N, D], names of `Naming`, asked [B, P, S] -> [B, P, S, D]."""
        words, ground, centre = maps(names)
        about_ground = asked[..., :1] == 1 + ASKED.index("background")
        column = torch.where(about_ground, self.grounds[asked], self.columns[asked])
        batch = torch.arange(len(asked), device=asked.device)[:, None, None]
        shown = words[batch, column]  # [B, P, S, N]
        # The slot of the kind gathers what is no thing at all: the background.
        shown = torch.cat([ground[:, None, None].expand(-1, asked.shape[1], 1, -1), shown[:, :, 1:]], 2)
        pooled = shown @ self.value(tokens)[:, None] / (shown.sum(-1, keepdim=True) + 1)
        return self.proj(pooled) + self.told(self._told(shown, centre[:, None, None], asked))

    def _told(self, shown: Tensor, centre: Tensor, asked: Tensor) -> Tensor:
        """Maps [B, P, S, N], centres [B, 1, 1, N], asked [B, P, S] -> numbers [B, P, S, FEATURES] about each slot.

        The slot of the kind counts the things that no word of the question names. Places and looks are also told
        against those of the first word: "is the car left of the tree?", "is the car red?".
        """
        things = shown * centre
        count = things.sum(-1, keepdim=True)
        rest = (centre.sum(-1, keepdim=True) - count[:, :, 1:].sum(2, keepdim=True)).expand_as(count[:, :, :1])
        count = torch.cat([rest, count[:, :, 1:]], 2)
        number = torch.exp(-2 * (count - torch.arange(MOST + 1, device=count.device)).square())  # soft one-hot
        mass = shown.sum(-1, keepdim=True)
        size = ((mass + 0.1) / (count.clamp(min=0) + 0.3)).sqrt() / 10
        place = things @ self.places / (things.sum(-1, keepdim=True) + 0.05)
        first = slice(1, 2)
        away = place - place[:, :, first]
        overlap = (things * shown[:, :, first]).sum(-1, keepdim=True) / (count[:, :, first].clamp(min=0) + 0.1)
        within = (shown * shown[:, :, first]).sum(-1, keepdim=True) / (mass[:, :, first] + 0.5)
        sizes = (size, size[:, :, first].expand_as(size))
        told = (number, count, mass / 32, place, away, away.abs(), *sizes, overlap, within)
        return torch.cat(
            [*told, (away[..., :1].abs() - away[..., 1:].abs()), self._holds(away, mass, count, asked)], -1
        )

    def _holds(self, away: Tensor, mass: Tensor, count: Tensor, asked: Tensor) -> Tensor:
        """How clearly the relation that is asked about holds from the first word to each, as scene.holds: [B, P, S, 2].

        The second number is for next, the first for the others; where it is not asked about, both are zero.
        """
        way = self.ways[asked[:, :, 2]][:, :, None]  # [B, P, 1, 2]
        straight = way.abs().sum(-1, keepdim=True)
        sides = ((mass + 0.1) / (count.clamp(min=0) + 0.1)).sqrt() / self.side / FILLED
        mean = (sides + sides[:, :, 1:2]) / 2
        along, across = (away * way).sum(-1, keepdim=True), (away * way.flip(-1)).sum(-1, keepdim=True).abs()
        clear = torch.minimum(along - 0.5 * mean, along - across)
        gap = ((away.abs() - mean).clamp(min=0).square().sum(-1, keepdim=True) + 1e-6).sqrt()
        related = (asked[:, :, :1] == 1 + ASKED.index("relation"))[..., None].float()
        return 4 * related * torch.cat([straight * clear, (1 - straight) * (0.5 * mean - gap)], -1)


class Look(nn.Module):
    """The words of a question look at the image, then at each other."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.query, self.proj = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.nowhere = nn.Parameter(torch.zeros(2, width))  # a key that is no place: so that nothing can be found
        self.block = TextBlock(width)

    def forward(self, x: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """x [B, P, S, D], mask [B * P, 1, 1, S], tokens [B, N, D] -> the new x."""
        query = split_heads(self.query(self.norm(x)).flatten(1, 2))
        seen = torch.cat([self.key_value(tokens), self.nowhere.view(1, 1, -1).expand(len(x), -1, -1)], 1)
        key, value = map(split_heads, seen.chunk(2, -1))
        found = self.proj(merge_heads(F.scaled_dot_product_attention(query, key, value)))
        x = x + found.view_as(x)
        return self.block(x.flatten(0, 1), mask).view_as(x)


class Judge(nn.Module):
    """Images and questions -> logits of yes, at the temperature that was measured after training."""

    def __init__(self, config: JudgeConfig | None = None):
        super().__init__()
        self.config = config = config or JudgeConfig()
        width = config.widths[1]
        assert width % HEAD == 0
        self.trunk, self.naming, self.gather = Trunk(config), Naming(width), Gather(config)
        self.kinds, self.words = nn.Embedding(1 + len(ASKED), width), nn.Embedding(TABLE, width)
        nn.init.normal_(self.words.weight, std=0.2)  # what is gathered speaks louder: a cat is counted as a dog is
        self.slots = nn.Parameter(torch.randn(SLOTS, width) * 0.3)
        self.looks = nn.ModuleList(Look(width) for _ in range(config.fusion_depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.register_buffer("temperature", torch.tensor(1.0))  # logits are divided by it

    def read(self, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Questions [B, P, S] -> features [B, P, S, D] and the mask of used slots [B * P, 1, 1, S]."""
        kind = self.kinds(asked[..., :1])  # every slot knows what is asked
        words = F.pad(self.words(asked[..., 1:]), (0, 0, 1, 0))
        used = asked > 0
        used[..., 0] = True  # padding questions have something to look at too
        return kind + words + self.slots, used.flatten(0, 1)[:, None, None]

    def answer(self, tokens: Tensor, names: Tensor, asked: Tensor) -> Tensor:
        """tokens [B, N, D] and what they name, asked [B, P, S] -> logits [B, P] before the temperature."""
        x, mask = self.read(asked)
        x = x + self.gather(tokens, names, asked)
        for look in self.looks:
            x = look(x, mask, tokens)
        return self.head(x[:, :, 0]).squeeze(-1)

    def forward(self, images: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, 3, 128, 128] in [-1, 1], asked [B, P, S] -> logits of yes [B, P], and what tokens name."""
        tokens = self.trunk(images)
        names = self.naming(tokens)
        return self.answer(tokens, names, asked) / self.temperature, names
