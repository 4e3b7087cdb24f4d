"""The headline's picture: a panel for each verifier, strict score over total GFLOP; budgets are dotted lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.evaluation.headline.figures import Outcomes
from core.evaluation.headline.plan import (
    AR_RANDOM,
    BEAM_PREVIEW,
    BEAM_ROLLOUT,
    FLOW_RANDOM,
    GREEDY,
    PATHS,
    ZERO_ORDER,
    Line,
)
from core.search.budget import GIGA

STYLES = {  # colour, mark, dashes; next-scale model in blues and greens, diffusion in reds
    AR_RANDOM: ("#1f77b4", "", "-"), GREEDY: ("#17a2a2", "v", ":"), BEAM_PREVIEW: ("#2ca02c", "s", "--"),
    BEAM_ROLLOUT: ("#14366b", "o", "-"), FLOW_RANDOM: ("#d62728", "", "-"), ZERO_ORDER: ("#ff7f0e", "^", "--"),
    PATHS: ("#8c3a6b", "D", ":"),
}  # fmt: skip
LABELS = {
    AR_RANDOM: "next-scale: best of n", GREEDY: "next-scale: greedy (rollout)",
    BEAM_PREVIEW: "next-scale: beam (preview)", BEAM_ROLLOUT: "next-scale: beam (rollout)",
    FLOW_RANDOM: "diffusion: best of n", ZERO_ORDER: "diffusion: zero order", PATHS: "diffusion: paths",
}  # fmt: skip
POINTS = 9  # of a pool's curve that have an interval


def plot(outcomes: Outcomes, path: Path) -> None:
    """Needs matplotlib, which only those need who remake results."""
    try:
        import matplotlib
    except ImportError:
        print(f"{path.name} is not drawn: pip install matplotlib (tests/requirements.txt)", file=sys.stderr)
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams |= {"svg.hashsalt": "headline", "font.size": 11}  # the same figures give the same file
    verifiers = outcomes.plan.verifiers
    size = (4.6 * len(verifiers), 5.2)
    figure, axes = pyplot.subplots(1, len(verifiers), figsize=size, sharex=True, sharey=True, squeeze=False,
                                   layout="constrained")  # fmt: skip
    for axis, verifier in zip(axes[0], verifiers, strict=True):
        _panel(axis, outcomes, verifier)
    axes[0][0].set_ylabel("strict, 95% intervals")
    handles, labels = axes[0][0].get_legend_handles_labels()
    for axis in axes[0][1:]:  # a line may be on one panel only
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _panel(axis, outcomes: Outcomes, verifier: str) -> None:
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    for line in (AR_RANDOM, FLOW_RANDOM):
        if line.generator in outcomes.plan.generators:
            _curve(axis, outcomes, line, verifier)
    for line in (line for line in STYLES if line not in (AR_RANDOM, FLOW_RANDOM)):
        _points(axis, outcomes, line, verifier)
    axis.set(title=f"chosen by {verifier}", xscale="log", xlabel="total GFLOP")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    for budget in outcomes.plan.budgets:
        axis.axvline(budget, color="black", linewidth=0.8, linestyle=(0, (1, 4)))


def _curve(axis, outcomes: Outcomes, line: Line, verifier: str) -> None:
    """Best of n over its price up to the largest budget, and a band around it."""
    colour, _, dashes = STYLES[line]
    prices = [price.flops / GIGA for price in outcomes.plan.prices[line.generator, verifier]]
    prices = [price for price in prices if price <= outcomes.plan.budgets[-1]]
    if not prices:
        return
    curve = outcomes.curve(line.generator, verifier)[:, : len(prices)]
    axis.plot(prices, [outcomes.mean(of_n) for of_n in curve.T], dashes, color=colour, label=LABELS[line])
    picked = sorted({round(i) for i in np.geomspace(1, len(prices), POINTS)})
    bands = [outcomes.interval(curve[:, n - 1]) for n in picked]
    axis.fill_between([prices[n - 1] for n in picked], *_limits(bands), color=colour, alpha=0.13, linewidth=0)


def _points(axis, outcomes: Outcomes, line: Line, verifier: str) -> None:
    """Runs of a search, at what they spent."""
    colour, mark, dashes = STYLES[line]
    settings = [s for s in outcomes.plan.settings if (s.line, s.verifier) == (line, verifier)]
    if not settings:
        return
    found = [outcomes.interval(outcomes.found(setting)) for setting in settings]
    means, (lows, highs) = np.array([one["mean"] for one in found]), _limits(found)
    axis.errorbar([outcomes.spent(setting).flops / GIGA for setting in settings], means, (means - lows, highs - means),
                  color=colour, marker=mark, markersize=6, linestyle=dashes, elinewidth=0.8, capsize=2,
                  label=LABELS[line])  # fmt: skip


def _limits(intervals: Sequence[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array([interval[side] for interval in intervals]) for side in ("low", "high"))
