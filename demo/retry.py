"""A comparison that memory was too small for, once more and smaller."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.search.errors import BadRequest, OutOfMemory
from core.search.events import Failed
from core.search.retry import smaller
from core.search.tree import Tree
from demo import settings, strings
from demo.context import Context
from demo.launch import launch, require_models


def offered(trees: Sequence[Tree]) -> tuple[str, int] | None:
    """The parameter of the searcher to turn down, and to what; None where memory sufficed or nothing is smaller."""
    short = any(isinstance(tree.end, Failed) and tree.end.code == OutOfMemory.code for tree in trees)
    return smaller(trees[0].spec_now) if short and trees[0].spec else None


def begin(context: Context, run: Any, request: Any) -> str:
    """Start it with the same settings otherwise; the id of its first run. Raises BadRequest where that is no offer."""
    lanes = context.library.lanes(run, context.visitors.of(request))
    trees = [lane.tree_now() for lane in lanes]
    less = offered(trees)
    if less is None:
        raise BadRequest(strings.NOT_RETRIED)
    require_models(context.models)
    spec = trees[0].spec_now
    spec = replace(spec, params={**spec.params, less[0]: less[1]})
    beside = settings.baseline_of(context.models, trees[1].spec if len(trees) > 1 else None)
    plan = settings.plan(context.models, spec, beside)
    return launch(context, plan, request, context.library.audience(run) == "private")
