"""The network of held-out verifier B: a CNN whose reading of an image is modulated by the question.

FiLM (Perez et al. 2018) after maps that a question picks: the CNN first says for every cell which words of the world
are shown there, the words of a question pick their maps, and convolutions modulated by the question read the picked
maps. Built to differ from every verifier that can guide a search: no attention, batch norm, a map for every word.

Letters: B images, P questions, C channels, K words that are mapped, R roles of a question's words.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.world.captions import INDEX, VOCABULARY
from core.world.questions import ASKED, MAX_NOUNS, Question
from core.world.vocabulary import COLOURS, KINDS, PATTERNS, SIZE_NAMES

GRID = 16  # cells a side
MAPPED = (*(kind.noun for kind in KINDS), *COLOURS, *PATTERNS, *SIZE_NAMES)  # words with a map; then one of centres
K = len(MAPPED) + 1
ROLES = ("thing", "said of it", "other thing", "named")  # of the words of a question; "named": all that "else" names
TABLE = 128  # rows of the word tables: the vocabulary and room for words to come
SLOTS = 1 + MAX_NOUNS


def encode(questions: Sequence[Question]) -> Tensor:
    """[P, SLOTS] indices: the kind, from 1, then the words; 0 is padding."""
    rows = torch.zeros(len(questions), SLOTS, dtype=torch.long)
    for row, question in zip(rows, questions, strict=True):
        row[0] = 1 + ASKED.index(question.kind)
        row[1 : 1 + len(question.words)] = torch.tensor([INDEX[word] for word in question.words])
    return rows


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm around a skip."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


def _down(into: int, out: int, kernel: int) -> list[nn.Module]:
    layer = nn.Conv2d(into, out, kernel, stride=2, padding=kernel // 2, bias=False)
    return [layer, nn.BatchNorm2d(out), nn.ReLU()]


class Modulated(nn.Module):
    """A convolution whose channels the question scales and shifts."""

    def __init__(self, into: int, out: int, told: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(into, out, 3, stride=stride, padding=1, bias=False)
        self.norm, self.film = nn.GroupNorm(1, out, affine=False), nn.Linear(told, 2 * out)
        self.skip = stride == 1 and into == out

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """x [n, C, s, s], told [n, D]."""
        scale, shift = self.film(told)[..., None, None].chunk(2, 1)
        y = F.relu(self.norm(self.conv(x)) * (1 + scale) + shift)
        return x + y if self.skip else y


class HeldOutB(nn.Module):
    """Images and questions -> logits of yes, at the temperature that was measured after training."""

    def __init__(self, width: int = 96, read: int = 80, told: int = 96):
        super().__init__()
        self.sees = nn.Sequential(
            *_down(3, 32, 5), *_down(32, 64, 3), Residual(64),  # [B, 64, 32, 32]
            *_down(64, width, 3), Residual(width), Residual(width), Residual(width),  # [B, C, 16, 16]
        )  # fmt: skip
        self.maps = nn.Conv2d(width, K, 1)
        nn.init.constant_(self.maps.bias, -3.0)  # few words are shown in a cell
        self.rest = nn.Conv2d(width, 40, 1)
        self.picks = nn.Parameter(self._own_maps())
        self.kinds, self.words = nn.Embedding(1 + len(ASKED), told), nn.Embedding(len(ROLES) * TABLE, told)
        self.tells = nn.Sequential(nn.ReLU(), nn.Linear(told, told), nn.ReLU())
        self.reads = nn.ModuleList(
            [Modulated(len(ROLES) * 2 + 43, read, told, 2), Modulated(read, read, told), Modulated(read, read, told)]
        )
        self.head = nn.Sequential(nn.Linear(2 * read, read), nn.ReLU(), nn.Linear(read, 1))
        steps = (torch.arange(GRID) + 0.5) / GRID - 0.5
        self.register_buffer("places", torch.stack(torch.meshgrid(steps, steps, indexing="ij")), persistent=False)
        self.register_buffer("temperature", torch.tensor(1.0))  # logits are divided by it

    @staticmethod
    def _own_maps() -> Tensor:
        """[R * TABLE, K]: at first every word picks its own map, in each role; padding picks nothing."""
        own = torch.zeros(TABLE, K)
        for column, word in enumerate(MAPPED):
            own[VOCABULARY.index(word), column] = 1
        return own.repeat(len(ROLES), 1)

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, 3, 128, 128] in [-1, 1] -> features [B, C, 16, 16] and logits of words [B, K, 16, 16]."""
        features = self.sees(images.contiguous(memory_format=torch.channels_last))
        return features, self.maps(features)

    def answer(self, features: Tensor, shown: Tensor, asked: Tensor) -> Tensor:
        """What `look` sees and asked [B, P, SLOTS] -> logits [B, P] before the temperature."""
        kind, words = asked[..., 0], asked[..., 1:]
        where = self._roles(kind, words)  # [B, P, SLOTS - 1], rows of the tables
        used = (words > 0)[..., None]
        told = self.tells(self.kinds(kind) + (self.words(where) * used).sum(2)).flatten(0, 1)
        maps = shown.sigmoid()
        centres = maps[:, None, -1:]  # [B, 1, 1, 16, 16]
        picks = torch.zeros(*kind.shape, len(ROLES), K, device=asked.device)
        picks = picks.scatter_add(2, (where // TABLE)[..., None].expand(-1, -1, -1, K), self.picks[where] * used)
        picked = torch.einsum("bprk,bkyx->bpryx", picks, maps)
        rest = torch.cat([self.rest(features), self.places.expand(len(maps), -1, -1, -1), maps[:, -1:]], 1)
        parts = [picked, picked * centres, rest[:, None].expand(-1, kind.shape[1], -1, -1, -1)]
        x = torch.cat(parts, 2).flatten(0, 1)
        for layer in self.reads:
            x = layer(x, told)
        x = torch.cat([x.sum((2, 3)) / 8, x.amax((2, 3))], 1)
        return self.head(x).view(kind.shape)

    @staticmethod
    def _roles(kind: Tensor, words: Tensor) -> Tensor:
        """The row of each word in the tables of its role."""
        role = torch.tensor([0, 1, 2, 3, 3, 3], device=kind.device).expand_as(words)
        role = torch.where(kind[..., None] == 1 + ASKED.index("else"), 3, role)
        last = kind == 1 + ASKED.index("relation")  # (thing, relation, other thing)
        return torch.where(last[..., None] & (role == 3), 2, role) * TABLE + words

    def forward(self, images: Tensor, asked: Tensor) -> Tensor:
        """images [B, 3, 128, 128] in [-1, 1], asked [B, P, SLOTS] -> logits of yes [B, P]."""
        return self.answer(*self.look(images), asked) / self.temperature
