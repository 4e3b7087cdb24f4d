"""Where the time of a search goes: overhead of the engine, what sharing saves, how cost grows. See engine.py.

Models are timed from outside, by proxies, so nothing of the engine has to be trusted for it.
"""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Timer
from time import perf_counter
from typing import Any

import numpy as np

from core.evaluation.no_sharing import WAYS, Found, beam
from core.evaluation.prompts import dev_prompts
from core.generators.emoji_ar import EmojiAr
from core.models.layers import SIZES as SIZES_OF_MODELS
from core.models.next_scale import NextScale, NextScaleConfig
from core.request import prepare
from core.search.events import Pruned, RunSpec, Scored
from core.search.search import Search
from core.store.runs import RunStore

GUIDE, OBSERVERS = "image_reward", ("clip_score", "aesthetic")
GENERATOR_CALLS = ("start", "step", "renoise", "neighbours", "thaw")
KINDS = ("forward", "draw", "decoder", "verifier", "engine")  # of time; forward and draw are the generator's
SIZES = (1, 2, 4, 8, 16)
ROUNDS = 2000  # of the bootstrap


class Clocked:
    """A model as it is, but that some of its methods add their seconds to a clock."""

    def __init__(self, model: Any, kinds: Mapping[str, str], clock: Counter):
        self._model, self._kinds, self._clock = model, kinds, clock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._model, name)
        return partial(timed, self._clock, self._kinds[name], value) if name in self._kinds else value


def timed(clock: Counter, kind: str, call: Any, *args: Any) -> Any:
    began = perf_counter()
    try:
        return call(*args)
    finally:
        clock[kind] += perf_counter() - began


class Bench:
    """One request with its models, run as often as wanted."""

    def __init__(self, params: Mapping[str, Any] | None = None, observers: tuple[str, ...] = (), seed: int = 7,
                 size: str | None = None):
        """`size` puts an untrained generator of that size in the place of the trained one: only its speed counts."""
        spec = RunSpec(dev_prompts(1)[0], "emoji-ar", "beam_search", params or {}, GUIDE, observers, seed)
        prepared = prepare(spec)
        self.spec, self.generator, self.verifiers = prepared.spec, prepared.generator, prepared.verifiers
        if size:
            self.generator = EmojiAr(NextScale(NextScaleConfig(size)).eval(), self.generator.tokenizer)

    def search(self, prompt: str, clock: Counter, display: bool = False) -> Search:
        decoder = dict.fromkeys(GENERATOR_CALLS, "generator") | {"preview": "decoder"}
        verifiers = {name: Clocked(one, {"score": "verifier"}, clock) for name, one in self.verifiers.items()}
        spec = replace(self.spec, prompt=prompt)
        return Search(Clocked(self.generator, decoder, clock), verifiers, spec, display=display)

    def run(self, prompt: str, display: bool = False, folder: Path | None = None) -> tuple[Counter, Search]:
        """One search: seconds of every kind of call, and "wall"; with a folder its events go into a store there."""
        clock: Counter = Counter()
        with _writer(folder, self.spec) as append, forwards_timed(self.generator, clock):
            began = perf_counter()
            search = self.search(prompt, clock, display)
            for event in search.run():
                append(event)
            clock["wall"] = perf_counter() - began
        return clock, search


@contextmanager
def _writer(folder: Path | None, spec: RunSpec) -> Iterator[Any]:
    if folder is None:
        yield lambda event: None
        return
    with RunStore(folder).create(spec) as writer:
        yield writer.append


@contextmanager
def forwards_timed(generator: Any, clock: Counter) -> Iterator[None]:
    """Within it the network's own passes are timed apart from the rest of the generator's step."""
    network = generator.model
    network.step = partial(timed, clock, "forward", network.step)
    try:
        yield
    finally:
        del network.step


def by_kind(clock: Counter) -> dict[str, float]:
    """The wall time of a search in parts that do not overlap."""
    models = clock["generator"] + clock["decoder"] + clock["verifier"]
    return {
        "forward": clock["forward"], "draw": clock["generator"] - clock["forward"], "decoder": clock["decoder"],
        "verifier": clock["verifier"], "engine": clock["wall"] - models,
    }  # fmt: skip


# The three measurements


def overhead(rounds: int) -> dict[str, Any]:
    """Wall time over time in models of the default beam, as a person runs it: all observers, display, with and
    without the run store; and where the time of the bare search goes."""
    full, bare, prompts = Bench(observers=OBSERVERS), Bench(), dev_prompts(rounds + 1)
    ratios: dict[str, list[float]] = {"shown": [], "shown and stored": [], "bare": []}
    walls: dict[str, list[float]] = {name: [] for name in ratios}
    parts = []
    with TemporaryDirectory() as folder:
        for number, prompt in enumerate(prompts):
            clocks = {
                "shown": full.run(prompt, True)[0], "shown and stored": full.run(prompt, True, Path(folder))[0],
                "bare": bare.run(prompt)[0],
            }  # fmt: skip
            if number:  # the first round warms up
                for name, clock in clocks.items():
                    ratios[name].append(clock["wall"] / (clock["wall"] - by_kind(clock)["engine"]))
                    walls[name].append(clock["wall"])
                parts.append(by_kind(clocks["bare"]))
    return {
        "ratio": {name: median(values) for name, values in ratios.items()},
        "seconds": {name: median(values) for name, values in walls.items()},
        "parts": {kind: median([part[kind] for part in parts]) for kind in KINDS}, "rounds": rounds,
    }  # fmt: skip


LARGE = (
    ("emoji-ar", "beam_search", {"width": 16, "branch": 16, "look": "rollout"}),
    ("emoji-ar", "beam_search", {"width": 16, "branch": 16, "look": "preview"}),
    ("emoji-flow", "random_search", {"n": 128}),
)  # runs of many seconds


def cancel(rounds: int) -> dict[str, Any]:
    """Seconds from a cancel at a random moment of a large search to the end of its log."""
    rng, late = np.random.default_rng(0), []
    for round_ in range(rounds):
        for generator, strategy, params in LARGE:
            prepared = prepare(RunSpec(dev_prompts(1)[0], generator, strategy, params, GUIDE, OBSERVERS, round_))
            late.append(_cancelled(prepared, rng.uniform(0.1, 2.5)))
    return {"median": median(late), "worst": round(max(late), 4), "cancels": len(late)}


def _cancelled(prepared: Any, after: float) -> float:
    stop, asked = Event(), []
    timer = Timer(after, lambda: (asked.append(perf_counter()), stop.set()))
    timer.start()
    *_, end = Search(prepared.generator, prepared.verifiers, prepared.spec, stop.is_set).run()
    assert end.kind == "cancelled", "the search was over before it was to be cancelled"
    return perf_counter() - asked[0]


def sharing(rounds: int, ways: tuple[str, ...] = tuple(WAYS), width: int = 3, branch: int = 5) -> dict[str, Any]:
    """The engine against every way of no_sharing.py, taking turns on one prompt after another.

    "seeing" is what the engine spends on decoding and scoring: every candidate's own, so no sharing can save it.
    """
    bench, seconds = Bench({"width": width, "branch": branch}), {name: [] for name in ("engine", *ways)}
    verifier, agree, seeing = bench.verifiers[GUIDE], [], []
    for number, prompt in enumerate(dev_prompts(rounds + 1)):
        clock, search = bench.run(prompt)
        found = {}
        for name in ways:
            began = perf_counter()
            found[name] = beam(WAYS[name](bench.generator, verifier, prompt, bench.spec.seed), width, branch)
            if number:
                seconds[name].append(perf_counter() - began)
        if number:
            seconds["engine"].append(clock["wall"])
            seeing.append(clock["decoder"] + clock["verifier"])
        ours = found_by_engine(bench.search(prompt, Counter()))
        agree.append({name: difference(ours, one) for name, one in found.items()})
    spent = search.tree.spent
    return {
        "seconds": {name: median(values) for name, values in seconds.items()},
        "times": {name: median([a / b for a, b in zip(seconds[name], seconds["engine"], strict=True)])
                  for name in ways},
        "seeing": median(seeing), "same": {name: _agreement([row[name] for row in agree]) for name in ways},
        "generator_flops": {"shared": spent.flops_generator, "unshared": spent.flops_unshared},
        "width": width, "branch": branch, "rounds": rounds,
    }  # fmt: skip


def sharing_by_size(rounds: int, sizes: tuple[str, ...] = tuple(SIZES_OF_MODELS)) -> dict[str, Any]:
    """What the engine saves against restarting every candidate, by the size of the generator."""
    return {size: _restarted(Bench({"width": 3, "branch": 5}, size=size), rounds) for size in sizes}


def sharing_by_threads(rounds: int, counts: tuple[int, ...]) -> dict[str, Any]:
    """The same by the number of threads: one candidate at a time cannot use many."""
    import torch

    before, found = torch.get_num_threads(), {}
    for count in counts:
        torch.set_num_threads(count)
        found[str(count)] = _restarted(Bench({"width": 3, "branch": 5}), rounds)
    torch.set_num_threads(before)
    return found


def _restarted(bench: Bench, rounds: int) -> dict[str, Any]:
    times = []
    for number, prompt in enumerate(dev_prompts(rounds + 1)):
        clock, _ = bench.run(prompt)
        began = perf_counter()
        beam(WAYS["restarted"](bench.generator, bench.verifiers[GUIDE], prompt, bench.spec.seed), 3, 5)
        times += [(perf_counter() - began) / clock["wall"]] if number else []
    return {"times": median(times), "parameters": sum(p.numel() for p in bench.generator.model.parameters())}


def found_by_engine(search: Search) -> Found:
    """A search's run in the terms of no_sharing.py."""
    found, images, chosen = Found(), {}, []
    for event in search.run():
        if isinstance(event, Scored):
            images |= event.images
        if isinstance(event, Pruned):
            chosen.append(event.kept)
    path = {id: tuple(node.index for node in search.tree.path(id)[1:]) for id in search.tree.nodes}
    found.kept = [[path[id] for id in kept] for kept in chosen]
    for id, image in images.items():
        node = search.tree.nodes[id]
        found.images[path[id]], found.scores[path[id]] = image, node.score
        found.frozen[path[id]] = b64decode(node.state)
    return found


def difference(a: Found, b: Found) -> dict[str, Any]:
    """Whether two searches drew the same and kept the same, and how far their images are apart, in grey levels."""
    same = a.kept == b.kept and a.frozen == b.frozen
    pairs = [(a.images[path].astype(int), b.images[path].astype(int)) for path in a.images.keys() & b.images.keys()]
    return {"same": same, "grey": max(int(np.abs(x - y).max()) for x, y in pairs)}


def _agreement(rows: list[dict[str, Any]]) -> dict[str, Any]:
    same = [row for row in rows if row["same"]]
    return {"prompts": len(rows), "same": len(same), "grey": max((row["grey"] for row in same), default=None)}


def growth(rounds: int, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Seconds and FLOPs of every kind over width x branch, and the exponents of both."""
    bench = {(w, c): Bench({"width": w, "branch": c}) for w in sizes for c in sizes}
    clocks: dict[tuple[int, int], list[dict[str, float]]] = {size: [] for size in bench}
    spent = {}
    bench[sizes[0], sizes[0]].run(dev_prompts(1)[0])  # warms up
    for prompt in dev_prompts(rounds):
        for size, one in bench.items():
            clock, search = one.run(prompt)
            clocks[size].append(by_kind(clock))
            spent[size] = search.tree.spent
    cells = [
        {"width": w, "branch": c,
         "seconds": {kind: min(part[kind] for part in clocks[w, c]) for kind in KINDS},
         "gflop": {"forward": spent[w, c].flops_generator / 1e9, "decoder": spent[w, c].flops_decoder / 1e9,
                   "verifier": spent[w, c].flops_verifier / 1e9}}
        for w, c in bench
    ]  # fmt: skip
    return {"cells": cells, "exponents": {unit: _exponents(cells, unit) for unit in ("seconds", "gflop")},
            "rounds": rounds}


def _exponents(cells: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    """amount ~ width^a * branch^b, least squares in logarithms over all cells, 95% by bootstrap over cells."""
    rows = np.array([[1.0, np.log(cell["width"]), np.log(cell["branch"])] for cell in cells])
    picks = np.random.default_rng(0).integers(0, len(cells), (ROUNDS, len(cells)))
    fits = {}
    for kind in cells[0][unit]:
        amounts = np.log([cell[unit][kind] for cell in cells])
        whole = np.linalg.lstsq(rows, amounts, rcond=None)[0]
        many = np.array([np.linalg.lstsq(rows[pick], amounts[pick], rcond=None)[0] for pick in picks])
        low, high = np.percentile(many, [2.5, 97.5], axis=0)
        fits[kind] = {name: _rounded(whole[i], low[i], high[i]) for i, name in ((1, "width"), (2, "branch"))}
    return fits


def median(values: list[float]) -> dict[str, float]:
    """The median and its 95% percentile bootstrap interval."""
    data = np.asarray(values, float)
    picks = np.random.default_rng(0).integers(0, len(data), (ROUNDS, len(data)))
    low, high = np.percentile(np.median(data[picks], axis=1), [2.5, 97.5])
    return _rounded(np.median(data), low, high)


def _rounded(mean: float, low: float, high: float) -> dict[str, float]:
    return {"mean": round(float(mean), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
