"""What the search engine costs and saves: python -m core.evaluation.engine [--quick] [--only PART]

Six parts on two threads: overhead (wall time over time in models), cancel (how soon it takes effect), sharing (against
a search that restarts every candidate), growth (seconds and FLOPs over width x branch), memory (peak against what the
engine accounts for) and table (every strategy under every guide). Takes half an hour on two cores and writes
assets/results/engine.json, .md and .svg; a part that is made alone replaces its own figures there. With --quick two
minutes, on less of everything, and nothing is written. Timings are worth what the machine's quiet is worth.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.evaluation import engine_timing as timing
from core.evaluation.engine_memory import memory
from core.evaluation.engine_table import VERIFIERS, Plan, table
from core.evaluation.no_sharing import WAYS
from core.search.errors import BadRequest

RESULTS = Path(__file__).resolve().parents[2] / "assets" / "results"
THREADS, MEBI = 2, 2**20
WORKERS = max(2, min(4, os.cpu_count() or 2))  # processes of one thread each, for the table
Progress = Callable[[str], None]

def _thread_counts() -> tuple[int, ...]:
    """1, 2 and, where there are more, all of this process's cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return tuple(sorted({1, THREADS, min(4, cores)}))


FULL: dict[str, Callable[[Progress], dict]] = {
    "overhead": lambda progress: timing.overhead(rounds=15),
    "cancel": lambda progress: timing.cancel(rounds=8),
    "sharing": lambda progress: timing.sharing(rounds=9) | {
        "sizes": timing.sharing_by_size(rounds=5), "by_threads": timing.sharing_by_threads(9, _thread_counts())
    },
    "growth": lambda progress: timing.growth(rounds=3),
    "memory": lambda progress: memory(),
    "table": lambda progress: table(Plan(), RESULTS / "engine.part.json", WORKERS, progress),
}
QUICK: dict[str, Callable[[Progress], dict]] = {
    "overhead": lambda progress: timing.overhead(rounds=3),
    "cancel": lambda progress: timing.cancel(rounds=1),
    "sharing": lambda progress: timing.sharing(rounds=1) | {
        "sizes": timing.sharing_by_size(1, ("XS",)), "by_threads": timing.sharing_by_threads(1, (THREADS,))
    },
    "growth": lambda progress: timing.growth(rounds=1, sizes=(1, 2, 4)),
    "memory": lambda progress: memory(rounds=1),
    "table": lambda progress: table(Plan(prompts=1, gflop=60.0, guides=("image_reward",)), None, WORKERS, progress),
}
PARTS = tuple(FULL)
WAY_NAMES = {
    "restarted": "nothing: every candidate from the bare prompt, one at a time",
    "replayed": "as public code: every prefix from the bare prompt, children drawn together, images in tens",
    "batched": "every candidate from the bare prompt, all together",
    "continued": "keys and values kept, but a pass for every child, one at a time",
    "shared": "all, but nothing is batched",
}  # what each shares


def bench(only: str | None = None, quick: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """All parts, or one. Unless `quick` the files in assets/results are written too. Raises BadRequest."""
    if only not in (None, *PARTS):
        raise BadRequest(f"there is no part {only!r} of the bench: choose one of {', '.join(PARTS)}")
    progress, found = progress or _to_stderr, {"machine": machine()}
    with threads(THREADS):
        for name, measure in (QUICK if quick else FULL).items():
            if only in (None, name):
                progress(name)
                found[name] = measure(progress)
                if not quick:
                    found = _written(found)
    return found


def machine() -> dict[str, Any]:
    """On what the figures were taken."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(), "cores": os.cpu_count(), "threads": THREADS,
        "torch": torch.__version__, "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it torch computes on `count` threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _written(found: dict[str, Any]) -> dict[str, Any]:
    """The figures together with the parts that were made before, as they now are on disk."""
    path = RESULTS / "engine.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    merged = before | found
    merged = {name: merged[name] for name in ("machine", *PARTS) if name in merged}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(merged, indent=1) + "\n")
    (RESULTS / "engine.md").write_text(markdown(merged))
    if "growth" in found:
        plot(merged["growth"], RESULTS / "engine.svg")
    return merged


# In words


def markdown(found: dict[str, Any]) -> str:
    """The figures for people, part by part."""
    machine = found["machine"]
    lines = [
        "# The search engine, measured", "",
        f"Made by `python -m core.cli bench engine` with {machine['threads']} threads on {machine['cpu']} "
        f"({machine['cores']} cores), torch {machine['torch']}. Medians over prompts with 95% bootstrap intervals, "
        "unless said otherwise.",
    ]  # fmt: skip
    for name, say in SAYINGS.items():
        if name in found:
            lines += ["", *say(found[name])]
    return "\n".join(lines) + "\n"


def _say_overhead(found: dict[str, Any]) -> list[str]:
    rows = [(name, _of(found["ratio"][name], 3), _of(found["seconds"][name], 2)) for name in found["ratio"]]
    total = sum(part["mean"] for part in found["parts"].values())
    parts = [(kind, _of(part, 4), f"{part['mean'] / total:.0%}") for kind, part in found["parts"].items()]
    return [
        "## Overhead", "",
        "Wall time of a beam search of width 3, branch 5, preview, over the time inside models. Shown: with every "
        "verifier looking on and the display's pictures. Stored: every event synced to disk. Bare: the guide alone.",
        "", *_grid(("", "wall / models", "seconds"), rows), "", "Where the bare search's time goes:", "",
        *_grid(("", "seconds", "share"), parts),
    ]  # fmt: skip


def _say_cancel(found: dict[str, Any]) -> list[str]:
    return [
        "## Cancelling", "",
        "Seconds from a cancel at a random moment of a large search (256 candidates a step, all observers, display) to "
        f"the end of its log: {_of(found['median'], 3)}, the worst of {found['cancels']} {found['worst']:.3f}.",
    ]  # fmt: skip


def _say_sharing(found: dict[str, Any]) -> list[str]:
    rows = [("everything: the engine", _of(found["seconds"]["engine"], 2), "1", "")]
    for name in found["times"]:
        same = found["same"][name]
        agreement = f"{same['same']} of {same['prompts']}, within {same['grey']}"
        rows.append((WAY_NAMES[name], _of(found["seconds"][name], 2), _of(found["times"][name], 2), agreement))
    flops = found["generator_flops"]
    return [
        "## Sharing", "",
        f"The same beam search (width {found['width']}, branch {found['branch']}, preview, one guide, the same seeds) "
        f"by how much is shared. Generator FLOPs: {flops['shared'] / 1e9:.1f} G shared, "
        f"{flops['unshared'] / 1e9:.1f} G had every candidate been computed from the bare prompt. Of the engine's "
        f"time {_of(found['seeing'], 2)} s decode and score; every candidate has an image of its own, so sharing "
        "cannot save these: with a generator that costs nothing the first row below would be that.",
        "", *_grid(("what is shared", "seconds", "times the engine", "prompts with the same bits and choices, "
                    "grey levels apart"), rows),
        "",
        "The larger the generator, the more of the time is what can be shared (the first row above, with untrained "
        "generators, of which only the speed counts):", "",
        *_grid(("size", "parameters", "times the engine"),
               [(size, f"{row['parameters'] / 1e6:.1f} M", _of(row["times"], 2))
                for size, row in found["sizes"].items()]),
        "", "By the number of threads, with the trained generator; one candidate at a time cannot use many:", "",
        *_grid(("threads", "times the engine"),
               [(count, _of(row["times"], 2)) for count, row in found["by_threads"].items()]),
    ]  # fmt: skip


def _say_growth(found: dict[str, Any]) -> list[str]:
    exponents = [
        (kind, unit, _of(fit["width"], 2), _of(fit["branch"], 2))
        for unit, fits in found["exponents"].items() for kind, fit in fits.items()
    ]  # fmt: skip
    cells = [
        (cell["width"], cell["branch"], *(f"{cell['seconds'][kind]:.3f}" for kind in timing.KINDS),
         *(f"{amount:.1f}" for amount in cell["gflop"].values()))
        for cell in found["cells"]
    ]  # fmt: skip
    kinds = ("forward", "decoder", "verifier")
    return [
        "## Growth of cost", "",
        "Exponents of width and branch, least squares in logarithms over all cells. Forward passes grow with width and "
        "not with branch; draws, decodes and scores grow with both. Picture: engine.svg.", "",
        *_grid(("", "in", "of width", "of branch"), exponents), "",
        f"The least of {found['rounds']} runs:", "",
        *_grid(("width", "branch", *(f"{kind} s" for kind in timing.KINDS), *(f"{kind} GFLOP" for kind in kinds)),
               cells),
    ]  # fmt: skip


def _say_memory(found: dict[str, Any]) -> list[str]:
    names = {"peak": "peak, measured", "counted": "live prefixes, weights and one batch, as the ledger counts",
             "weights": "of these the weights", "floor": "not counted: interpreter, libraries, compiled kernels"}
    rows = [(text, f"{found[name] / MEBI:.1f}") for name, text in names.items()]
    ratios, thrifty = (", ".join(f"{ratio:.2f}" for ratio in found[name]) for name in ("ratios", "thrifty"))
    return [
        "## Peak memory", "",
        f"Of a beam search of width {found['width']}, branch {found['branch']} in fresh processes (VmHWM): "
        f"{ratios} times what the ledger counts, what the allocator keeps for later included; {thrifty} with an "
        "allocator that gives memory back at once. The middle one of the first:",
        "", *_grid(("", "MiB"), rows),
    ]  # fmt: skip


def _say_table(found: dict[str, Any]) -> list[str]:
    plan = found["plan"]
    columns = ("strategy", "generator", "sized to", "guide's score", *VERIFIERS, "NFE", "GFLOP", "seconds", "images")
    lines = [
        "## Strategies and guides", "",
        f"Means over {plan['prompts']} development prompts with 95% bootstrap intervals. Every strategy is sized to "
        f"{plan['gflop']:g} GFLOP of generator, decoder and guide by its dials; seconds are on one thread. An "
        "ensemble's score counts within its own run only.",
    ]  # fmt: skip
    for guide in plan["guides"]:
        rows = [_table_row(row) for row in found["rows"] if row["guide"] == guide]
        lines += ["", f"### Guide `{guide}`", "", *_grid(columns, rows)]
    return lines


def _table_row(row: dict[str, Any]) -> tuple:
    if "refused" in row:
        return row["strategy"], row["generator"], row["refused"], *[""] * (5 + len(VERIFIERS))
    dials = ", ".join(f"{name} {value}" for name, value in row["dials"].items())
    scores = [_of(row[name], 3) for name in ("score", *VERIFIERS)]
    return (row["strategy"], row["generator"], dials, *scores, f"{row['nfe']:.0f}", f"{row['gflop']:.1f}",
            f"{row['seconds']:.2f}", f"{row['images']:.1f}")  # fmt: skip


SAYINGS = {
    "overhead": _say_overhead, "cancel": _say_cancel, "sharing": _say_sharing, "growth": _say_growth,
    "memory": _say_memory, "table": _say_table,
}  # fmt: skip


def _of(interval: dict[str, float], digits: int) -> str:
    mean, low, high = (f"{interval[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _grid(columns: tuple, rows: list[tuple]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (columns, ("---",) * len(columns), *rows)]


def plot(growth: dict[str, Any], path: Path) -> None:
    """Seconds over width and over width x branch. Needs matplotlib, which only those need who remake results."""
    try:
        import matplotlib
    except ImportError:
        _to_stderr(f"{path.name} is not drawn: pip install matplotlib (tests/requirements.txt) and run it again")
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "engine"  # the same figures give the same file
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.8), sharey=True, layout="constrained")
    for axis, kind in zip(axes, ("forward", "decoder", "verifier"), strict=True):
        for branch in sorted({cell["branch"] for cell in growth["cells"]}):
            cells = [cell for cell in growth["cells"] if cell["branch"] == branch]
            axis.plot([_across(cell, kind) for cell in cells], [cell["seconds"][kind] for cell in cells],
                      marker="o", markersize=4, label=f"branch {branch}")  # fmt: skip
        axis.set(title=kind, xscale="log", yscale="log", xlabel="width" if kind == "forward" else "width x branch")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds of a search")
    axes[0].legend()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _across(cell: dict[str, Any], kind: str) -> int:
    return cell["width"] * (1 if kind == "forward" else cell["branch"])


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = bench(args.only, args.quick)
    print(json.dumps(found) if args.json else markdown(found))


assert set(WAY_NAMES) == set(WAYS)

if __name__ == "__main__":
    main()
