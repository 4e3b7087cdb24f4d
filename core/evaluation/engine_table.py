"""Every strategy under every guide at equal FLOPs on the embedded models: the table of engine.py.

Generator, decoder and guide together may spend the budget, and every strategy is sized to it by its own dials. A run
is one prompt; cells that are done are kept in a file, so that a table that was broken off goes on where it was.
"""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from core.evaluation.prompts import dev_prompts
from core.evaluation.statistics import mean_interval
from core.generators.registry import GENERATORS
from core.request import prepare
from core.search.errors import BadRequest
from core.search.events import Finished, RunSpec
from core.search.search import Search
from core.search.strategies.registry import STRATEGIES, get_strategy, unsupported

GUIDES = ("image_reward", "clip_score", "aesthetic", "rank:image_reward+clip_score+aesthetic")
VERIFIERS = ("image_reward", "clip_score", "aesthetic")
COSTS = ("nfe", "gflop", "seconds", "images")


@dataclass(frozen=True)
class Plan:
    prompts: int = 12
    gflop: float = 100.0
    guides: tuple[str, ...] = GUIDES
    seed: int = 7


def pairs() -> list[tuple[str, str]]:
    """(strategy, generator): every strategy on the model that it was made for."""
    found = [(name, _home(name)) for name in STRATEGIES]
    return [*found, ("random_search", "emoji-flow")]


def _home(strategy: str) -> str:
    """The generator of a strategy: the first that supports it; for particles the one that they were made for."""
    if strategy == "fk_steering":
        return "emoji-flow-sde"
    return next(name for name, entry in GENERATORS.items() if not unsupported(strategy, name, entry.abilities))


def one_run(strategy: str, generator: str, guide: str, prompt: str, plan: Plan) -> dict[str, Any]:
    """One search to its end, in numbers. A strategy that the budget does not fit says so."""
    observers = tuple(name for name in VERIFIERS if name not in guide)
    spec = RunSpec(prompt, generator, strategy, {}, guide, observers, plan.seed, budget_flops=plan.gflop * 1e9)
    try:
        prepared = prepare(spec)
    except BadRequest as refusal:
        return {"refused": str(refusal)}
    search = Search(prepared.generator, prepared.verifiers, prepared.spec, display=False)
    [end] = [event for event in search.run() if isinstance(event, Finished)]
    spent, dials = search.tree.spent, get_strategy(strategy).dials
    return {
        "score": round(end.score, 4), **{name: round(end.scores[name], 4) for name in VERIFIERS},
        "nfe": spent.nfe, "gflop": round(spent.flops / 1e9, 2), "seconds": round(search.tree.seconds, 3),
        "images": spent.images, "dials": {name: prepared.spec.params[name] for name in dials},
    }  # fmt: skip


def table(plan: Plan, part: Path | None, workers: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Mean figures of every strategy and guide, with intervals over prompts."""
    prompts, done = dev_prompts(plan.prompts, seed=3), _resumed(part, plan)
    cells = [(strategy, generator, guide) for strategy, generator in pairs() for guide in plan.guides]
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread) as pool:
        waiting = {
            cell: [pool.submit(one_run, *cell, prompt, plan) for prompt in prompts]
            for cell in cells if " ".join(cell) not in done
        }  # fmt: skip
        for number, (cell, runs) in enumerate(waiting.items(), 1):
            done[" ".join(cell)] = [run.result() for run in runs]
            progress(f"table {number}/{len(waiting)} {' '.join(cell)}")
            if part:
                part.write_text(json.dumps({"plan": asdict(plan), "runs": done}))
    if part:
        part.unlink(missing_ok=True)
    rows = [_row(cell, done[" ".join(cell)]) for cell in cells]
    return {"plan": asdict(plan), "rows": rows}


def _resumed(part: Path | None, plan: Plan) -> dict[str, list[dict]]:
    """The finished cells of the same plan."""
    if part is None or not part.exists():
        return {}
    kept = json.loads(part.read_text())
    return kept["runs"] if kept["plan"] == json.loads(json.dumps(asdict(plan))) else {}


def _row(cell: tuple[str, str, str], runs: list[dict]) -> dict[str, Any]:
    row = dict(zip(("strategy", "generator", "guide"), cell, strict=True))
    refused = [run["refused"] for run in runs if "refused" in run]
    if refused:
        return row | {"refused": refused[0]}
    scores = {name: mean_interval([run[name] for run in runs]) for name in ("score", *VERIFIERS)}
    costs = {name: round(sum(run[name] for run in runs) / len(runs), 2) for name in COSTS}
    return row | scores | costs | {"dials": runs[0]["dials"]}


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # workers share the cores
