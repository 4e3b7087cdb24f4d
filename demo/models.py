"""The models a page offers: by name, loaded once, when first needed or by `warm` in the background."""

import logging
import math
import threading
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from core.kept import let_go_shared
from core.machine import machine
from core.packages.readiness import Readiness, readiness
from core.registry import Entry, pick
from core.search.budget import GIGA
from core.search.errors import BadRequest, BeamscopeError, WeightsMissing, is_out_of_memory
from core.search.events import RunSpec
from core.search.guide import RULES
from core.search.memory import let_go
from core.search.previews import preview_cost
from core.search.scoring import named

USUAL_IMAGES, MOST_IMAGES = 20, 200  # that the dial of a large model's budget pays for

log = logging.getLogger(__name__)
NO_ROOM = (
    "There is not enough memory to load the models. Close other programs or take a larger machine, then start the "
    "server again."
)
NOT_LOADED = (
    "The models could not be loaded: {error}. Run `pip install -r requirements.txt`, then `python -m core.cli models`, "
    "which says of every model whether it is ready; then start the server again."
)


@dataclass(eq=False)
class Models:
    """Generators and verifiers, and which of them play which part.

    searcher: the generator that is chosen at first; steps: its step labels, needed before it is loaded.
    baseline: the generator that runs beside the one chosen, or None.
    check: prompt -> what the generators of a small world know of it (core/world/captions.py).
    world: how the names of those generators begin; natives: the verifiers that are made for their images only.
    """

    generators: Mapping[str, Entry]
    verifiers: Mapping[str, Entry]
    searcher: str
    steps: tuple[str, ...]
    baseline: str | None = None
    check: Callable[[str], Any] | None = None
    world: str = ""
    natives: frozenset[str] = frozenset()
    examples: tuple[str, ...] = ()
    default_gflop: float = 250.0  # pays for the defaults of every strategy and look
    max_gflop: float = 2500.0  # the most that one visitor may ask; enough for width 16, branch 16
    large_gflop: float = 1e9  # the same of large models of others, of which one image may cost 1e6
    ready: threading.Event = field(default_factory=threading.Event)  # set when loading is over, for good or ill
    problem: str | None = None  # why the models could not be loaded, for people to read
    broken: dict[str, str] = field(default_factory=dict)  # verifiers that do not load, and why; they do not observe
    _done: list[str] = field(default_factory=list)  # of `first`, by `warm`
    _began: float | None = None  # when `warm` did
    _loaded: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def generator(self, name: str) -> Any:
        """Raises BadRequest for an unknown name, WeightsMissing where the weights are not there."""
        return self._load("generator", self.generators, name)

    def verifier(self, name: str) -> Any:
        """Raises as `generator` does."""
        return self._load("verifier", self.verifiers, name)

    def state(self, role: str, name: str) -> Readiness:
        """Whether a model could be used here now; nothing is loaded. Raises BadRequest for an unknown name."""
        return readiness(name, self._entry(role, name))

    def most_gflop(self, generator: str) -> float:
        """The most that a visitor may ask of a model; nothing is loaded. Raises BadRequest for an unknown name."""
        return self.large_gflop if pick("generator", self.generators, generator).foreign else self.max_gflop

    def usual_gflop(self, generator: str) -> float:
        """The budget where none is asked for; nothing is loaded. Raises BadRequest for an unknown name."""
        entry = pick("generator", self.generators, generator)
        return USUAL_IMAGES * entry.needs.gflop if entry.foreign and entry.needs.gflop else self.default_gflop

    def guide_of(self, generator: str) -> str:
        """The guide where none is asked for: the first that can score the generator's pictures, a ready one if any."""
        foreign = pick("generator", self.generators, generator).foreign
        able = [name for name in self.verifiers if not (foreign and name in self.natives)]
        return min(able, key=lambda name: not self.state("verifier", name).ready) if foreign else able[0]

    def scale_of(self, generator: str) -> tuple[float, float, float]:
        """Least, usual and largest budget on the dial, GFLOP: of a large model so many images, and it is loaded.

        Raises as `generator` does.
        """
        if not pick("generator", self.generators, generator).foreign:
            return 1.0, self.default_gflop, self.max_gflop
        model = self.generator(generator)
        steps = (model.step_cost(step) for step in range(model.num_steps))
        image = sum(steps, model.start_cost + preview_cost(model, model.num_steps)).flops / GIGA
        return tuple(float(math.ceil(images * image)) for images in (1, USUAL_IMAGES, MOST_IMAGES))

    def require_sight(self, generator: str, guides: Iterable[str]) -> None:
        """Raises BadRequest where verifiers of the small world would be shown the pictures of a large model."""
        blind = [name for name in guides if name in self.natives]
        if blind and pick("generator", self.generators, generator).foreign:
            raise BadRequest(
                f"{', '.join(blind)} of the embedded world cannot score what {generator} makes: "
                f"choose {', '.join(name for name in self.verifiers if name not in self.natives)}"
            )

    def require(self, role: str, name: str) -> None:
        """Raises WeightsMissing where a model is not ready, with what to do; BadRequest for an unknown name."""
        found = self.state(role, name)
        if found.reason:
            raise WeightsMissing(found.reason)

    def verifiers_of(self, spec: RunSpec) -> dict[str, Any]:
        """Every verifier that guides, judges or observes a run, by name. Raises as `generator` does."""
        return {name: self.verifier(name) for name in named(spec)}

    def observers(self, generator: str, others: Container[str]) -> tuple[str, ...]:
        """Who may look at images of a generator besides `others`: all that are cheap, load and are made for them."""
        usual = self.usual(generator)
        return tuple(name for name in usual if name not in others and not self.verifiers[name].dear)

    def usual(self, generator: str) -> list[str]:
        """The verifiers that load, are made for images of a generator, and are small enough to be loaded unasked."""
        strange = () if self.in_world(generator) else self.natives
        return [name for name in self.own_verifiers if name not in (*strange, *self.broken)]

    @property
    def own_verifiers(self) -> list[str]:
        """Those whose weights are not large ones of others."""
        return [name for name, entry in self.verifiers.items() if not entry.foreign]

    def in_world(self, generator: str) -> bool:
        """Whether `check` and the natives are made for a generator."""
        return generator.startswith(self.world)

    def guides(self) -> list[str]:
        """What may guide a run: every verifier, and the ensembles of all that are our own."""
        everyone = self.own_verifiers
        return [*self.verifiers, *(f"{rule}:{'+'.join(everyone)}" for rule in RULES if len(everyone) > 1)]

    def abilities(self, name: str) -> frozenset[str]:
        """What a generator can do; nothing is loaded. Raises BadRequest for an unknown name."""
        return pick("generator", self.generators, name).abilities

    def steps_of(self, name: str) -> tuple[str, ...]:
        """The step labels of a generator, which is loaded unless it is the searcher. Raises as `generator` does."""
        return self.steps if name == self.searcher else tuple(self.generator(name).step_labels)

    def known_words(self, generator: str, prompt: str) -> Any:
        """What a generator knows of a prompt; None where that is not known."""
        return self.check(prompt) if self.check and self.in_world(generator) else None

    @property
    def first(self) -> list[str]:
        """What a first search needs, in the order in which it is loaded."""
        return [self.searcher, *([self.baseline] if self.baseline else []), *self.own_verifiers]

    def warm(self) -> None:
        """Load everything a first search needs; keeps the reason if that fails."""
        self._began = monotonic()
        guide, *others = self.own_verifiers
        try:
            for name in self.first:
                if name in others:
                    self._try(name)
                else:
                    self._load(*("verifier", self.verifiers) if name == guide else ("generator", self.generators), name)
                self._done.append(name)
        except BeamscopeError as error:
            self.problem = NO_ROOM if is_out_of_memory(error) else str(error)
        except Exception as error:
            log.exception("the models could not be loaded")
            said = " ".join(str(error).split())[:300] or type(error).__name__
            self.problem = NO_ROOM if is_out_of_memory(error) else NOT_LOADED.format(error=said)
        finally:
            self.ready.set()

    def progress(self) -> dict[str, Any]:
        """How far `warm` is: what is being loaded, how many are done of how many, for how long; why it failed."""
        done, first = len(self._done), self.first
        loading = None if self.ready.is_set() or done == len(first) else first[done]
        seconds = 0.0 if self._began is None else monotonic() - self._began
        return {"ready": self.ready.is_set() and self.problem is None, "problem": self.problem, "loading": loading,
                "done": done, "of": len(first), "seconds": round(seconds, 1)}  # fmt: skip

    def _try(self, verifier: str) -> None:
        """Load a verifier that a search can do without; keeps the reason if that fails."""
        try:
            self.verifier(verifier)
        except Exception as error:
            self.broken = {**self.broken, verifier: " ".join(str(error).split()) or type(error).__name__}

    def _load(self, role: str, table: Mapping[str, Entry], name: str) -> Any:
        entry = pick(role, table, name)
        if entry.foreign and (role, name) not in self._loaded:
            self.require(role, name)
        with self._lock:
            if (role, name) not in self._loaded and entry.foreign:
                self._make_room(entry)
            model = self._loaded.pop((role, name), None) or entry.load()
            self._loaded[role, name] = model  # the last used is the last
            return model

    def _make_room(self, entry: Entry) -> None:
        """Let large models go, the longest unused first, until another fits beside the rest; in runs they stay."""
        here = machine()
        rest = [key for key in self._loaded if self._entry(*key).foreign]
        held = {key: self._entry(*key).needs.bytes_on(here.device, here.width) for key in rest}
        left = here.memory - entry.needs.bytes_on(here.device, here.width)
        going = [key for place, key in enumerate(rest) if here.memory and sum(held[key] for key in rest[place:]) > left]
        for key in going:
            del self._loaded[key]
            self._entry(*key).load.let_go()
        if going:
            let_go_shared()
            let_go()

    def _entry(self, role: str, name: str) -> Entry:
        return pick(role, self.generators if role == "generator" else self.verifiers, name)
