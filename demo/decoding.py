"""Decode now: a picture of a node that the search had no need to decode, when somebody wants to look at it.

The node's frozen state is thawed, which computes its path again, and decoded. The picture is kept with the run, and
beside it what it cost, as compute for display: the log and all matched compute stay as they are. Of a recorded run,
whose folder is only read, it is kept as long as the server runs.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from core.decoding import decode_price, decoded
from core.search.budget import GIGA, Cost
from core.search.errors import BadRequest
from core.search.tree import Node, Tree
from core.store.writer import jpeg
from demo import strings, view
from demo.limits import Buckets, Rate
from demo.models import Models
from demo.refusals import TooSoon
from demo.streaming import Library, Reader

IN_LINE = 4                            # who may wait while one is decoded
PACE = Rate(burst=20, seconds=1)       # of one visitor
KEPT = 1000                            # pictures of recorded runs
MOST_READ = 500                        # runs of which it is remembered what was decoded


class Decoder:
    """One picture at a time."""

    def __init__(self, library: Library, models: Models, pace: Rate = PACE):
        self._library, self._models, self._pace = library, models, Buckets(pace)
        self._costs: OrderedDict[str, dict[int, Cost]] = OrderedDict()
        self._pictures: OrderedDict[tuple[str, int], bytes] = OrderedDict()   # of runs that are only read
        self._door, self._line = threading.Lock(), threading.BoundedSemaphore(IN_LINE)

    def costs(self, reader: Reader) -> Mapping[int, Cost]:
        """What was decoded of a run on demand, and what it cost, by node."""
        if reader.run not in self._costs:
            self._costs[reader.run] = reader.store.decoded(reader.run)
            while len(self._costs) > MOST_READ:
                self._costs.popitem(last=False)
        return self._costs[reader.run]

    def picture(self, run: str, node: int) -> bytes:
        """The JPEG of a recorded run's node. Raises FileNotFoundError where none was decoded."""
        if (run, node) not in self._pictures:
            raise FileNotFoundError(f"{run} {node}")
        return self._pictures[run, node]

    def offer(self, reader: Reader, node: Node) -> dict[str, Any] | None:
        """{"gflop": price} of a node without a picture, or {"refused": sentence} without the model; None of others."""
        tree = reader.tree
        if not node.step or node.id in self.costs(reader) or view.image_kind(tree, node):
            return None
        name = tree.spec.generator
        if name not in self._models.generators:
            return {"refused": strings.NO_MODEL.format(name=strings.name_of(strings.GENERATOR_NAMES, name))}
        if not self._models.ready.is_set():
            return {"refused": strings.LOADING}
        if self._models.problem:
            return {"refused": strings.sentence(self._models.problem)}
        return {"gflop": decode_price(self._models.generator(name), tree, node).flops_display / GIGA}

    def decode(self, run: Any, id: Any, visitor: str = "") -> dict[str, Any]:
        """Decode a node that has no picture; {"gflop": what it took}.

        Raises BadRequest where there is nothing to decode or no such run for the visitor, or no model, TooSoon
        where too many want it.
        """
        reader = self._library.reader(run, visitor)
        tree = reader.tree_now()
        if type(id) is not int or id not in tree.nodes:
            raise BadRequest(strings.BAD_NODE)
        node = tree.nodes[id]
        offered = self.offer(reader, node)
        if offered is None:
            raise BadRequest(strings.NOTHING_TO_DECODE)
        if "refused" in offered:
            raise BadRequest(offered["refused"])
        with self._alone(visitor):
            if id not in self.costs(reader):
                self._keep(reader, id, *decoded(self._models.generator(tree.spec.generator), tree, node))
        return {"gflop": self.costs(reader)[id].flops_display / GIGA}

    def _keep(self, reader: Reader, id: int, image: Any, cost: Cost) -> None:
        if reader.store.read_only:
            self._pictures[reader.run, id] = jpeg(image)
            while len(self._pictures) > KEPT:
                (run, node), _ = self._pictures.popitem(last=False)
                self._costs.get(run, {}).pop(node, None)
        else:
            reader.store.keep_decoded(reader.run, id, image, cost)
        self._costs[reader.run][id] = cost

    @contextmanager
    def _alone(self, visitor: str):
        if self._pace.wait(visitor) > 0 or not self._line.acquire(blocking=False):
            raise TooSoon(strings.DECODES_WAIT)
        try:
            self._pace.take(visitor)
            with self._door:
                yield
        finally:
            self._line.release()


def with_pictures(tree: Tree, ids: Iterable[int]) -> Tree:
    """The tree, with the nodes that were decoded on demand as if the search had shown them."""
    shown = {id: replace(tree.nodes[id], has_preview=True) for id in ids if id in tree.nodes}
    return replace(tree, nodes={**tree.nodes, **shown}) if shown else tree
