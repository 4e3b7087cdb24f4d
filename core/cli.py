"""The command line: search, compare, resume, replay, runs, export, import, models, download,
convert, bench.

Results on stdout, progress on stderr.
Exit code 0; 2 with one line for a request that cannot be met; 1 when a model or the disk failed; 130 on Ctrl-C, the
run kept.
Nothing heavy is imported before a model is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from core import answers
from core.arguments import SEEDS, checked, given, parser, spec_of
from core.machine import limit_memory, memory_limit
from core.packages.catalogue import in_bytes
from core.place import choose
from core.reference import markdown, reference
from core.report import choices, ending, export, forecast, forecast_in_words, in_words, summary
from core.request import Prepared, prepare, prepare_pair
from core.resume import resumed
from core.running import perform
from core.search.errors import BadRequest, BeamscopeError, DiskFull, DownloadFailed, OutOfMemory, VerifierFailed
from core.search.events import Cancelled, Failed, RunSpec
from core.search.tree import Tree
from core.store.archive import lanes_of, write_archive
from core.store.archive_read import import_run
from core.store.runs import RunStore

FAILED, BAD_REQUEST, INTERRUPTED = 1, 2, 130
BROKEN = {"model_error", "error", OutOfMemory.code, VerifierFailed.code}   # ends of runs that no request causes
MEBI = 2**20


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    try:
        args = parser().parse_args(argv)
        if "device" in args:
            choose(args.device, args.dtype)
            limit_memory(args.memory)
        code = COMMANDS[args.command](args)
        sys.stdout.flush()
        return code
    except BeamscopeError as error:
        _complain(str(error))
        return FAILED if isinstance(error, DiskFull | DownloadFailed) else BAD_REQUEST
    except BrokenPipeError:   # `| head` has seen enough; the interpreter must not find the rest when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        _complain(f"cannot read or write {error.filename or 'a file'}: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


# Commands

def _search(args: argparse.Namespace) -> int:
    return _run(spec_of(args), args)


def _resume(args: argparse.Namespace) -> int:
    spec = resumed(
        RunStore(), args.run, args.node, args.strategy, given(args), args.budget, args.verifier, args.seed
    )
    return _run(checked(spec, args), args)


def _run(spec: RunSpec, args: argparse.Namespace) -> int:
    if args.dry_run:
        return _forecast(prepare(spec, timed=True), args)
    store, lanes = RunStore(), [prepare(spec)]
    _note_unknown(lanes[0].spec)
    [(run, tree)] = perform(store, lanes, memory_limit())
    image = export(store, run, tree, args.out) if args.out else _image(store, run, tree)
    if args.json:
        _print_json(summary(tree, run, image))
    else:
        _print_lines([*in_words(tree, run, image), *answers.in_words(answers.of_file(tree.spec, image))])
    return _exit_code([tree])


def _forecast(lane: Prepared, args: argparse.Namespace) -> int:
    if args.json:
        _print_json(forecast(lane.spec, lane.cost))
    else:
        _print_lines(forecast_in_words(lane.spec, lane.cost))
    return 0


def _compare(args: argparse.Namespace) -> int:
    if args.dry_run:
        raise BadRequest("a comparison has no dry run: search --dry-run sizes one side, and the other is as large")
    store, lanes = RunStore(), prepare_pair(spec_of(args), args.baseline)
    _note_unknown(lanes[0].spec)
    names, results = ("ar", "diffusion"), perform(store, lanes, memory_limit())
    images = [
        export(store, run, tree, args.out / name) if args.out else _image(store, run, tree)
        for name, (run, tree) in zip(names, results, strict=True)
    ]
    if args.json:
        sides = {name: summary(tree, run, image)
                 for name, (run, tree), image in zip(names, results, images, strict=True)}
        spec = lanes[0].spec
        _print_json({"prompt": spec.prompt, "verifier": spec.verifier, "seed": spec.seed, **sides})
    else:
        for (run, tree), image in zip(results, images, strict=True):
            _print_lines([*in_words(tree, run, image), ""])
    return _exit_code([tree for _, tree in results])


def _runs(args: argparse.Namespace) -> int:
    store = RunStore()
    for pinned, runs in ((True, args.pin), (False, args.unpin)):
        for run in runs:
            store.pin(run, pinned)
    infos = store.list()
    if args.json:
        _print_json({"folder": str(store.root), "runs": [vars(info) for info in infos]})
        return 0
    for info in infos:
        print(f"{info.run}  {info.status:<11} {'pinned' if info.pinned else '':<6} {info.bytes / MEBI:6.1f} MiB  "
              f"{info.title}")
    return 0


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


def _export(args: argparse.Namespace) -> int:
    data = BytesIO()   # whole before the file is touched
    write_archive(RunStore(), args.run, data)
    args.file.write_bytes(data.getvalue())
    _told(args, {"run": args.run, "file": str(args.file), "bytes": len(data.getvalue())}, str(args.file))
    return 0


def _import(args: argparse.Namespace) -> int:
    store = RunStore()
    with open(args.file, "rb") as file:
        run = import_run(store, file)
    _told(args, {"run": run, "runs": lanes_of(store, run)}, run)
    return 0


def _told(args: argparse.Namespace, data: dict[str, Any], line: str) -> None:
    if args.json:
        _print_json(data)
    else:
        print(line)


def _models(args: argparse.Namespace) -> int:
    if args.markdown:
        print(markdown(reference()), end="")
        return 0
    table = reference(load=args.load, state=True)
    if args.json:
        _print_json(table)
        return 0
    for kind, rows in table.items():
        _print_lines([kind, *(f"  {name:<22} {_model_line(row)}" for name, row in rows.items())])
    return 0


def _model_line(row: dict[str, Any]) -> str:
    if "params" in row:
        refused = f"; not for {', '.join(row['not_for'])}" if row["not_for"] else ""
        defaults = ", ".join(f"{name} {param['default']}" for name, param in row["params"].items())
        return f"{row['description']} [{defaults}{refused}]"
    state = "ready" if row["ready"] else "not ready: " + row["reason"]
    return f"{row['description']}: {state}"


def _download(args: argparse.Namespace) -> int:
    from core.packages import command

    if not args.names:
        rows = command.overview()
        lines = [f"{row['name']:<22} {'here' if row['here'] else row['size']:<15} {row['licence']}" for row in rows]
    else:
        packages = command.wanted(args.names)
        rows = command.check(packages) if args.check else command.fetch(packages, args.yes)
        lines = [row["folder"] for row in rows]
    if args.json:
        _print_json({"packages": rows})
    else:
        _print_lines(lines)
    return 0


def _convert(args: argparse.Namespace) -> int:
    from core.packages.command import convert

    rows = convert(args.names)
    if args.json:
        _print_json({"packages": rows})
    else:
        _print_lines([f"{row['folder']}  {in_bytes(row['bytes'])}; {row['official']} may be deleted" for row in rows])
    return 0


def _bench(args: argparse.Namespace) -> int:
    if args.what != "engine":
        return _spritebench(args) if args.what == "spritebench" else _images(args)
    from core.evaluation import engine

    found = engine.bench(only=args.only, quick=args.quick)
    if args.json:
        _print_json(found)
    else:
        print(engine.markdown(found), end="")
    return 0


def _spritebench(args: argparse.Namespace) -> int:
    from core.evaluation.spritebench import report
    from core.evaluation.spritebench.run import bench, chosen

    spec, rows = _setting(args), chosen(args.split, args.prompts, args.limit)
    results = bench(rows, spec, SEEDS if args.seeds is None else args.seeds, _bar, args.workers)
    print(file=sys.stderr)
    found = report.report(results)
    if args.json:
        _print_json({"setting": spec.to_json(), "split": args.split, **found})
    else:
        _print_lines(report.lines(found))
    return 0


def _setting(args: argparse.Namespace) -> RunSpec:
    """What is run on every prompt of a benchmark."""
    spec = RunSpec("", args.generator, args.strategy, given(args), args.verifier, judge=args.judge)
    return spec.with_budget(args.budget)


def _bar(done: int, of: int, strict: float) -> None:
    print(f"\r{done}/{of} {done / of:4.0%}  strict so far {strict:.3f}", end="", file=sys.stderr, flush=True)


def _images(args: argparse.Namespace) -> int:
    from core.evaluation.field.benchmarks import benchmark
    from core.evaluation.field.run import bench, lines

    for name in ("benchmark", "prompts", "out"):
        if getattr(args, name) is None:
            raise BadRequest(f"bench images wants --{name} (python -m core.cli bench --help says more)")
    if args.workers != 1:
        raise BadRequest(f"bench images runs in one process, not in {args.workers} workers: leave --workers out")
    of, spec = benchmark(args.benchmark), _setting(args)
    items = of.read(args.prompts)
    if args.limit is not None and args.limit < 1:
        raise BadRequest(f"a limit of {args.limit} prompts leaves nothing to run: the least is 1")
    seeds = of.seeds if args.seeds is None else args.seeds
    found = bench(items[: args.limit], of, spec, seeds, args.out,
                  lambda done: print(f"\r{done}\033[K", end="", file=sys.stderr, flush=True),
                  lambda line: print(f"note: {line}", file=sys.stderr))
    print(file=sys.stderr)
    if args.json:
        _print_json({"setting": spec.to_json(), "benchmark": args.benchmark, "out": str(args.out), **found})
    else:
        _print_lines(lines(found, args.out))
    return FAILED if found["failed"] else 0


COMMANDS = {
    "search": _search, "compare": _compare, "resume": _resume, "replay": _replay, "runs": _runs, "export": _export,
    "import": _import, "models": _models, "bench": _bench, "download": _download, "convert": _convert,
}  # fmt: skip


# What is printed

def _image(store: RunStore, run: str, tree: Tree) -> Path | None:
    best = tree.best()
    return store.best_image(run, best.id) if best else None


def _exit_code(trees: Sequence[Tree]) -> int:
    for tree in trees:
        if isinstance(tree.end, Failed):
            _complain(tree.end.message)
            return FAILED if tree.end.code in BROKEN else BAD_REQUEST
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
