"""The one way to start a search: whoever asks, page, route or API, passes the same limits."""

from collections.abc import Mapping
from typing import Any

from core.search.errors import BadRequest, WeightsMissing
from demo import strings
from demo.context import Context
from demo.models import Models
from demo.settings import Plan
from demo.zero_gpu import borrowed

LOAD_PATIENCE = 120  # seconds that a request waits for the models


def launch(context: Context, plan: Plan, request: Any, private: bool = False, cost: int = 1,
           marks: Mapping[str, Any] | None = None) -> str:
    """Put a priced comparison in line for the visitor behind a request; the id of its first run.

    cost: how many starts it counts as; marks: what else the metas of its runs say. Raises TooSoon, or BadRequest where
    the line is full.
    """
    lend = borrowed(context.models, plan, request)
    visitor = context.visitors.admit(request, cost)
    seconds = sum(found.seconds for found in plan.costs)
    return context.runner.start(plan.specs, visitor, private, seconds, marks, context.visitors.account(request), lend)


def require_models(models: Models) -> None:
    """Raises BadRequest while they load, WeightsMissing where they are not here."""
    if not models.ready.wait(LOAD_PATIENCE):
        raise BadRequest(strings.STILL_LOADING)
    if models.problem:
        raise WeightsMissing(models.problem)
