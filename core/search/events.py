"""What a search says while it runs: one append-only stream that UI, CLI, store and tests fold.

An event is a value. Time shows only in fields named `seconds`, so two runs of one spec differ nowhere else.
Images are opaque here; in JSON they are names of files in the run's folder (core/store/runs.py writes them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from core.search.budget import Budget, Cost
from core.search.errors import BadRequest

VERSION = 1
Image = Any                                          # uint8 [H, W, 3], or its file name once read from JSON
Look = Literal["preview", "rollout"] | int           # what a strategy asks the verifier to judge
Seen = Literal["preview", "rollout", "final"] | int  # what it judged: "final" is the node's own finished image
ImageKind = Literal["preview", "look", "final"]
Made = Literal["step", "renoise", "neighbour", "thaw"]
Chooser = Literal["verifier", "person"]
Mark = Literal["pin", "forbid"]
Action = Literal["pin", "forbid", "free"]


def image_ref(node: int, kind: ImageKind) -> str:
    """The file name, relative to the run's folder, of one image of a node."""
    return f"previews/{node}.jpg" if kind == "preview" else f"previews/{node}-{kind}.jpg"


def _decoded(decode: Callable[[Any], Any], **options: Any) -> Any:
    return field(metadata={"decode": decode}, **options)


def _by_node(data: Mapping[str, Any]) -> dict[int, Any]:
    return {int(node): value for node, value in data.items()}


@dataclass(frozen=True)
class Origin:
    """The node of an earlier run from which a run goes on."""

    run: str
    node: int
    step: int                      # decisions that the node had taken
    state: str                     # base64 of generator.freeze
    path: tuple[int, ...]          # the step of every state on its path: all it takes to price the way there
    winner: Mapping[str, float]    # every verifier's score of the earlier run's result; empty if it had none

    def to_json(self) -> dict:
        return {**vars(self), "path": list(self.path), "winner": dict(self.winner)}

    @classmethod
    def from_json(cls, data: dict) -> Origin:
        return cls(**{**data, "path": tuple(data["path"])})


@dataclass(frozen=True)
class RunSpec:
    """All that decides a run: the same spec on the same weights gives the same events but for seconds.

    (Unless its budget is one of seconds, memory is too small, or a person chooses or steers: that is in the events.)
    """

    prompt: str
    generator: str
    strategy: str
    params: Mapping[str, Any]
    verifier: str                     # the guide: a verifier or an ensemble (core/search/guide.py)
    observers: tuple[str, ...] = ()   # verifiers that score to be looked at and never guide
    seed: int = 0                     # the root's seed, 0 <= seed < 2**63
    budget_flops: float | None = None
    budget_nfe: int | None = None
    budget_seconds: float | None = None
    budget_images: int | None = None
    judge: str | None = None          # a dear verifier: scores only the finalists, and chooses among them
    finalists: int = 4                # best finished images by the guide that the judge is shown
    origin: Origin | None = None
    chooser: Chooser = "verifier"     # who decides which candidates survive; a person is asked at every choice

    @property
    def budget(self) -> Budget:
        return Budget(self.budget_flops, self.budget_nfe, self.budget_seconds, self.budget_images)

    def with_budget(self, budget: Budget) -> RunSpec:
        return replace(self, **{f"budget_{currency}": limit for currency, limit in vars(budget).items()})

    def to_json(self) -> dict:
        origin = self.origin and self.origin.to_json()
        return {**vars(self), "params": dict(self.params), "observers": list(self.observers), "origin": origin}

    @classmethod
    def from_json(cls, data: dict) -> RunSpec:
        origin = data.get("origin") and Origin.from_json(data["origin"])
        return cls(**{**data, "observers": tuple(data["observers"]), "origin": origin})


@dataclass(frozen=True)
class NewNode:
    id: int              # in creation order; 0 is the root
    parent: int | None
    step: int            # decisions taken so far; the root has taken none
    index: int           # which child of its parent
    seed: int
    state: str           # base64 of generator.freeze: all it takes to restore the state
    flops: float         # generator FLOPs of its path, were it computed alone
    made: Made = "step"  # how it came from its parent

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
    cut: float | None                                  # score of the last one kept; None where none was
    look: Seen
    copies: dict[int, int] = _decoded(_by_node, default_factory=dict)   # of resampled ones, if any has several
    by: Chooser = "verifier"                           # who chose; ranks are the verifier's all the same
    marks: dict[int, Mark] = _decoded(_by_node, default_factory=dict)   # of candidates under one, their own or above


@dataclass(frozen=True, kw_only=True)
class Asked(Event):
    """A person is to choose; the run goes on when they have, or have left it to the verifier."""

    kind: ClassVar[str] = "asked"
    step: int
    candidates: tuple[int, ...] = _decoded(tuple)      # the verifier's best first
    keep: int                                          # the most that may be kept


@dataclass(frozen=True, kw_only=True)
class Steered(Event):
    """A person has pinned or forbidden a node and what grows from it, or freed it again."""

    kind: ClassVar[str] = "steered"
    node: int
    action: Action


@dataclass(frozen=True, kw_only=True)
class Improved(Event):
    """A finished image better than all before it: the node's own, or the one its rollout gave."""

    kind: ClassVar[str] = "improved"
    node: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Judged(WithImages):
    """What the judge made of the finalists' finished images."""

    kind: ClassVar[str] = "judged"
    judge: str
    scores: dict[int, float] = _decoded(_by_node)
    node: int                                          # the one it chose

    @property
    def image_kind(self) -> ImageKind:
        return "final"


@dataclass(frozen=True, kw_only=True)
class Picked(WithImages):
    """A person took another finished image than the verifier would have."""

    kind: ClassVar[str] = "picked"
    node: int

    @property
    def image_kind(self) -> ImageKind:
        return "final"


@dataclass(frozen=True, kw_only=True)
class Shrunk(Event):
    """Memory was too small: calls hold less from now on, or, with `params`, the strategy begins anew with these."""

    kind: ClassVar[str] = "shrunk"
    step: int                                          # that was being computed
    message: str                                       # for people
    params: dict[str, int] = field(default_factory=dict)
    given_up: tuple[int, ...] = _decoded(tuple, default=())   # nodes that had not lost and will not be grown


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    kind: ClassVar[str] = "finished"
    node: int                                          # a person's pick, the judge's choice, or else the guide's
    score: float                                       # by the guide
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
    step: int | None = None                            # that was being computed, where memory did not suffice for it


TERMINAL = (Finished, Cancelled, Failed)
KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        Started, Expanded, Previewed, Scored, Asked, Steered, Pruned, Improved, Judged, Picked, Shrunk, Finished,
        Cancelled, Failed,
    )
}


def from_json(data: dict) -> Event:
    """The event that `Event.to_json` wrote; images stay file names. Fields with a default may be missing.

    Raises BadRequest on another version.
    """
    if data.get("v") != VERSION or data.get("kind") not in KINDS:
        raise BadRequest(
            f"cannot read event {data.get('kind')!r} of version {data.get('v')!r}: "
            f"this program reads version {VERSION} of {', '.join(KINDS)}"
        )
    cls = KINDS[data["kind"]]
    wanted = [f for f in fields(cls) if f.name in data or (f.default is MISSING and f.default_factory is MISSING)]
    return cls(**{f.name: f.metadata.get("decode", lambda value: value)(data[f.name]) for f in wanted})
