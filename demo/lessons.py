"""The recorded runs of the six lessons: found by trying prompts and seeds until one tells what its lesson says.

`python -m demo.record --lessons` writes them under assets/learn, with lessons.json: which run, up to which event and
which node every scene shows, and the figures its sentence names. The sentences are in lesson_strings.py.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from core.resume import resumed
from core.search.budget import Budget
from core.search.errors import BadRequest
from core.search.events import Pruned, RunSpec
from core.search.tree import Node, Tree
from core.store.runs import RunStore
from demo import lesson_strings, settings
from demo.jobs import compute, create
from demo.lesson_points import (
    CLEAR,
    becomes_clear,
    curves_end_apart,
    late,
    pruning_was_a_loss,
    ranked,
    second_choice_won,
    some_fail,
    winners_differ,
)
from demo.models import Models
from demo.streaming import Library

LESSONS = Path(__file__).parents[1] / "assets" / "learn"
MANIFEST = "lessons.json"
CARDS = Path(__file__).parents[1] / "assets" / "weights"
# By lesson, the most charming first: what is tried with each seed, in this order. No two lessons show the same prompt.
PROMPTS = {
    "scales": ("a penguin below a red umbrella", "an owl above a yellow book", "a fox to the left of a tree",
               "a frog below a blue balloon", "a red car to the left of a tree"),
    "best_of_n": ("two owls above a purple book", "a rabbit and a pink flower", "a turtle below a blue umbrella",
                  "two penguins and a green hat", "a purple balloon above a yellow book"),
    "greedy": ("a cat to the left of a blue guitar", "a fox and a purple umbrella", "a dog below a yellow star",
               "an elephant and a red balloon", "a frog and a blue crown", "a dog and a green apple"),
    "beam": ("an owl and two red hearts", "a frog to the right of a yellow crown", "a rabbit below a green kite",
             "a penguin and a pink hat", "a duck to the left of a red boat", "a bee above a purple flower"),
    "verifiers": ("a robot and a green cup", "a dog to the left of a green guitar", "a duck below a purple umbrella",
                  "a turtle and a blue backpack", "a fox and a pink balloon", "two cats below a crown"),
    "matched": ("three blue balloons", "two frogs and a yellow star", "a rocket and a yellow star",
                "four pink hearts on a blue background", "three red apples"),
}  # fmt: skip
SEEDS = range(8)
PREVIEW = {"look": "preview"}
GREEDY, BEAM = {"branch": 4, **PREVIEW}, {"width": 3, "branch": 4, **PREVIEW}
IMAGES, BEST_OF = 12, 8

Scene = dict[str, Any]
Scenes = list[Scene] | None


class Studio:
    """Computes runs into a folder for trials, and remembers them."""

    def __init__(self, models: Models, store: RunStore):
        self.models, self.store = models, store

    def spec(self, prompt: str, seed: int, strategy: str, params: dict[str, Any], verifier: str) -> RunSpec:
        """A run that every cheap verifier looks on at, without a limit."""
        model = self.models.searcher
        observers = self.models.observers(model, others=(verifier,))
        return RunSpec(prompt, model, strategy, params, verifier, observers, seed)

    def shoot(self, *specs: RunSpec) -> list[str]:
        """Compute runs side by side; their ids."""
        writers = create(self.store, specs)
        try:
            compute(self.models, specs, writers)
        finally:
            for writer in writers:
                writer.close()
        return [writer.run for writer in writers]

    def tree(self, run: str) -> Tree:
        return Tree.of(self.store.load(run))

    def scene(self, run: str, step: int | None = None, node: int | None = None, **values: Any) -> Scene:
        """What is shown: a run up to the choice at a step, or its last event before it, or, without a step, its end.

        The values fill in its sentences; "part" may name a part of the stage that is scrolled to.
        """
        return {"run": run, "seq": self._moment(run, step), "node": node, "values": values}

    def _moment(self, run: str, step: int | None) -> int:
        events = self.store.load(run)
        if step is None:
            return len(events) - 1
        chosen = [event.seq for event in events if isinstance(event, Pruned) and event.step == step]
        seen = [event.seq for event in events if step in {node.step for node in getattr(event, "nodes", ())}]
        if step == 0:
            return seen[0]
        looked = [event.seq for event in events if event.kind in ("previewed", "scored") and event.seq > seen[-1]]
        return (chosen or looked[:1] or seen)[-1]


def scale_by_scale(studio: Studio, prompt: str, seed: int) -> Scenes:
    """One image, watched while it becomes finer."""
    [run] = studio.shoot(studio.spec(prompt, seed, "random_search", {"n": 1}, "image_reward"))
    tree = studio.tree(run)
    if becomes_clear(tree) is None:
        return None
    nodes = tree.path(tree.best().id)
    shown = [studio.scene(run, 0, None)]
    shown += [studio.scene(run, node.step, node.id, scale=tree.label(node.step)) for node in (nodes[1], nodes[3])]
    return [*shown, studio.scene(run, None, nodes[-1].id, scale=tree.label(nodes[-1].step))]


def best_of_n(studio: Studio, prompt: str, seed: int) -> Scenes:
    """Independent images, of which some fail and the best is kept."""
    [run] = studio.shoot(studio.spec(prompt, seed, "random_search", {"n": BEST_OF}, "image_reward"))
    tree = studio.tree(run)
    told = some_fail(tree)
    if told is None:
        return None
    best, *_, worst = ranked(tree)
    return [studio.scene(run, 1, None, **told), studio.scene(run, None, worst.id, **told),
            studio.scene(run, None, best.id, **told)]  # fmt: skip


def greedy_trap(studio: Studio, prompt: str, seed: int) -> Scenes:
    """A greedy search and one that goes on from what it threw away, and ends better."""
    [run] = studio.shoot(studio.spec(prompt, seed, "greedy_tokens", GREEDY, "image_reward"))
    tree = studio.tree(run)
    lost = [node for node in tree.nodes.values() if node.status == "pruned" and node.step <= 2]
    tries = [(studio.shoot(_from(studio, run, node))[0], node) for node in lost]
    again, node = max(tries, key=lambda one: studio.tree(one[0]).regret())
    end = studio.tree(again)
    told = pruning_was_a_loss(tree, end)
    if told is None:
        return None
    return [studio.scene(run, node.step, None, **told), studio.scene(run, node.step, node.id, **told),
            studio.scene(run, None, tree.best().id, **told),
            studio.scene(again, None, end.best().id, **told)]  # fmt: skip


def _from(studio: Studio, run: str, node: Node) -> RunSpec:
    return resumed(studio.store, run, node.id, "greedy_tokens", GREEDY, Budget())


def beam(studio: Studio, prompt: str, seed: int) -> Scenes:
    """The best image grew from a candidate that was not first, and that a greedy search would have thrown away."""
    [run] = studio.shoot(studio.spec(prompt, seed, "beam_search", BEAM, "image_reward"))
    tree = studio.tree(run)
    if not late(tree) or tree.best_score() < CLEAR:  # the rival need not be computed
        return None
    [rival] = studio.shoot(studio.spec(prompt, seed, "greedy_tokens", GREEDY, "image_reward"))
    greedy = studio.tree(rival)
    told = second_choice_won(tree, greedy)
    if told is None:
        return None
    node = late(tree)
    return [studio.scene(run, 1, None, **told), studio.scene(run, node.step, node.id, **told),
            studio.scene(run, None, tree.best().id, **told),
            studio.scene(rival, None, greedy.best().id, **told)]  # fmt: skip


def verifiers_disagree(studio: Studio, prompt: str, seed: int) -> Scenes:
    """The same images, two verifiers, two winners."""
    specs = [studio.spec(prompt, seed, "random_search", {"n": IMAGES}, name) for name in ("image_reward", "aesthetic")]
    [faithful], [pretty] = studio.shoot(specs[0]), studio.shoot(specs[1])
    first, second = studio.tree(faithful), studio.tree(pretty)
    told = winners_differ(first, second)
    if told is None:
        return None
    one, other = first.best(), second.best()
    return [studio.scene(faithful, None, one.id, **told), studio.scene(pretty, None, other.id, **told),
            studio.scene(pretty, None, one.id, **told)]  # fmt: skip


def matched_compute(studio: Studio, prompt: str, seed: int) -> Scenes:
    """Two models at the same total FLOPs; whoever wins, so that the ends of the curves can be told apart."""
    spec = studio.spec(prompt, seed, "beam_search", {"width": 3, "branch": 5, "look": "rollout"}, "image_reward")
    plan = settings.plan(studio.models, spec.with_budget(Budget(flops=studio.models.default_gflop * settings.GIGA)))
    runs = studio.shoot(*plan.specs)
    told = curves_end_apart(*(studio.tree(run) for run in runs))
    if told is None:
        return None
    return [studio.scene(runs[0], 3, None, **told), studio.scene(runs[0], None, None, **told) | {"part": "chart"}]


RECIPES: dict[str, Callable[[Studio, str, int], Scenes]] = {
    "scales": scale_by_scale, "best_of_n": best_of_n, "greedy": greedy_trap, "beam": beam,
    "verifiers": verifiers_disagree, "matched": matched_compute,
}  # fmt: skip

# -- the command ------------------------------------------------------------------------------------------------------


def record_lessons(models: Models, out: Path = LESSONS, say: Callable[[str], None] = print) -> None:
    """Find and keep the runs of all lessons; what was there is replaced. Raises BadRequest if no seed tells one."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(models, RunStore(Path(folder), cap_bytes=math.inf))
        found = {}
        for name, recipe in RECIPES.items():
            found[name] = _first(studio, recipe, name)
            say(f"{name}: {found[name]['prompt']!r}, seed {found[name]['seed']}")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        for run in _needed(studio, found):
            shutil.copytree(studio.store.folder(run), out / run)
    manifest = {"weights": weights(), "lessons": found}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _first(studio: Studio, recipe: Callable[[Studio, str, int], Scenes], name: str) -> dict[str, Any]:
    for seed, prompt in product(SEEDS, PROMPTS[name]):
        if scenes := recipe(studio, prompt, seed):
            return {"prompt": prompt, "seed": seed, "scenes": scenes}
    raise BadRequest(f"no prompt and seed of {len(PROMPTS[name]) * len(SEEDS)} shows what lesson {name!r} says: "
                     "add prompts to PROMPTS in demo/lessons.py")


def _needed(studio: Studio, found: dict[str, Any]) -> Iterator[str]:
    """The runs of all scenes, what they go on from, and what runs beside them."""
    runs = {scene["run"] for lesson in found.values() for scene in lesson["scenes"]}
    metas = [studio.store.meta(run) for run in runs]
    others = {meta[key] for meta in metas for key in ("beside", "parent") if meta[key]}
    yield from sorted(runs | others)


def weights() -> dict[str, str]:
    """Which weights the runs were made with: by model the digest that its card names."""
    cards = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(CARDS.glob("*.json"))}
    return {name: card["sha256"] for name, card in cards.items() if "sha256" in card}


def read_lessons(out: Path = LESSONS) -> dict[str, Any]:
    """What `record_lessons` wrote, by lesson; empty if nothing was recorded."""
    try:
        return json.loads((out / MANIFEST).read_text("utf-8"))["lessons"]
    except FileNotFoundError:
        return {}


def told_lessons(library: Library, out: Path = LESSONS) -> list[dict[str, Any]]:
    """The lessons whose runs are here, in order, with their sentences filled in."""
    whole = {name: lesson for name, lesson in read_lessons(out).items() if _is_there(library, lesson)}
    return [_told(name, whole[name]) for name in lesson_strings.LESSONS if name in whole]


def _is_there(library: Library, lesson: dict[str, Any]) -> bool:
    return all(any(store.has(scene["run"]) for store in library.stores) for scene in lesson["scenes"])


def _told(name: str, lesson: dict[str, Any]) -> dict[str, Any]:
    title, sentences = lesson_strings.LESSONS[name]
    scenes = [
        {**scene, "title": heading.format(**scene["values"]), "text": text.format(**scene["values"])}
        for scene, (heading, text) in zip(lesson["scenes"], sentences, strict=True)
    ]
    return {"name": name, "title": title, "prompt": lesson["prompt"], "scenes": scenes}
