"""Best of n: the baseline that every search has to beat, and all that an ODE sampler allows."""

from typing import Annotated

from core.search.primitives import Primitives, Steps
from core.search.schema import Range
from core.search.tree import Node

CHUNK = 8   # images finished in one batch: small enough to stream, large enough to be quick


def random_search(search: Primitives, n: Annotated[int, Range(1, 256)] = 16) -> Steps[list[Node]]:
    """Draw n independent images and keep the best (best-of-n; Riise et al. 2025, fig. 2a)."""
    root = yield from search.start()
    samples = yield from search.expand([root], n)
    images = []
    for i in range(0, n, CHUNK):
        chunk = yield from search.finish(samples[i : i + CHUNK])
        yield from search.score(chunk)
        images += chunk
    return (yield from search.keep(images, 1, rule="best_of_n"))
