"""The headline from its plan to its files: forecast, run, collect, figure out, write."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.evaluation.headline import plan as planning
from core.evaluation.headline.figures import Outcomes, compared, outcomes_as_json, singles, table
from core.evaluation.headline.pages import headline_page, single_page
from core.evaluation.headline.plan import Plan, planned
from core.evaluation.headline.plot import plot
from core.evaluation.headline.work import Pieces, Prices, affordable, measured, pieces
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.parts import bar, carried_out, in_time, waiting
from core.evaluation.spritebench.rows import Row
from core.registry import pick
from core.search.errors import BadRequest, WeightsMissing
from core.training.sheets import single_samples

RESULTS = Path(__file__).resolve().parents[3] / "assets" / "results"


def loaded(names: Sequence[str], known: Mapping[str, Any], load: Callable[[str], Any]) -> tuple[dict, list[str]]:
    """The models that are there, by name, and for the others why they are not; how to get them is said on stderr."""
    found, missing = {}, []
    for name in names:
        try:
            pick("model", known, name)
            found[name] = load(name)
        except (BadRequest, WeightsMissing) as reason:
            missing.append(f"{name} ({'no weights' if isinstance(reason, WeightsMissing) else 'unknown'})")
            say([f"{name} is not there: {reason}"])
    return found, missing


def headline(
    generators: Mapping[str, Any], verifiers: Mapping[str, Any], rows: Sequence[Row], seeds: int,
    budgets: Sequence[float] = planning.BUDGETS, hours: float | None = None, workers: int = 1,
    forecast_only: bool = False,
) -> Outcomes | None:  # fmt: skip
    """Plan, forecast, run and collect. Raises WeightsMissing without an oracle, BadRequest where nothing fits."""
    load_oracle()
    lines = [line for line in planning.SEARCHES if line.generator in generators]
    plan = planned(generators, verifiers, budgets, lines)
    sampler = next(iter(generators.values()))
    prices = measured(generators, verifiers, rows[0].prompt, single_samples(sampler, rows[0].prompt, 1)[0])
    work = pieces(plan, generators, rows, seeds, prices)
    chosen = list(rows) if hours is None else affordable(work, rows, seeds, hours * 3600 * workers)
    say(forecast(plan, prices, work, chosen, len(rows), seeds, workers))
    if forecast_only:
        return None
    todo = [piece for row in chosen for seed in range(seeds) for piece in work.of(row, seed)]
    with bar("runs") as progress:
        carried_out(todo, workers, progress)
    return collected(plan, work, chosen, seeds)


def collected(plan: Plan, work: Pieces, rows: Sequence[Row], seeds: int) -> Outcomes:
    """The results of work that is done."""
    units = [(row.id, seed) for row in rows for seed in range(seeds)]

    def results(by_unit: Mapping) -> dict:
        return dict(zip(units, carried_out([by_unit[unit] for unit in units]), strict=True))

    pools = {name: results(by_unit) for name, by_unit in work.pools.items()}
    return Outcomes(plan, rows, seeds, pools, {name: results(by_unit) for name, by_unit in work.searches.items()})


def forecast(
    plan: Plan, prices: Prices, work: Pieces, rows: Sequence[Row], of: int, seeds: int, workers: int
) -> list[str]:
    """How long everything will take, for people."""
    units = len(rows) * seeds
    lines = [f"{len(rows)} of {of} prompts x {seeds} seeds; seconds of one core a run, oracle included:"]
    lines += [f"  {prices.pool(plan, name):7.2f} s  pool of {plan.sizes[name]}, {name}" for name in plan.sizes]
    for setting in plan.settings:
        params = ", ".join(f"{name} {value}" for name, value in setting.spec.params.items())
        lines.append(f"  {prices.search(setting):7.2f} s  {setting.name}: {params}, "
                     f"{setting.cost.flops / 1e9:.1f} GFLOP")  # fmt: skip
    lines += [f"  does not fit: {name}" for name in plan.refused]
    everything = [piece for row in rows for seed in range(seeds) for piece in work.of(row, seed)]
    left = sum(piece.seconds for piece in waiting(everything))
    total = sum(piece.seconds for piece in everything)
    whole, rest = in_time(total / workers), in_time(left / workers)
    lines.append(f"all {units} units: {whole} on {workers} cores, of which {rest} are still to be done")
    return lines


def figures(outcomes: Outcomes, made: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that headline.json holds."""
    per_tag = Counter(row.tag for row in outcomes.rows)
    about = {
        "prompts": len(outcomes.rows), "seeds": outcomes.seeds, "budgets": list(outcomes.plan.budgets),
        "per_tag": min(per_tag.values()), "pools": dict(outcomes.plan.sizes),
    }  # fmt: skip
    return {
        "made": about | dict(made), "comparisons": compared(outcomes), "rows": table(outcomes),
        "refused": dict(outcomes.plan.refused), "single": singles(outcomes), "outcomes": outcomes_as_json(outcomes),
    }  # fmt: skip


def write(found: Mapping[str, Any], outcomes: Outcomes, folder: Path = RESULTS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "headline.json").write_text(_compact(found))
    (folder / "headline.md").write_text(headline_page(found))
    plot(outcomes, folder / "headline.svg")
    write_single(found, folder)


def write_single(found: Mapping[str, Any], folder: Path = RESULTS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "single.json").write_text(_compact({"made": found["made"], "single": found["single"]}))
    (folder / "single.md").write_text(single_page(found))


def _compact(found: Mapping[str, Any]) -> str:
    """One line for each part of each part."""
    parts = []
    for name, part in found.items():
        inner = part.items() if isinstance(part, dict) else None
        lines = [json.dumps({key: value})[1:-1] for key, value in inner] if inner is not None else map(json.dumps, part)
        opening, closing = "[]" if inner is None else "{}"
        parts.append(f"{json.dumps(name)}: {opening}\n" + ",\n".join(lines) + f"\n{closing}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def say(lines: Sequence[str]) -> None:
    print("\n".join(lines), file=sys.stderr, flush=True)
