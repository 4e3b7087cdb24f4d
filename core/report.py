"""A run in words and in JSON, from its tree alone; and the folder of files that is handed out.

Knows no models: it says the same of a live run and of a replayed one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from core.search.budget import GIGA, Cost
from core.search.events import Event, Failed, Finished, Pruned, RunSpec
from core.search.tree import Tree
from core.store.result_png import result_png
from core.store.runs import RunStore


def summary(tree: Tree, run: str, image: Path | None) -> dict[str, Any]:
    """The run as one JSON object. `image` is the PNG of its best image, if it has one."""
    spec = tree.spec
    return {
        "run": run, "prompt": spec.prompt, "strategy": spec.strategy, "verifier": spec.verifier, "seed": spec.seed,
        "best": _best(tree, image),
        "cost": {**vars(tree.spent), "flops": tree.spent.flops},
        "resumed": spec.origin and {"run": spec.origin.run, "node": spec.origin.node, "regret": tree.regret()},
        "nodes": len(tree.nodes), "pruned": len(_pruned(tree)), "scales": tree.num_steps,
        "notes": [event.message for event in tree.shrunk],
    }


def _best(tree: Tree, image: Path | None) -> dict[str, Any] | None:
    best = tree.best()
    if best is None:
        return None
    scores = tree.end.scores if isinstance(tree.end, Finished) else best.scores
    return {"node": best.id, "score": tree.best_score(), "scores": dict(scores), "image": str(image)}


def _pruned(tree: Tree) -> list[int]:
    """Candidates that lost; the unranked way to them does not count."""
    return [node.id for node in tree.nodes.values() if node.status == "pruned" and node.rank is not None]


def in_words(tree: Tree, run: str, image: Path | None) -> Iterator[str]:
    spec, cost = tree.spec, tree.spent
    yield f"run    {run}: {_asked(spec)}"
    best = _best(tree, image)
    if best:
        scores = " · ".join(f"{name} {score:.3f}" for name, score in best["scores"].items())   # the guide's first
        yield f"best   node {best['node']}, {scores}"
        yield f"image  {best['image']}"
    yield from (f"note   {event.message}" for event in tree.shrunk)
    if spec.origin:
        yield f"regret {_regret(tree)}"
    yield f"cost   {_spent(cost)}, {cost.cache_hits} scores found again, {tree.seconds:.1f} s, {_mebi(cost)}"
    yield (
        f"shared {cost.flops_generator / GIGA:.2f} GFLOP in the generator where every candidate from the bare prompt "
        f"would have been {cost.flops_unshared / GIGA:.2f}"
    )
    yield f"tree   {len(tree.nodes)} nodes, {len(_pruned(tree))} pruned, {tree.num_steps} scales"


def forecast(spec: RunSpec, cost: Cost) -> dict[str, Any]:
    """A run that was only sized, as one JSON object."""
    return {"prompt": spec.prompt, "generator": spec.generator, "strategy": spec.strategy, "params": dict(spec.params),
            "verifier": spec.verifier, "seed": spec.seed, "cost": {**vars(cost), "flops": cost.flops}}


def forecast_in_words(spec: RunSpec, cost: Cost) -> Iterator[str]:
    yield f"run    {_asked(spec)}"
    yield f"cost   at most {_spent(cost)}, {cost.images} finished images"
    yield f"time   {f'about {cost.seconds:.2g} s' if cost.seconds else 'not known: one image takes too long to try'}"


def _asked(spec: RunSpec) -> str:
    params = ", ".join(f"{name} {'off' if value is None else value}" for name, value in spec.params.items())
    return f"{spec.prompt!r}, {spec.generator}, {spec.strategy} ({params}), seed {spec.seed}"


def _spent(cost: Cost) -> str:
    return (
        f"{cost.flops / GIGA:.2f} GFLOP (generator {cost.flops_generator / GIGA:.2f}, "
        f"decoder {cost.flops_decoder / GIGA:.2f}, verifier {cost.flops_verifier / GIGA:.2f}), {cost.nfe} NFE "
        f"({cost.nfe_paper} as papers count), {cost.tokens} tokens, {cost.decodes} decodes, "
        f"{cost.verifier_calls} verifier calls"
    )


def _mebi(cost: Cost) -> str:
    return f"{cost.peak_bytes / 2**20:.0f} MiB"


def _regret(tree: Tree) -> str:
    """What came of going on from a node, against what the earlier run came to."""
    origin, regret = tree.spec.origin, tree.regret()
    begun = f"from node {origin.node} of run {origin.run}"
    if regret is None:
        return f"unknown, {begun}: {tree.spec.verifier} scored no result there or none here"
    return f"{regret:+.3f} {begun}: {tree.best_score():.3f} against {origin.winner[tree.spec.verifier]:.3f} there"


def choices(tree: Tree, events: Iterable[Event]) -> Iterator[str]:
    """One line for every time candidates were ranked: how many lost, and why."""
    for event in events:
        if isinstance(event, Pruned):
            lost = len(event.ranks) - len(event.kept)
            scores = [tree.nodes[id].score for id in event.ranks if tree.nodes[id].score is not None]
            best = f"best {max(scores):.3f}" if scores else "not scored"
            cut = "" if event.cut is None else f", cut {event.cut:.3f}"
            yield (
                f"{tree.label(event.step):>8}: {len(event.ranks)} candidates, {len(event.kept)} kept, {lost} pruned "
                f"({event.rule} by {event.look}: {best}{cut})"
            )


def ending(tree: Tree, status: str) -> str:
    """How the run ended, in one line."""
    if isinstance(tree.end, Failed):
        return f"failed ({tree.end.code}): {tree.end.message}"
    if isinstance(tree.end, Finished) and tree.end.reason == "budget":
        return "ended with the budget"
    return status


def export(store: RunStore, run: str, tree: Tree, folder: Path) -> Path | None:
    """Write the previews, run.json with all events, and best.png with the spec in it; its path, if there is a best."""
    shutil.copytree(store.folder(run) / "previews", folder / "previews", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("*.png"))
    events = [event.to_json() for event in store.load(run)]
    (folder / "run.json").write_text(json.dumps({"run": run, **store.meta(run), "events": events}))
    if tree.best() is None:
        return None
    (folder / "best.png").write_bytes(result_png(store, run))
    return folder / "best.png"
