"""What the page's script asks of the server: frames of a run from where it left off, and the facts of one node.

Every answer is a plain object; a request that makes no sense raises BadRequest with a sentence for people.
"""

import asyncio
from io import BytesIO
from time import monotonic
from typing import Any

import numpy as np
from PIL import Image

from core.answers import of_images
from core.search.errors import BadRequest
from core.search.events import Finished
from core.search.strategies.registry import STRATEGIES
from core.search.tree import Tree
from core.store.archive_read import PICTURELESS
from demo import links, retry, strings, view
from demo.context import Context
from demo.decoding import with_pictures
from demo.family import LANES, Lane, before, family
from demo.inspect import inspect as inspect_node
from demo.models import Models
from demo.settings import GIGA, baseline_of, method
from demo.streaming import Reader

PATIENCE = 8.0  # seconds a question for frames waits for the next one
IN_LINE = 1.0   # the same while the run waits for others: the place in line changes
POLL = 0.04     # seconds between looks at what the runner has done
CLOSE = 0.02    # of a verifier's range: less is no difference
LOOK = 0.5      # seconds after which the log is looked at in any case: another process may be writing it

Reply = dict[str, Any]


async def follow(context: Context, request: Any, visitor: str = "") -> Reply:
    """Frames of {"run": id, "since": [frames known of each lane]}, as soon as there are any.

    Raises BadRequest where there is no such run for this visitor.
    """
    began, state = monotonic(), None
    while True:
        mark = _mark(context, request)
        reply = await asyncio.to_thread(_frames, context, request, visitor)
        state = state or reply["state"]
        late = monotonic() - began > (IN_LINE if reply["queue"] else PATIENCE)
        if late or _is_news(request, reply) or reply["state"] != state:
            return reply
        await _happening(context, request, mark)


async def _happening(context: Context, request: Any, mark: Any) -> None:
    """Wait until something has happened to the run, or a moment where that cannot be told."""
    began, moment = monotonic(), LOOK if mark is None else IN_LINE
    while monotonic() - began < moment and _mark(context, request) == mark:
        await asyncio.sleep(POLL)


def _mark(context: Context, request: Any) -> Any:
    run = request.get("run") if isinstance(request, dict) else None
    return context.runner.mark(run) if isinstance(run, str) else None


def snapshot(context: Context, run: Any, visitor: str = "") -> Reply:
    """All frames of a run, and of what it is compared with, up to now. Raises as `follow` does."""
    reply = _frames(context, {"run": run, "since": []}, visitor)
    return reply | {"more": [], "growing": False}


def _is_news(request: Any, reply: Reply) -> bool:
    """Whether a page would want the reply now: an end, a frame, or the first it hears of a run."""
    over = not (reply["live"] or reply["growing"])
    return over or not request.get("since") or any(lane["frames"] for lane in [*reply["lanes"], *reply["more"]])


def _frames(context: Context, request: Any, visitor: str) -> Reply:
    run, since = _frames_request(request)
    pair, earlier = context.library.shown(run, visitor)
    lanes = family(context.library, context.kin, run, visitor)
    states = [lane.reader.store.status(lane.run) for lane in lanes]   # before the logs are read: what is over is whole
    since = [*since, *[0] * len(lanes)]
    count = len(pair)
    told = [
        _lane(lane, lane.reader.update()[start:], earlier and lane.reader in pair[1:])
        | {"decoded": list(context.decoder.costs(lane.reader))}
        for lane, start in zip(lanes, since, strict=False)
    ]
    return {
        "run": run,
        "head": _head([lane.reader for lane in lanes], count, earlier) | {"settings": _settings(context, pair)},
        "lanes": told[:count],
        "more": told[count:],   # other runs of the same trees
        "live": "running" in states[:count],
        "growing": "running" in states[count:],
        "state": context.runner.state(run),
        "own": context.library.owns(run, visitor),
        "queue": context.runner.queue(run),
        "notice": _notice(context, run, states[:count]) or _shrunk(pair) or _silent(pair[0]),
        "retry": _retry(pair[:1] if earlier else pair),
    }


def _shrunk(readers: list[Reader]) -> str | None:
    """That memory was too small for a search, and what it did then; the last thing that it did."""
    return next((strings.sentence(reader.tree.shrunk[-1].message) for reader in readers if reader.tree.shrunk), None)


def _silent(reader: Reader) -> str | None:
    """Pictures that did not come along, or verifiers that looked on and failed meanwhile."""
    tree = reader.tree
    if reader.store.meta(reader.run).get(PICTURELESS) is True:
        return strings.PICTURELESS
    if not isinstance(tree.end, Finished):
        return None
    missing = [name for name in tree.spec.observers if name not in tree.end.scores]
    names = ", ".join(strings.name_of(strings.VERIFIER_NAMES, name) for name in missing)
    return strings.SILENT.format(names=names) if missing else None


def _retry(lanes: list[Reader]) -> str | None:
    """What a smaller search would be, where memory was too small for this one."""
    less = retry.offered([lane.tree for lane in lanes])
    return less and strings.retry_with(*less)


def _notice(context: Context, run: str, states: list[str]) -> str | None:
    """Why a run ended before it was over, if it did."""
    if "interrupted" not in states:
        return None
    reason = context.runner.problems.get(run)
    return strings.INTERRUPTED if reason is None else strings.sentence(reason or strings.UNEXPECTED)


def _lane(lane: Lane, news: list[Reply], earlier: bool = False) -> Reply:
    """earlier: it is what a branch is compared with."""
    steps, name = ["prompt", *lane.reader.tree.step_labels], lane_label(lane.reader)
    label = f"{lane.name} · {name}" if lane.name and name else name
    if earlier and not lane.of:
        label = strings.EARLIER_RUN.format(label=name)
    branch = lane.of and {"of": lane.of, "node": lane.node, "name": lane.name}
    return {"run": lane.run, "label": label, "name": name, "branch": branch, "beside": lane.beside, "steps": steps,
            "frames": news}  # fmt: skip


def _frames_request(request: Any) -> tuple[Any, list[int]]:
    since = request.get("since", []) if isinstance(request, dict) else None
    whole = isinstance(since, list) and len(since) <= LANES
    if not whole or not all(type(count) is int and 0 <= count < 10**6 for count in since):
        raise BadRequest(strings.BAD_REQUEST)
    return request.get("run"), since


def _settings(context: Context, lanes: list[Reader]) -> str | None:
    """What an address says to make the run again, if settings alone can: the run of a link may be gone some day."""
    spec, *others = [lane.tree.spec for lane in lanes]
    if spec is None or spec.origin or spec.strategy not in STRATEGIES:
        return None
    beside = baseline_of(context.models, others[0] if others else None)
    return links.query_of(context.models, spec, beside)


def _head(lanes: list[Reader], count: int, earlier: bool = False) -> Reply:
    """What is true of the whole view, whose first `count` lanes are compared; mostly empty until the first event."""
    tree = lanes[0].tree
    spec = tree.spec
    scores = [score for lane in lanes for score in lane.scores]
    budgets = [lane.tree.spec.budget_flops for lane in lanes[: 1 if earlier else count] if lane.tree.spec]
    return {
        "prompt": spec.prompt if spec else lanes[0].store.meta(lanes[0].run).get("title", ""),
        "method": method(spec) if spec else "",
        "seed": str(spec.seed) if spec else None,  # a browser's numbers are too short for it
        "verifier": strings.guide_name(spec.verifier, whole=False) if spec else "",
        "judge": strings.guide_name(spec.judge) if spec and spec.judge else None,
        "steps": ["prompt", *tree.step_labels],
        "early": lanes[0].finishes > 1 or bool(spec) and spec.params.get("look") == "rollout",
        "origin": _origin(tree, lanes),
        "earlier": earlier,  # the second lane is the run that the first goes on from
        "planned_gflop": (budgets[-1] or lanes[0].tree.spent.flops) / GIGA if budgets else None,
        "span": view.span(spec.verifier, scores) if spec else (0.0, 1.0),
    }


def _origin(tree: Tree, lanes: list[Reader]) -> Reply | None:
    """From where a run goes on, and in the end whether leaving that node was a loss."""
    origin, regret = tree.spec and tree.spec.origin, tree.regret()
    if not origin:
        return None
    told = strings.regret(regret) if tree.end and regret is not None else ""
    left = next((lane.tree.nodes.get(origin.node) for lane in lanes if lane.run == origin.run), None)
    low, high = view.span(tree.spec.verifier, [])
    said = strings.regret_said(
        origin.node, tree.best_score(), regret, left is not None and left.status == "pruned", CLOSE * (high - low)
    )
    return {"run": origin.run, "node": origin.node, "regret": told, "said": said if told else ""}


def lane_label(lane: Reader) -> str:
    """A lane in a few words: the model and what searches."""
    spec = lane.tree.spec
    if spec is None:
        return ""
    generator = strings.name_of(strings.GENERATOR_NAMES, spec.generator)
    if spec.strategy == "random_search":
        return f"{generator} · best of {spec.params['n']}"
    strategy = strings.name_of(strings.STRATEGY_NAMES, spec.strategy)
    return f"{generator} · {strategy if strategy[:2].isupper() else strategy.lower()}"


def inspect(context: Context, request: Any, visitor: str = "") -> Reply:
    """The facts of {"run": id, "node": id}. Raises BadRequest where there is no such run for this visitor, or node."""
    if not isinstance(request, dict):
        raise BadRequest(strings.BAD_REQUEST)
    reader = context.library.reader(request.get("run"), visitor)
    reader.update()
    node = request.get("node")
    if type(node) is not int or node not in reader.tree.nodes:
        raise BadRequest(strings.BAD_NODE)
    def known(one: Reader, id: int) -> Reply:
        return inspect_node(with_pictures(one.tree, context.decoder.costs(one)), one.run, id)

    facts = known(reader, node)
    told = [known(earlier, left)["path"] for earlier, left in before(context.library, reader, visitor)]
    cost = context.decoder.costs(reader).get(node)
    return facts | {
        "decode": context.decoder.offer(reader, reader.tree.nodes[node]),
        "pairs": facts["pairs"] + ([("Decoded on demand", strings.DECODED.format(gflop=cost.flops_display / GIGA))]
                                   if cost else []),
        "path": sum((path[1:] if index else path for index, path in enumerate([*told, facts["path"]])), []),
        "answers": _answers(context.models, reader, node),
    }  # fmt: skip


def _answers(models: Models, reader: Reader, id: int) -> list[Reply]:
    """What the verifiers that say why see in a node's picture, whether they scored it or not."""
    node, spec = reader.tree.nodes[id], reader.tree.spec
    kind = view.image_kind(reader.tree, node)
    if not models.ready.is_set():
        return []
    telling = [name for name in models.usual(spec.generator) if hasattr(models.verifier(name), "answers")]
    if kind is None or not telling:
        return []
    try:
        stored = reader.store.image(reader.run, id, view.PICTURES[kind])
    except FileNotFoundError:
        return []
    image = np.asarray(Image.open(BytesIO(stored)).convert("RGB"))
    found = of_images(spec.prompt, image[None], telling, models.verifier)
    return [
        {"text": text, "yes": yes, "by": strings.name_of(strings.VERIFIER_NAMES, name)}
        for name, rows in found.items() for text, yes in rows
    ]  # fmt: skip
