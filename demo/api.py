"""What programs may ask: the endpoints of the page's API, also offered as MCP tools. The docstrings are their help.

Names and units are those of the page. Each endpoint answers with plain JSON; the two that search stream it as the
search goes on, and the run goes on when nobody listens any more.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from core.search.errors import BeamscopeError
from core.search.tree import Tree
from demo import inspect, settings, view
from demo.asked import read_asked
from demo.context import Context
from demo.launch import launch, require_models
from demo.settings import GIGA
from demo.streaming import Reader
from demo.words import sentence

POLL = 0.15  # seconds between two answers, at least
Reply = dict[str, Any]


def add_api(context: Context) -> None:
    """To be called inside the page's Blocks."""
    for name, endpoint in endpoints(context).items():
        gr.api(endpoint, api_name=name, concurrency_limit=None)


def endpoints(context: Context) -> dict[str, Callable[..., Any]]:
    async def search_tree(
        prompt: str, strategy: str = "beam_search", model: str = "", verifier: str = "", gflop: float = 0,
        seed: int = 7, parameters: dict | None = None, request: gr.Request = None,
    ) -> dict:
        """Search for the best picture of a prompt and stream how the tree of candidates grows.

        Every answer has run (its id), link, state (waiting, running, done, budget, cancelled or failed), queue (place
        in line and seconds, or null), nodes, kept, pruned, gflop, seconds, notes (of memory that was too
        small) and best: node, score and image, the address of the best finished picture. The last one is the result;
        get_run then tells of every node.

        Args:
            prompt: What the picture should show, such as "a red car to the left of a tree".
            strategy: beam_search, random_search, greedy_tokens, adaptive_beam, resampling_search and others.
            model: The model that paints; empty for the usual one.
            verifier: What scores the candidates; empty for the usual one.
            gflop: The most compute to spend, in GFLOP; 0 for the usual budget.
            seed: The same seed gives the same run.
            parameters: More settings by name, such as {"width": 3, "branch": 5, "look": "preview", "private": true}.
        """
        asked = {**_given(prompt, strategy, model, verifier, gflop, seed), "baseline": settings.NO_BASELINE}
        async for reply in _searched(context, {**asked, **(parameters or {})}, request):
            yield {**{key: reply[key] for key in ("run", "link", "queue")}, **reply["lanes"][0]}

    async def compare(
        prompt: str, baseline: str = settings.BASELINE, strategy: str = "beam_search", gflop: float = 0, seed: int = 7,
        parameters: dict | None = None, request: gr.Request = None,
    ) -> dict:
        """Run two searches side by side at the same total FLOPs: the usual model against a diffusion model.

        Every answer has run, link, queue and lanes: for each side what search_tree answers, its method included. One
        prompt and one seed decide nothing; compare several.

        Args:
            prompt: What the picture should show.
            baseline: How the diffusion model searches: random_search (best of n), zero_order, search_over_paths; or
                random_search@flux-schnell and the like, best of n on another model that is ready.
            strategy: How the first model searches.
            gflop: The most compute that each side may spend, in GFLOP; 0 for the usual budget.
            seed: The same seed gives the same runs.
            parameters: More settings of the first side by name, such as {"width": 3, "branch": 5}.
        """
        asked = {**_given(prompt, strategy, "", "", gflop, seed), "baseline": baseline}
        async for reply in _searched(context, {**asked, **(parameters or {})}, request):
            yield reply

    def get_run(run: str, request: gr.Request = None) -> dict:
        """Tell of a stored run, of this server or of one that goes on, and of every node of its tree.

        Args:
            run: The id of a run, as search_tree and compare give it and as it stands in a link.
        """
        return _told(lambda: _whole(context, run, context.visitors.of(request)))

    return {"search_tree": search_tree, "compare": compare, "get_run": get_run}


def _given(prompt: Any, strategy: Any, model: Any, verifier: Any, gflop: Any, seed: Any) -> Reply:
    """The settings that were not left as usual."""
    named = {"strategy": strategy, "model": model, "verifier": verifier, "gflop": gflop}
    return {"prompt": prompt, "seed": seed, **{name: value for name, value in named.items() if value}}


async def _searched(context: Context, asked: Reply, request: Any) -> AsyncIterator[Reply]:
    """Start a search and tell how it goes until it is over. Raises gr.Error."""
    run = await asyncio.to_thread(_told, lambda: _started(context, asked, request))
    visitor, said = context.visitors.of(request), None
    while True:
        reply = await asyncio.to_thread(_told, lambda: progress(context, run, visitor))
        over = all(lane["state"] not in ("waiting", "running") for lane in reply["lanes"])
        if over or reply != said:
            yield reply
        if over:
            return
        said = reply
        await asyncio.sleep(POLL)


def _started(context: Context, asked: Reply, request: Any) -> str:
    wanted = read_asked(context.models, asked)
    require_models(context.models)
    return launch(context, wanted.plan(context.models), request, wanted.private)


def _told(work: Callable[[], Any]) -> Any:
    """What `work` returns; what is wrong becomes a gr.Error with a sentence for people."""
    try:
        return work()
    except BeamscopeError as error:
        raise gr.Error(sentence(error), print_exception=False) from error


def progress(context: Context, run: str, visitor: str) -> Reply:
    """How both lanes of a run are doing. Raises NoSuchRun."""
    lanes = context.library.lanes(run, visitor)
    states = [lane.store.status(lane.run) for lane in lanes]  # asked before the logs are read
    told = [_lane(lane, state) for lane, state in zip(lanes, states, strict=True)]
    return {"run": run, "link": f"/?run={run}", "queue": context.runner.queue(run), "lanes": told}


def _lane(lane: Reader, status: str) -> Reply:
    tree = lane.tree_now()
    spec = tree.spec
    state = view.run_state(tree)
    return {
        "state": status if tree.end is None and status == "interrupted" else state,
        "method": settings.method(spec) if spec else "",
        "nodes": len(tree.nodes),
        "kept": sum(node.status in ("kept", "finished") for node in tree.nodes.values()),
        "pruned": sum(node.status == "pruned" for node in tree.nodes.values()),
        "gflop": tree.spent.flops / GIGA,
        "nfe": tree.spent.nfe,
        "seconds": tree.seconds,
        "notes": [event.message for event in tree.shrunk],
        "best": _best(tree, lane.run),
    }


def _best(tree: Tree, run: str) -> Reply | None:
    best = tree.best()
    return best and {"node": best.id, "score": tree.best_score(), "image": inspect.image_url(run, best.id, "f")}


def _whole(context: Context, run: Any, visitor: str) -> Reply:
    told = progress(context, run, visitor)
    reader = context.library.reader(run, visitor)
    tree = reader.tree_now()
    spec = tree.spec
    about = {"prompt": spec.prompt, "seed": spec.seed, "spec": spec.to_json()} if spec else {}
    return {**told, **about, "nodes": [_node(tree, run, row) for row in view.rows(tree).values()]}


def _node(tree: Tree, run: str, row: Reply) -> Reply:
    node, kind = tree.nodes[row["id"]], row["image"]
    return {
        "id": node.id, "parent": node.parent, "step": node.step, "state": row["state"], "score": node.score,
        "scores": dict(node.scores), "rank": node.rank, "of": node.of, "seed": node.seed, "why": tree.why(node.id),
        "image": kind and inspect.image_url(run, node.id, kind),
    }  # fmt: skip


def speak_json(server: Any) -> None:
    """Make Gradio's MCP server answer with JSON, where it would print what Python calls a dict."""
    usual = server.postprocess_output_data

    def as_json(data: Any, root_url: str) -> Any:
        return usual([json.dumps(one) if isinstance(one, dict | list) else one for one in data], root_url)

    server.postprocess_output_data = as_json
