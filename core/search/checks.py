"""What may be asked of a run, as far as no model is needed to tell."""

from __future__ import annotations

import math
from typing import get_args

from core.search import events as ev
from core.search.budget import amount
from core.search.errors import BadRequest
from core.search.states import SEEDS
from core.search.strategies.registry import require_continues

MAX_FINALISTS = 16


def check_spec(spec: ev.RunSpec, num_steps: int | None = None) -> None:
    """Raises BadRequest when the prompt, the seed, a budget, the finalists, the chooser or the origin is impossible."""
    if not spec.prompt.strip():
        raise BadRequest("the prompt is empty: say what the picture should show")
    if not isinstance(spec.seed, int) or not 0 <= spec.seed < SEEDS:
        raise BadRequest(f"seed {spec.seed!r} is impossible: it is a whole number from 0 to {SEEDS - 1}")
    for currency, limit in spec.budget.limits.items():
        if not 0 < limit < math.inf:
            raise BadRequest(f"a budget of {amount(currency, limit)} is impossible: it is a positive number")
    if spec.judge and not 1 <= spec.finalists <= MAX_FINALISTS:
        raise BadRequest(f"{spec.finalists} finalists are impossible: a judge is shown 1 to {MAX_FINALISTS}")
    if spec.chooser not in get_args(ev.Chooser):
        raise BadRequest(f"chooser {spec.chooser!r} is impossible: {' or '.join(get_args(ev.Chooser))} chooses")
    if spec.origin:
        _check_origin(spec, num_steps)


def _check_origin(spec: ev.RunSpec, num_steps: int | None) -> None:
    require_continues(spec.strategy)
    if num_steps is not None and spec.origin.step >= num_steps:
        raise BadRequest(
            f"node {spec.origin.node} is finished and cannot be continued: choose a node above it in the tree"
        )
