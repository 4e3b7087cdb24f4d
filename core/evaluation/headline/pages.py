"""The headline's figures as pages for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.headline.figures import BAND
from core.evaluation.statistics import in_words

COLUMNS = ("generator", "strategy (params, look)", "verifier", "NFE", "GFLOP gen / dec / ver", "s", "strict [95% CI]",
           "Δ vs best of n at equal GFLOP [95% CI]", "p (Holm)", "selection efficiency", "B z", "unclear")  # fmt: skip
NOTES = (
    "NFE counts steps of candidates, as papers do, and hides what a step costs. s: median of a run on one thread.",
    "Selection efficiency: the share of the headroom over a single sample that was harvested; for best of n up to "
    "pass@n, for a search up to the best of its finished leaves.",
    "B z is what the held-out verifier B thinks of the returned image, in standard deviations of single samples of "
    "emoji-ar on the same prompt.",
    "Both models' guidance, temperature and steps were tuned on the same dev prompts (tune.json), at single samples.",
)
Found = Mapping[str, Any]


def headline_page(found: Found) -> str:
    """headline.md"""
    made = found["made"]
    lines = [
        "# Strict score against total GFLOP: a first look", "",
        f"Made by `python -m core.evaluation.headline` on {made['prompts']} of SpriteBench's {made['of']} dev prompts "
        f"({made['per_tag']} of each tag) with {made['seeds']} root seeds each. Strict by the oracle, means of the "
        "tags' means, 95% cluster bootstrap intervals over prompts. GFLOP are those of generator, decoder and the one "
        "verifier that chose. Sizes come from dry runs, so no setting can spend more than its budget. A failed image "
        "counts as wrong.",
    ]  # fmt: skip
    if made["prompts"] < made["of"]:
        why = "as many as are done" if not made["hours"] else f"as many as --hours {made['hours']:g} allowed"
        lines += ["", f"**Only {made['prompts']} prompts**, the first {made['per_tag']} of each tag, {why}."]
    lines += [f"Not there: {reason}." for reason in made["missing"]]
    lines += ["", "![Strict score against total GFLOP](headline.svg)", "", *_compared(found["comparisons"], made)]
    lines += ["", "## All settings", "", *_table(found["rows"], found["comparisons"], made), ""]
    lines += [f"- {note}" for note in NOTES]
    lines += ["", *_losses(found["rows"])]
    if found["refused"]:
        lines += ["", "## What does not fit its budget", "",
                  *(f"- {name}: {why}" for name, why in found["refused"].items())]  # fmt: skip
    return "\n".join([*lines, "", "## Single samples", "", *_singles(found["single"])]) + "\n"


def single_page(found: Found) -> str:
    """single.md"""
    made = found["made"]
    return "\n".join([
        "# Single samples, strict, dev: overall and per tag, AR beside flow", "",
        f"Made by `{made['command']}`: {made['prompts']} dev prompts x {made['seeds']} seeds x the samples of each "
        "pool, no search and no selection. Means with 95% cluster bootstrap intervals over prompts.", "",
        *_singles(found["single"]),
    ]) + "\n"  # fmt: skip


def _compared(comparisons: Sequence[Found], made: Found) -> list[str]:
    return [
        f"## Comparisons written down beforehand, at {made['budgets'][-1]:g} GFLOP", "",
        "Holm-corrected for their number; everything else on this page is exploratory. Best of n is taken at the GFLOP "
        "that the other side really spent.", "",
        *_grid(("comparison", "GFLOP spent", "strict", "difference [95% CI]", "p (Holm)", "resolved for tags"),
               [_comparison(row) for row in comparisons]),
    ]  # fmt: skip


def _comparison(row: Found) -> tuple:
    if "not_made" in row:
        return row["name"], "not made: " + row["not_made"], "", "", "", ""
    spent = " and ".join(f"{amount:.4g}" for amount in row["gflop"])
    strict = " and ".join(f"{side['mean']:.3f}" for side in row["strict"])
    sure = {tag: apart["mean"] for tag, apart in row["tags"].items() if apart["low"] > 0 or apart["high"] < 0}
    tags = [f"{tag} {mean:+.2f}" for tag, mean in sure.items()]
    name = f"{row['name']}: {row['first']} - {row['second']}"
    return name, spent, strict, _signed(row["difference"]), f"{row['holm']:.4f}", ", ".join(tags) or "none"


def _table(rows: Sequence[Found], comparisons: Sequence[Found], made: Found) -> list[str]:
    tested = {row["first"]: row["holm"] for row in comparisons if row.get("beside_best_of_n")}
    return _grid(COLUMNS, [_row(row, tested if row["budget"] == made["budgets"][-1] else {}) for row in rows])


def _row(row: Found, tested: Mapping[str, float]) -> tuple:
    look = row["params"].get("look")
    name = f"{row['generator']} {row['strategy']}" + (f" ({look})" if look else "") + f" by {row['verifier']}"
    params = ", ".join([*(f"{key} {value}" for key, value in row["params"].items() if key != "look"),
                        *([look] if look else [])])  # fmt: skip
    gflop = row["gflop"]
    spent = " / ".join(f"{gflop[part]:.3g}" for part in ("generator", "decoder", "verifier"))
    failed = f"; {row['failed']} failed" if row["failed"] else ""
    return (
        row["generator"], row["strategy"] + (f" ({params})" if params else ""), row["verifier"] or "none",
        f"{row['nfe']:.4g}", f"{spent} = {gflop['total']:.4g}", _or_dash(row["seconds"], ".2f"),
        in_words(row["strict"]) + failed, _signed(row["delta"]) if row["delta"] else "–",
        _or_dash(tested.get(name), ".4f") if row["delta"] else "–", _or_dash(row["efficiency"], ".0%"),
        _or_dash(row["b_z"], "+.2f") if row["b_z"] is not None else "no weights", f"{row['unclear']:.1%}",
    )  # fmt: skip


def _losses(rows: Sequence[Found]) -> list[str]:
    """Where search hurt, the worst first."""
    behind = [row for row in rows if row["delta"] and row["delta"]["mean"] < 0]
    behind.sort(key=lambda row: row["delta"]["mean"])
    lines = ["## Losses: searches behind best of n at equal GFLOP", ""]
    for row in behind:
        sure = "" if row["delta"]["high"] < 0 else " (not resolved)"
        look = f" by {row['params']['look']}" if "look" in row["params"] else ""
        lines.append(f"- {row['generator']} {row['strategy']}{look}, {row['verifier']}, {row['budget']:g} GFLOP: "
                     f"{_signed(row['delta'])}{sure}")  # fmt: skip
    return lines if behind else [*lines, "None."]


def _singles(single: Mapping[str, Found]) -> list[str]:
    names = list(single)
    lines = []
    for name in names:
        rate, fixed = single[name]["overall"]["strict"], single[name]["corrected"]
        behind = "" if fixed is None else f", corrected for the oracle's errors {fixed:.3f}"
        where = "within" if single[name]["in_band"] else "outside"
        lines.append(f"- `{name}`: strict {in_words(rate)}{behind}; {where} the band of {BAND[0]:.2f} to {BAND[1]:.2f} "
                     f"in which search is informative; {single[name]['samples']} samples.")  # fmt: skip
    shown = ("strict", "lenient", "am", "unclear", "dead_zone")
    titles = {"am": "atoms", "unclear": "unclear", "dead_zone": "in the dead zone"}
    columns = ("tag", *(f"{titles.get(metric, metric)}, {name}" for metric in shown for name in names))
    tags = ["overall", *single[names[0]]["tags"]]
    rows = [(tag, *(_short(single[name]["overall" if tag == "overall" else "tags"], tag, metric)
                    for metric in shown for name in names)) for tag in tags]  # fmt: skip
    return [*lines, "", *_grid(columns, rows)]


def _short(rates: Found, tag: str, metric: str) -> str:
    rate = (rates if tag == "overall" else rates[tag])[metric]
    if metric in ("unclear", "dead_zone"):
        return f"{rate['mean']:.1%}"
    return f"{rate['mean']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"


def _signed(interval: Found) -> str:
    return f"{interval['mean']:+.3f} [{interval['low']:+.3f}, {interval['high']:+.3f}]"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _grid(columns: Sequence, rows: Sequence[Sequence]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (columns, ("---",) * len(columns), *rows)]
