"""Record a comparison to ship: `python -m demo.record "PROMPT" [options]` writes its two runs under assets/runs, and a
small one that goes on from a node that was pruned there, so that a first visit finds a pruning regret to look at.

A first visit opens the recorded comparison with the smallest id; `--replace` removes the ones that are there before.
`python -m demo.record --lessons` makes the runs of the page Learn anew, as is due whenever the weights change.
"""

import argparse
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.resume import resumed
from core.search.budget import Budget
from core.search.errors import BeamscopeError
from core.search.events import RunSpec
from core.search.schema import parse_value
from core.search.strategies.registry import STRATEGIES, checked_params
from core.search.tree import Node, Tree
from core.store.runs import RunStore
from demo import settings
from demo.embedded import embedded_models
from demo.jobs import compute, create
from demo.lessons import record_lessons
from demo.models import Models
from demo.server import RECORDED

BRANCH = 4  # children of each node of the run that goes on


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


def record_resumed(models: Models, store: RunStore, run: str) -> str | None:
    """Keep a greedy run from the pruned node that `again_from` names; its id, None where there is no such node.

    Raises BeamscopeError as `record`.
    """
    tree = Tree.of(store.load(run))
    node = again_from(tree)
    if node is None:
        return None
    params = {"branch": BRANCH, "look": tree.spec.params.get("look", "preview")}
    spec = resumed(store, run, node.id, "greedy_tokens", params, Budget())
    spec = replace(spec, observers=models.observers(spec.generator, others=(spec.verifier,)))
    [spec] = settings.plan(models, spec, settings.NO_BASELINE).specs
    with store.create(spec) as writer:
        compute(models, [spec], [writer])
    return writer.run


def again_from(tree: Tree) -> Node | None:
    """The closest call halfway: of the nodes pruned at the middle step, or the next where none was, the best ranked."""
    middle = (tree.num_steps + 1) // 2
    ranked = [node for node in tree.nodes.values() if node.rank is not None and middle <= node.step < tree.num_steps]
    lost = [node for node in ranked if node.status == "pruned"]
    return min(lost, key=lambda node: (node.step, node.rank, node.id), default=None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.record", description="Record a run for the first visit.")
    parser.add_argument("prompt", nargs="?")
    parser.add_argument("--lessons", action="store_true", help="find and record the runs of the lessons instead")
    parser.add_argument("--strategy", choices=STRATEGIES, default="beam_search")
    parser.add_argument("--verifier", default="image_reward")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--budget", type=float, default=250.0, metavar="GFLOP")
    parser.add_argument("--generator", help="default: the one that the page begins with")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the strategy")
    parser.add_argument("--out", type=Path, default=RECORDED)
    parser.add_argument("--replace", action="store_true", help="remove the runs recorded before")
    return parser


def _params(settings: Sequence[str]) -> dict[str, Any]:
    """The parameters that were given as NAME=VALUE. Not yet checked."""
    given = (text.partition("=")[::2] for text in settings)
    return {name: parse_value(value) for name, value in given}


def main() -> int:
    parser = _parser()
    args = parser.parse_args()
    if not args.prompt and not args.lessons:
        parser.error("give a prompt in quotes, or --lessons")
    models = embedded_models()
    others = tuple(name for name in models.own_verifiers if name != args.verifier)
    try:
        if args.lessons:
            models.warm()  # tells which verifiers do not load
            record_lessons(models)
            return 0
        params = checked_params(args.strategy, _params(args.set))
        spec = RunSpec(args.prompt, args.generator or models.searcher, args.strategy, params, args.verifier, others,
                       args.seed, args.budget * settings.GIGA)  # fmt: skip
        store = RunStore(args.out, cap_bytes=math.inf)
        before = store.list() if args.replace else []
        runs = record(models, store, spec)
        again = record_resumed(models, store, runs[0])
        for info in before:
            shutil.rmtree(store.folder(info.run))
        print("recorded:", *runs, *([again] if again else []))
    except BeamscopeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
