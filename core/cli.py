"""The command line: search, compare, replay, models. Results on stdout, progress and complaints on stderr.

Exit code 0; 2 with one line for a request that cannot be met; 1 when a model or the disk failed; 130 on Ctrl-C, the
run kept.
Nothing heavy is imported before a model is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from core.compare import race
from core.generators.registry import GENERATORS
from core.registry import Entry, readiness
from core.report import GIGA, choices, ending, export, in_words, summary
from core.request import Prepared, check, prepare, prepare_pair
from core.runs import RunStore, RunWriter
from core.search.errors import BadRequest, BeamscopeError
from core.search.events import Cancelled, Failed, RunSpec
from core.search.search import Search
from core.search.strategies.registry import STRATEGIES, unsupported
from core.search.tree import Tree
from core.verifiers.registry import VERIFIERS

FAILED, BAD_REQUEST, INTERRUPTED = 1, 2, 130
BAR = 24   # characters


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    try:
        args = _parser().parse_args(argv)
        code = args.command(args)
        sys.stdout.flush()
        return code
    except BeamscopeError as error:
        _complain(str(error))
        return BAD_REQUEST
    except BrokenPipeError:   # `| head` has seen enough; the interpreter must not find the rest when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        _complain(f"cannot read or write {error.filename or 'a file'}: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


# Arguments

class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message} ({self.prog} --help says more)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m core.cli", description="Search trees over text-to-image generation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    search = commands.add_parser("search", help="search for the best image of a prompt")
    search.set_defaults(command=_search)
    _add_request(search)
    compare = commands.add_parser("compare", help="a search beside best of n of a diffusion model, at equal FLOPs")
    compare.set_defaults(command=_compare)
    compare.add_argument("--baseline", default="emoji-flow", help="generator of the best of n (%(default)s)")
    _add_request(compare)
    replay = commands.add_parser("replay", help="a run from its log")
    replay.set_defaults(command=_replay)
    replay.add_argument("run", metavar="RUN")
    models = commands.add_parser("models", help="generators, verifiers, strategies, and which are ready")
    models.set_defaults(command=_models)
    for command in (search, compare, replay, models):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def _add_request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--generator", default=next(iter(GENERATORS)), help=f"{', '.join(GENERATORS)} (%(default)s)")
    parser.add_argument("--strategy", default="beam_search", help=f"{', '.join(STRATEGIES)} (%(default)s)")
    parser.add_argument("--verifier", default=next(iter(VERIFIERS)), help=f"{', '.join(VERIFIERS)} (%(default)s)")
    parser.add_argument("--observers", default="all",
                        help="verifiers that only look on: names with commas, all or none (%(default)s)")
    for name, help_text in _flags().items():
        parser.add_argument(f"--{name}", type=_look if name == "look" else int, help=help_text)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, metavar="GFLOP", help="what is not given is sized to it")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write best.png, run.json and previews there")


def _flags() -> dict[str, str]:
    """The parameters of all strategies, each with what the strategies make of it."""
    flags: dict[str, list[str]] = {}
    for strategy in STRATEGIES.values():
        for param in strategy.params:
            allowed = f"{param.range.low} to {param.range.high}" if param.range else "preview, rollout or a scale"
            flags.setdefault(param.name, []).append(f"{strategy.name}: {allowed} ({param.default})")
    return {name: "; ".join(uses) for name, uses in flags.items()}


def _look(text: str) -> str | int:
    return int(text) if text.removeprefix("-").isdecimal() else text


def _spec(args: argparse.Namespace) -> RunSpec:
    """The request as it was typed: only parameters that were given, observers that are ready."""
    given = {name: getattr(args, name) for name in _flags() if getattr(args, name) is not None}
    spec = RunSpec(
        prompt=args.prompt, generator=args.generator, strategy=args.strategy, params=given, verifier=args.verifier,
        seed=args.seed, budget_flops=None if args.budget is None else args.budget * GIGA,
    )
    check(spec)
    if args.out:
        _make_folder(args.out)
    return spec


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"cannot write to {folder}: {error.strerror}") from error


def _observed(spec: RunSpec, asked: str) -> RunSpec:
    """The spec with its observers: those asked for, or all others that load."""
    if asked in ("all", "none"):
        names = [name for name in VERIFIERS if asked == "all" and name != spec.verifier and _ready(name)]
    else:
        names = [name for name in dict.fromkeys(asked.split(",")) if name != spec.verifier]
    return replace(spec, observers=tuple(names))


def _ready(verifier: str) -> bool:
    reason = readiness(VERIFIERS[verifier])
    if reason:
        print(f"note: {verifier} does not look on: {reason}", file=sys.stderr)
    return reason is None


# Commands

def _search(args: argparse.Namespace) -> int:
    store, lanes = RunStore(), [prepare(_observed(_spec(args), args.observers))]
    _note_unknown(lanes[0].spec)
    [(run, tree)] = _perform(store, lanes)
    image = export(store, run, tree, args.out) if args.out else _image(store, run, tree)
    if args.json:
        _print_json(summary(tree, run, image))
    else:
        _print_lines(in_words(tree, run, image))
    return _exit_code([tree])


def _compare(args: argparse.Namespace) -> int:
    store, lanes = RunStore(), prepare_pair(_observed(_spec(args), args.observers), args.baseline)
    _note_unknown(lanes[0].spec)
    names, results = ("ar", "diffusion"), _perform(store, lanes)
    images = [
        export(store, run, tree, args.out / name) if args.out else _image(store, run, tree)
        for name, (run, tree) in zip(names, results, strict=True)
    ]
    if args.json:
        sides = {name: summary(tree, run, image)
                 for name, (run, tree), image in zip(names, results, images, strict=True)}
        _print_json({"prompt": args.prompt, "verifier": args.verifier, "seed": args.seed, **sides})
    else:
        for (run, tree), image in zip(results, images, strict=True):
            _print_lines([*in_words(tree, run, image), ""])
    return _exit_code([tree for _, tree in results])


def _replay(args: argparse.Namespace) -> int:
    store = RunStore()
    events = store.load(args.run)
    tree = Tree.of(events)
    if tree.spec is None:
        raise BadRequest(f"run {args.run} ended before its first event: there is nothing to replay")
    image = _image(store, args.run, tree)
    if args.json:
        _print_json(summary(tree, args.run, image))
    else:
        _print_lines([*choices(tree, events), *in_words(tree, args.run, image)])
        print(f"state  {ending(tree, store.status(args.run))}")
    return 0


def _models(args: argparse.Namespace) -> int:
    strategies = {
        name: {"description": strategy.description, "params": {p.name: p.default for p in strategy.params},
               "not_for": [g for g, entry in GENERATORS.items() if unsupported(name, g, entry.branches)]}
        for name, strategy in STRATEGIES.items()
    }
    table = {"generators": _readiness(GENERATORS), "verifiers": _readiness(VERIFIERS), "strategies": strategies}
    if args.json:
        _print_json(table)
        return 0
    for kind, rows in table.items():
        _print_lines([kind, *(f"  {name:<16} {_model_line(row)}" for name, row in rows.items())])
    return 0


def _readiness(entries: dict[str, Entry]) -> dict[str, dict[str, Any]]:
    reasons = {name: readiness(entry) for name, entry in entries.items()}
    return {
        name: {"description": entry.description, "ready": reasons[name] is None, "reason": reasons[name]}
        for name, entry in entries.items()
    }


def _model_line(row: dict[str, Any]) -> str:
    if "params" in row:
        refused = f"; not for {', '.join(row['not_for'])}" if row["not_for"] else ""
        return f"{row['description']} [{', '.join(f'{k} {v}' for k, v in row['params'].items())}{refused}]"
    return f"{row['description']}: {'ready' if row['ready'] else 'not ready: ' + row['reason']}"


# Running

def _perform(store: RunStore, lanes: Sequence[Prepared]) -> list[tuple[str, Tree]]:
    """Run all lanes to their ends and into the store; (run id, tree) of each. Ctrl-C ends them early."""
    progress = _Progress(sum(lane.cost.flops for lane in lanes))
    with ExitStack() as stack:
        stop = stack.enter_context(_interruptible())
        searches = [Search(lane.generator, lane.verifiers, lane.spec, stop.is_set) for lane in lanes]
        writers = [stack.enter_context(writer) for writer in _writers(store, lanes)]
        for lane, event in race(*(search.run() for search in searches)):
            writers[lane].append(event)
            progress.show([search.tree for search in searches])
    progress.close()
    return [(writer.run, search.tree) for writer, search in zip(writers, searches, strict=True)]


def _writers(store: RunStore, lanes: Sequence[Prepared]) -> list[RunWriter]:
    """In the order of the lanes; the first run names the second as the one beside it."""
    others = [store.create(lane.spec) for lane in lanes[1:]]
    return [store.create(lanes[0].spec, beside=others[0].run if others else None), *others]


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second one interrupts at once."""
    stop = threading.Event()

    def on_interrupt(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress:
    """A bar on stderr: redrawn on a terminal, a line for every tenth elsewhere."""

    def __init__(self, flops: float):
        self.flops, self.live, self.drawn = max(flops, 1.0), sys.stderr.isatty(), -1

    def show(self, trees: Sequence[Tree]) -> None:
        spent = sum(tree.spent.flops for tree in trees)
        share = min(1.0, spent / self.flops)
        if not self.live and int(share * 10) == self.drawn:
            return
        self.drawn = int(share * 10)
        bar = "#" * round(share * BAR)
        best = " | ".join(f"best {tree.improvements[-1][2]:.3f}" for tree in trees if tree.improvements)
        line = f"[{bar:<{BAR}}] {share:4.0%}  {spent / GIGA:.1f} of {self.flops / GIGA:.1f} GFLOP  {best}"
        print(f"\r{line}\033[K" if self.live else line, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live:
            print(file=sys.stderr)


def _image(store: RunStore, run: str, tree: Tree) -> Path | None:
    best = tree.best()
    return store.best_image(run, best.id) if best else None


def _exit_code(trees: Sequence[Tree]) -> int:
    for tree in trees:
        if isinstance(tree.end, Failed):
            _complain(tree.end.message)
            return FAILED if tree.end.code in ("model_error", "error") else BAD_REQUEST
    return INTERRUPTED if any(isinstance(tree.end, Cancelled) for tree in trees) else 0


def _print_json(data: dict[str, Any]) -> None:
    print(json.dumps(data, allow_nan=False))


def _print_lines(lines: Sequence[str] | Iterator[str]) -> None:
    print("\n".join(lines))


def _note_unknown(spec: RunSpec) -> None:
    """Say which words of the prompt an embedded generator will not read."""
    if not spec.generator.startswith("emoji-"):
        return
    from core.world.captions import check as check_caption

    found = check_caption(spec.prompt)
    unknown = [f"{word} (nearest: {nearest})" if nearest else word for word, nearest in found.unknown[:8]]
    for note in ([f"does not know {', '.join(unknown)}"] if unknown else []) + list(found.notes):
        print(f"note: {''.join(c for c in note if c.isprintable())}", file=sys.stderr)


def _complain(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
