"""What a search says while it runs: one append-only stream that UI, CLI, store and tests fold.

An event is a value. Time shows only in fields named `seconds`, so two runs of one spec differ nowhere else.
Images are opaque here; in JSON they are names of files in the run's folder (core/runs.py writes them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from core.search.budget import Cost
from core.search.errors import BadRequest

VERSION = 1
Image = Any                                          # uint8 [H, W, 3], or its file name once read from JSON
Look = Literal["preview", "rollout"] | int           # what a strategy asks the verifier to judge
Seen = Literal["preview", "rollout", "final"] | int  # what it judged: "final" is the node's own finished image
ImageKind = Literal["preview", "look", "final"]


def image_ref(node: int, kind: ImageKind) -> str:
    """The file name, relative to the run's folder, of one image of a node."""
    return f"previews/{node}.jpg" if kind == "preview" else f"previews/{node}-{kind}.jpg"


def _decoded(decode: Callable[[Any], Any], **options: Any) -> Any:
    return field(metadata={"decode": decode}, **options)


def _by_node(data: Mapping[str, Any]) -> dict[int, Any]:
    return {int(node): value for node, value in data.items()}


@dataclass(frozen=True)
class RunSpec:
    """All that decides a run: the same spec on the same weights gives the same events but for seconds."""

    prompt: str
    generator: str
    strategy: str
    params: Mapping[str, Any]
    verifier: str                     # the guide
    observers: tuple[str, ...] = ()   # verifiers that score to be looked at and never guide
    seed: int = 0                     # the root's seed, 0 <= seed < 2**63
    budget_flops: float | None = None

    def to_json(self) -> dict:
        return {**vars(self), "params": dict(self.params), "observers": list(self.observers)}

    @classmethod
    def from_json(cls, data: dict) -> RunSpec:
        return cls(**{**data, "observers": tuple(data["observers"])})


@dataclass(frozen=True)
class NewNode:
    id: int              # in creation order; 0 is the root
    parent: int | None
    step: int            # decisions taken so far; the root has taken none
    index: int           # which child of its parent
    seed: int
    state: str           # base64 of generator.freeze: all it takes to restore the state
    flops: float         # generator FLOPs of its path, were it computed alone

    def to_json(self) -> dict:
        return dict(vars(self))

    @classmethod
    def many_from_json(cls, data: list[dict]) -> tuple[NewNode, ...]:
        return tuple(cls(**node) for node in data)


@dataclass(frozen=True, kw_only=True)
class Event:
    kind: ClassVar[str]
    seq: int                                               # 0, 1, 2, ...
    seconds: float                                         # since the run began
    cost: Cost = _decoded(Cost.from_json, default=Cost())  # spent since the last event

    def to_json(self) -> dict:
        return {"v": VERSION, "kind": self.kind} | {f.name: self._encode(f.name) for f in fields(self)}

    def _encode(self, name: str) -> Any:
        value = getattr(self, name)
        if isinstance(value, tuple):
            return [v.to_json() if hasattr(v, "to_json") else v for v in value]
        if isinstance(value, dict):
            return {str(key): v for key, v in value.items()}
        return value.to_json() if hasattr(value, "to_json") else value


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    kind: ClassVar[str] = "started"
    spec: RunSpec = _decoded(RunSpec.from_json)
    num_steps: int
    step_labels: tuple[str, ...] = _decoded(tuple)     # one a step: "1x1", "2x2", ... or "t=.95"


@dataclass(frozen=True, kw_only=True)
class Expanded(Event):
    kind: ClassVar[str] = "expanded"
    step: int                                          # of the new nodes
    nodes: tuple[NewNode, ...] = _decoded(NewNode.many_from_json)


@dataclass(frozen=True, kw_only=True)
class WithImages(Event):
    images: dict[int, Image] = _decoded(_by_node)

    @property
    def image_kind(self) -> ImageKind:
        return "preview"

    def _encode(self, name: str) -> Any:
        if name == "images":
            return {str(node): image_ref(node, self.image_kind) for node in self.images}
        return super()._encode(name)


@dataclass(frozen=True, kw_only=True)
class Previewed(WithImages):
    """Unfinished nodes decoded only to be looked at."""

    kind: ClassVar[str] = "previewed"


@dataclass(frozen=True, kw_only=True)
class Scored(WithImages):
    """Nodes and what every verifier that looked made of them; `images` are what it saw."""

    kind: ClassVar[str] = "scored"
    look: Seen
    scores: dict[int, dict[str, float]] = _decoded(_by_node)
    finished: bool                                     # the images are finished images

    @property
    def image_kind(self) -> ImageKind:
        if self.finished:
            return "final"
        return "preview" if self.look == "preview" else "look"


@dataclass(frozen=True, kw_only=True)
class Pruned(Event):
    """All candidates of one choice, ranked; those not kept are pruned."""

    kind: ClassVar[str] = "pruned"
    step: int
    ranks: dict[int, int] = _decoded(_by_node)         # 0 is best
    kept: tuple[int, ...] = _decoded(tuple)            # best first
    rule: str                                          # "beam_rank", "best_of_n", ...
    cut: float | None                                  # score of the last one kept
    look: Seen


@dataclass(frozen=True, kw_only=True)
class Improved(Event):
    """A finished image better than all before it: the node's own, or the one its rollout gave."""

    kind: ClassVar[str] = "improved"
    node: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    kind: ClassVar[str] = "finished"
    node: int
    score: float
    scores: dict[str, float]
    reason: Literal["done", "budget"]


@dataclass(frozen=True, kw_only=True)
class Cancelled(Event):
    kind: ClassVar[str] = "cancelled"
    node: int | None                                   # the best so far


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    kind: ClassVar[str] = "failed"
    code: str
    message: str


TERMINAL = (Finished, Cancelled, Failed)
KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (Started, Expanded, Previewed, Scored, Pruned, Improved, Finished, Cancelled, Failed)
}


def from_json(data: dict) -> Event:
    """The event that `Event.to_json` wrote; images stay file names. Raises BadRequest on another version."""
    if data.get("v") != VERSION or data.get("kind") not in KINDS:
        raise BadRequest(
            f"cannot read event {data.get('kind')!r} of version {data.get('v')!r}: "
            f"this program reads version {VERSION} of {', '.join(KINDS)}"
        )
    cls = KINDS[data["kind"]]
    decode = {f.name: f.metadata.get("decode", lambda value: value) for f in fields(cls)}
    return cls(**{name: read(data[name]) for name, read in decode.items()})
