"""A picture of a node that the search had no need to decode: made later, from its frozen state, to be looked at."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from time import perf_counter
from typing import Any

from core.resume import way
from core.search.budget import Cost
from core.search.errors import BadRequest
from core.search.events import Image
from core.search.previews import preview_cost
from core.search.tree import Node, Tree


def decode_price(generator: Any, tree: Tree, node: Node) -> Cost:
    """Of the way to the node, computed again, and of one decoder pass; for display, so no matched compute."""
    path = sum((generator.step_cost(step - 1) for step in way(tree, node)), generator.start_cost)
    return (path + preview_cost(generator, node.step)).for_display()


def decoded(generator: Any, tree: Tree, node: Node) -> tuple[Image, Cost]:
    """The picture that the search would have made of the node, uint8 [H, W, 3], and what it cost.

    Raises BadRequest for the prompt, which has no picture, and for a state that is none of the generator's.
    """
    if not node.step:
        raise BadRequest("the prompt has no picture: nothing is decided there yet")
    began = perf_counter()
    try:
        state = generator.thaw(tree.spec.prompt, b64decode(node.state, validate=True))
    except ValueError as error:
        raise BadRequest(f"the state of node {node.id} cannot be read: {error}") from error
    image = generator.preview([state])[0]
    return image, replace(decode_price(generator, tree, node), seconds=perf_counter() - began)
