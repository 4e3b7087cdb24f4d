"""From a plan to pieces of work: how long each will take, and for which prompts there is time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from core.evaluation.headline.plan import Plan, Setting
from core.evaluation.headline.runs import held_out_b, pool_run, search_run
from core.evaluation.held_out_b import FOLDER as FOLDER_OF_B
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.parts import Piece, part_file, waiting, weights_of
from core.evaluation.prompts import by_turns
from core.evaluation.spritebench.rows import Row
from core.evaluation.spritebench.run import row_id
from core.search.errors import BadRequest
from core.search.sizing import Speeds
from core.speed import speeds

FLOPS_A_SECOND = 4e10  # of a core, where trying it out would take too long
OVERHEAD = 1.05  # of a search over its time in models


@dataclass(frozen=True)
class Prices:
    """Seconds on one thread of this machine."""

    speeds: Mapping[tuple[str, str], Speeds]  # by generator and verifier
    looks: Mapping[str, float]  # of an image by the oracle, and by the held-out verifier

    def search(self, setting: Setting) -> float:
        """Of a run with its oracle's look at the leaves, of which there are not more than images."""
        made = self.speeds[setting.line.generator, setting.verifier].seconds(setting.cost)
        return OVERHEAD * made + self.looks["oracle"] * _leaves(setting) + self.looks["b"]

    def pool(self, plan: Plan, generator: str) -> float:
        costs = {v: plan.prices[generator, v][-1] for v in plan.verifiers}
        fast = {v: self.speeds[generator, v] for v in plan.verifiers}
        scoring = sum(cost.flops_verifier / fast[v].verifier for v, cost in costs.items())
        one, speed = costs[plan.verifiers[0]], fast[plan.verifiers[0]]
        made = one.flops_generator / speed.generator + one.flops_decoder / speed.decoder
        return OVERHEAD * made + scoring + sum(self.looks.values()) * plan.sizes[generator]


def _leaves(setting: Setting) -> int:
    params = setting.spec.params
    return params.get("width", 1) * params["branch"] if "branch" in params else setting.cost.images


def measured(generators: Mapping[str, Any], verifiers: Mapping[str, Any], prompt: str, image: np.ndarray) -> Prices:
    """Try everything out. `image` is what oracle and held-out verifier are shown."""
    blind = Speeds(FLOPS_A_SECOND, FLOPS_A_SECOND, FLOPS_A_SECOND)
    fast = {(g, v): speeds(generators[g], {v: verifiers[v]}, prompt) or blind for g in generators for v in verifiers}
    images, b = [image] * 8, held_out_b()
    looks = {
        "oracle": _seconds(load_oracle().read, images) / len(images),
        "b": _seconds(b.score, prompt, np.stack(images)) / len(images) if b else 0.0,
    }
    return Prices(fast, looks)


def _seconds(call: Any, *args: Any) -> float:
    times = []
    for _ in range(2):  # the first may be setting things up
        began = perf_counter()
        call(*args)
        times.append(perf_counter() - began)
    return min(times)


@dataclass(frozen=True)
class Pieces:
    """The work for one plan: `pools` by generator, `searches` by setting's name, each by row and seed."""

    pools: Mapping[str, Mapping[tuple[str, int], Piece]]
    searches: Mapping[str, Mapping[tuple[str, int], Piece]]

    def of(self, row: Row, seed: int) -> list[Piece]:
        return [pieces[row.id, seed] for pieces in (*self.pools.values(), *self.searches.values())]


def pieces(plan: Plan, generators: Mapping[str, Any], rows: Sequence[Row], seeds: int, prices: Prices) -> Pieces:
    """All work. The parts' names hold what decides results: sizes, how is sampled, weights."""
    units = [(row, seed) for row in rows for seed in range(seeds)]
    sampling = {name: repr(getattr(generator, "sampling", None)) for name, generator in generators.items()}
    b = {"held_out_b": _mark_of_b()}

    def pool(name: str) -> dict[tuple[str, int], Piece]:
        size, seconds = plan.sizes[name], prices.pool(plan, name)
        weights = weights_of((name, *plan.verifiers)) | b
        part = part_file("headline", f"{name}-pool", size, plan.verifiers, sampling[name], weights)
        return {(row.id, seed): Piece(part, f"{row_id(row)} {seed}", pool_run, (name, row, seed, size, plan.verifiers),
                                      seconds) for row, seed in units}  # fmt: skip

    def search(setting: Setting) -> dict[tuple[str, int], Piece]:
        spec, seconds = setting.spec, prices.search(setting)
        decisive = spec.to_json(), sampling[spec.generator], weights_of((spec.generator, spec.verifier)) | b
        part = part_file("headline", f"{spec.generator}-{spec.strategy}", *decisive)
        return {(row.id, seed): Piece(part, f"{row_id(row)} {seed}", search_run,
                                      (replace(spec, prompt=row.prompt, seed=seed), row), seconds)
                for row, seed in units}  # fmt: skip

    return Pieces({name: pool(name) for name in generators}, {s.name: search(s) for s in plan.settings})


def _mark_of_b() -> str:
    """Whether the held-out verifier looks on, and which."""
    card = FOLDER_OF_B / "held_out_b.json"
    return json.loads(card.read_text())["sha256"] if held_out_b() and card.exists() else ""


def affordable(all_pieces: Pieces, rows: Sequence[Row], seeds: int, seconds: float) -> list[Row]:
    """As many rows of every tag alike as the work that is still to be done on them fits into `seconds` of all workers.

    None are left out if there is time for all. Raises BadRequest if there is no time for one of each tag.
    """
    still = {id(piece) for piece in waiting([piece for row in rows for seed in range(seeds)
                                             for piece in all_pieces.of(row, seed)])}  # fmt: skip
    left = {row.id: sum(piece.seconds for seed in range(seeds) for piece in all_pieces.of(row, seed)
                        if id(piece) in still) for row in rows}  # fmt: skip
    if sum(left.values()) <= seconds:
        return list(rows)
    tags = len({row.tag for row in rows})
    fits = [turns for turns in range(1, len(rows) // tags + 1)
            if sum(left[row.id] for row in by_turns(rows, turns * tags)) <= seconds]  # fmt: skip
    if not fits:
        one = sum(left[row.id] for row in by_turns(rows, tags))
        raise BadRequest(f"{seconds / 3600:.2f} h of one core are too few for a prompt of every tag, which takes about "
                         f"{one / 3600:.2f} h: give it more --hours or --workers, or fewer --gflop")  # fmt: skip
    return by_turns(rows, fits[-1] * tags)
