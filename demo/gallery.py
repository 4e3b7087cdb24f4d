"""Runs as cards: what a gallery tells of each, and the any-time curves by which several are compared."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from core.search.errors import BadRequest, BeamscopeError
from core.search.events import Improved, RunSpec
from core.search.tree import Tree
from core.store.runs import RunInfo, RunStore
from demo import strings, view
from demo.inspect import image_url
from demo.lessons import LESSONS
from demo.links import query_of
from demo.models import Models
from demo.settings import GIGA, method
from demo.streaming import Library

MOST = 200       # runs in one list
TOGETHER = 4     # runs in one comparison
LONGEST = 200    # characters of what is searched for
REMEMBERED = 512
OVER = ("finished", "cancelled", "failed")

Card = dict[str, Any]


class Gallery:
    """The runs that a visitor may see in lists: the recorded ones and their own. Remembers those that are over."""

    def __init__(self, library: Library, models: Models):
        self.library, self.models = library, models
        self._cards: OrderedDict[str, Card] = OrderedDict()
        self._lock = Lock()

    def cards(self, visitor: str, words: str = "") -> list[Card]:
        """The newest runs whose card holds all words, the visitor's own before the recorded ones."""
        wanted = words[:LONGEST].lower().split()
        found = []
        for recorded, store in enumerate(self.library.stores):
            for info in _first_lanes(store.list()):
                if recorded or self.library.owns(info.run, visitor):
                    card = self._card(store, info, bool(recorded))
                    found += [card] if card and _holds(card, wanted) else []
        return found[:MOST]

    def compared(self, visitor: str, runs: Sequence[str]) -> list[Card]:
        """Cards with curves, in the order of `runs`. Raises BadRequest for an id that is none and for too many."""
        if not 1 <= len(runs) <= TOGETHER:
            raise BadRequest(strings.COMPARE_COUNT.format(count=len(runs), most=TOGETHER))
        return [self._compared(visitor, run) for run in dict.fromkeys(runs)]

    def _compared(self, visitor: str, run: str) -> Card:
        store = self.library.find(run, visitor)
        card = self._card(store, store.info(run), store is not self.library.stores[0])
        if card is None:
            raise BadRequest(strings.NOT_BEGUN.format(run=run))
        lanes = [run, *([card["beside"]["run"]] if card["beside"] else [])]
        return card | {"lanes": [lane_of(store, one) for one in lanes]}

    def _card(self, store: RunStore, info: RunInfo, recorded: bool) -> Card | None:
        marks = {"pinned": info.pinned, "live": info.status == "running",
                 "recorded": recorded, "lesson": store.root == LESSONS,
                 "private": not recorded and self.library.audience(info.run) == "private"}  # fmt: skip
        with self._lock:
            if known := self._cards.get(info.run):
                self._cards.move_to_end(info.run)
                return known | marks
        try:
            card = card_of(store, info, self.models)
        except (BadRequest, FileNotFoundError):  # damaged, or dropped this moment
            return None
        if card and info.status in OVER:
            with self._lock:
                self._cards[info.run] = card
                while len(self._cards) > REMEMBERED:
                    self._cards.popitem(last=False)
        return card and card | marks


def _first_lanes(infos: Sequence[RunInfo]) -> list[RunInfo]:
    """Without the runs that only run beside another."""
    beside = {info.beside for info in infos}
    return [info for info in infos if info.run not in beside]


def _holds(card: Card, words: Sequence[str]) -> bool:
    text = " ".join([card["prompt"], card["method"], card["verifier"], f"seed {card['seed']}", card["state"]]).lower()
    return all(word in text for word in words)


def card_of(store: RunStore, info: RunInfo, models: Models) -> Card | None:
    """All that a card tells of a run; None before its first event."""
    tree = Tree.of(store.load(info.run))
    if tree.spec is None:
        return None
    regret = tree.regret()
    return {
        "run": info.run, "created": info.created, "prompt": tree.spec.prompt, "method": method(tree.spec),
        "strategy": strings.name_of(strings.STRATEGY_NAMES, tree.spec.strategy),
        "verifier": strings.guide_name(tree.spec.verifier, whole=False), "seed": str(tree.spec.seed),
        "budget": tree.spec.budget_flops and tree.spec.budget_flops / GIGA,
        "link": _link(models, tree.spec), "settings": settings_of(tree), "nodes": len(tree.nodes),
        "gflop": tree.spent.flops / GIGA,
        "state": view.run_state(tree) if tree.end or info.status == "running" else "interrupted",
        "best": _best(tree, info.run), "beside": _beside(store, info.beside),
        "parent": info.parent, "regret": None if regret is None else strings.regret(regret),
    }  # fmt: skip


def _link(models: Models, spec: RunSpec) -> str | None:
    """The address that opens the page with a run's settings; None where they fit no control."""
    try:
        return f"/?{query_of(models, spec)}"
    except BeamscopeError:
        return None


def settings_of(tree: Tree) -> dict[str, str]:
    """What decided the run, as names and values that people read."""
    spec = tree.spec
    told = {
        strings.SETTINGS["model"]: strings.name_of(strings.GENERATOR_NAMES, spec.generator),
        strings.SETTINGS["strategy"]: strings.name_of(strings.STRATEGY_NAMES, spec.strategy),
        **{name.replace("_", " ").capitalize(): _written(value) for name, value in spec.params.items()},
        strings.SETTINGS["verifier"]: strings.guide_name(spec.verifier),
        strings.SETTINGS["judge"]: strings.guide_name(spec.judge) if spec.judge else None,
        strings.SETTINGS["budget"]: f"{spec.budget_flops / GIGA:.3g} GFLOP" if spec.budget_flops else None,
        strings.SETTINGS["seed"]: str(spec.seed),
    }
    return {name: value for name, value in told.items() if value is not None}


def _written(value: Any) -> str:
    return strings.OFF if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _best(tree: Tree, run: str) -> Card | None:
    node = tree.best()
    return node and {"node": node.id, "score": tree.best_score(), "image": image_url(run, node.id, "f")}


def _beside(store: RunStore, run: str | None) -> Card | None:
    """The run beside one, as far as its card shows it."""
    try:
        tree = Tree.of(store.load(run)) if run else Tree()
    except BadRequest:  # it was dropped
        return None
    if tree.spec is None:
        return None
    return {"run": run, "label": strings.name_of(strings.GENERATOR_NAMES, tree.spec.generator),
            "gflop": tree.spent.flops / GIGA, "best": _best(tree, run)}  # fmt: skip


def lane_of(store: RunStore, run: str) -> Card:
    """One curve: every improvement with what was spent until then, in three currencies, and every verifier's score."""
    tree, points = Tree(), []
    for event in store.load(run):
        tree = tree.apply(event)
        if isinstance(event, Improved):
            points.append(_spent(tree) | {"node": event.node, "score": event.score,
                                          "scores": _named(tree.nodes[event.node].scores)})  # fmt: skip
    spec = tree.spec
    return {
        "run": run, "generator": strings.name_of(strings.GENERATOR_NAMES, spec.generator) if spec else "",
        "label": f"{strings.name_of(strings.GENERATOR_NAMES, spec.generator)}, "
                 f"{strings.name_of(strings.STRATEGY_NAMES, spec.strategy).lower()}" if spec else "",
        "guide": strings.guide_name(spec.verifier, whole=False) if spec else "",
        "points": points, "end": _spent(tree),
    }  # fmt: skip


def _spent(tree: Tree) -> Card:
    return {"gflop": tree.spent.flops / GIGA, "nfe": tree.spent.nfe, "seconds": tree.spent.seconds}


def _named(scores: Any) -> dict[str, float]:
    return {strings.guide_name(name, whole=False): score for name, score in scores.items()}
