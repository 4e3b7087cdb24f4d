"""What all stored runs together say: how far early scores can be trusted, and what became of pruned nodes.

Every run is read once, when it is over; what is kept of it is a few numbers. A request reads for a moment at most, and
says how many runs it has not come to yet.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from core.evaluation.reliability import Pairs, Regret, pairs_by_step, regret, reliability, with_regrets
from core.search.errors import BadRequest
from core.search.tree import Tree
from core.store.runs import RunStore
from demo import strings
from demo.streaming import Library

MOST = 5000       # runs that are remembered
MOMENT = 1.5      # seconds of reading a request
ENDED = ("finished", "cancelled", "failed")
Kind = tuple[str, str, Any]   # generator, guide, what the guide looks at


@dataclass(frozen=True)
class Digest:
    """What is kept of one run."""

    kind: Kind
    labels: tuple[str, ...]   # of its steps
    pairs: Pairs
    prompt: str
    parent: str | None        # the run whose node it goes on from
    regret: Regret | None


class Insights:
    """Reads the runs of a library."""

    def __init__(self, library: Library):
        self._library = library
        self._digests: OrderedDict[str, Digest] = OrderedDict()
        self._lock = threading.Lock()

    def reliability(self, run: Any, visitor: str) -> dict[str, Any]:
        """Rank correlations by step over all runs like this one: same generator, guide and look.

        Raises BadRequest where there is no such run for this visitor.
        """
        tree = self._library.tree(run, visitor)
        if tree.spec is None:
            raise BadRequest(strings.NOTHING_YET)
        kind, pending = kind_of(tree), self._catch_up(visitor)
        found = [(name, digest) for name, digest in self._visible(visitor) if digest.kind == kind]
        regrets: dict[str, list[Regret]] = {}
        for _, digest in self._visible(visitor):
            if digest.parent and digest.regret:
                regrets.setdefault(digest.parent, []).append(digest.regret)
        runs = (with_regrets(digest.pairs, regrets.get(name, ()), kind[2]) for name, digest in found)
        return {
            "steps": [asdict(at) for at in reliability(runs, tree.step_labels)], "labels": list(tree.step_labels),
            "runs": len(found), "pending": pending, "verifier": strings.guide_name(tree.spec.verifier, whole=False),
            "generator": strings.name_of(strings.GENERATOR_NAMES, tree.spec.generator), "look": kind[2],
        }  # fmt: skip

    def regrets(self, visitor: str) -> dict[str, Any]:
        """A point for every run of this visitor's own, or recorded, that went on from a node and is over."""
        pending = self._catch_up(visitor)
        points = [
            {**asdict(digest.regret), "value": digest.regret.value, "run": name, "parent": digest.parent,
             "prompt": digest.prompt, "verifier": strings.guide_name(digest.kind[1], whole=False)}
            for name, digest in self._visible(visitor) if digest.regret and self._is_near(name, visitor)
        ]  # fmt: skip
        return {"points": points, "pending": pending}

    def _is_near(self, run: str, visitor: str) -> bool:
        return self._library.stored(run).read_only or self._library.owns(run, visitor)

    def _visible(self, visitor: str) -> Iterator[tuple[str, Digest]]:
        """All digests but those of what others keep to themselves, or what is gone."""
        with self._lock:
            known = list(self._digests.items())
        for run, digest in known:
            if self._may_see(run, visitor):
                yield run, digest

    def _may_see(self, run: str, visitor: str) -> bool:
        try:
            self._library.find(run, visitor)
        except BadRequest:
            return False
        return True

    def _catch_up(self, visitor: str) -> int:
        """Read runs that are over and new; how many are left for the next time."""
        began, left = monotonic(), 0
        for store in self._library.stores:
            for run in reversed(store.ids()):
                if run in self._digests or not self._may_see(run, visitor):
                    continue
                if monotonic() - began > MOMENT:
                    left += 1
                elif digest := self._digest(store, run):
                    with self._lock:
                        self._digests[run] = digest
                        while len(self._digests) > MOST:
                            self._digests.popitem(last=False)
        return left

    def _digest(self, store: RunStore, run: str) -> Digest | None:
        """None of a run that is not over, or can no longer be read."""
        try:
            if store.status(run) not in ENDED:
                return None
            tree = Tree.of(store.load(run))
            if tree.spec is None:
                return None
            origin = tree.spec.origin
            came = regret(self._tree(origin.run), tree) if origin else None
        except (BadRequest, OSError):
            return None
        kind = kind_of(tree)
        return Digest(kind, tree.step_labels, pairs_by_step(tree, kind[2]), tree.spec.prompt,
                      origin.run if origin else None, came)  # fmt: skip

    def _tree(self, run: str) -> Tree:
        """The tree of an earlier run; empty where it is gone."""
        try:
            return Tree.of(self._library.stored(run).load(run))
        except BadRequest:
            return Tree()


def kind_of(tree: Tree) -> Kind:
    """What a run's scores have in common with those of other runs."""
    return tree.spec.generator, tree.spec.verifier, tree.spec.params.get("look", "preview")
