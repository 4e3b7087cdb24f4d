"""Record a comparison to ship: `python -m demo.record "PROMPT" [options]` writes its two runs under assets/runs.

A first visit opens the recorded comparison with the smallest id; `--replace` removes the ones that are there before.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.runs import RunStore
from core.search.errors import BeamscopeError
from core.search.events import RunSpec
from core.search.strategies.registry import STRATEGIES, get_strategy
from demo import settings
from demo.embedded import embedded_models
from demo.models import Models
from demo.server import RECORDED
from demo.streaming import compute, create


def record(models: Models, store: RunStore, spec: RunSpec) -> list[str]:
    """Run and keep one comparison; the ids of its lanes. Raises BeamscopeError when the request cannot be met."""
    specs = settings.plan(models, spec).specs
    writers = create(store, specs)
    try:
        compute(models, specs, writers)
    finally:
        for writer in writers:
            writer.close()
    return [writer.run for writer in writers]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.record", description="Record a run for the first visit.")
    parser.add_argument("prompt")
    parser.add_argument("--strategy", choices=STRATEGIES, default="beam_search")
    parser.add_argument("--verifier", default="image_reward")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--budget", type=float, default=250.0, metavar="GFLOP")
    for name in ("width", "branch", "n"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--look", help="preview, rollout, or a scale")
    parser.add_argument("--out", type=Path, default=RECORDED)
    parser.add_argument("--replace", action="store_true", help="remove the runs recorded before")
    return parser


def _params(options: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of the strategy, at its default where it was not given."""
    look = options["look"]
    given = {**options, "look": int(look) if look and look.isdigit() else look}
    known = get_strategy(options["strategy"]).params
    return {param.name: param.default if given[param.name] is None else given[param.name] for param in known}


def main() -> int:
    args = _parser().parse_args()
    models = embedded_models()
    others = tuple(name for name in models.verifiers if name != args.verifier)
    spec = RunSpec(args.prompt, models.searcher, args.strategy, _params(vars(args)), args.verifier, others, args.seed,
                   args.budget * settings.GIGA)  # fmt: skip
    if args.replace:
        for info in (store := RunStore(args.out)).list():
            shutil.rmtree(store.folder(info.run))
    try:
        print("recorded:", *record(models, RunStore(args.out), spec))
    except BeamscopeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
