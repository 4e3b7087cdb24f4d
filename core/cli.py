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
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

from core import answers
from core.generators.registry import GENERATORS
from core.machine import limit_memory, memory_limit
from core.packages.catalogue import in_bytes
from core.place import DEVICES, DTYPES, choose
from core.reference import markdown, reference
from core.registry import failure
from core.report import choices, ending, export, forecast, forecast_in_words, in_words, summary
from core.request import Prepared, check, prepare, prepare_pair
from core.resume import resumed
from core.running import perform
from core.search.budget import Budget
from core.search.errors import BadRequest, BeamscopeError, DiskFull, DownloadFailed, OutOfMemory, VerifierFailed
from core.search.events import Cancelled, Failed, RunSpec
from core.search.guide import Guide
from core.search.schema import parse_value
from core.search.strategies.registry import STRATEGIES
from core.search.tree import Tree
from core.store.archive import lanes_of, write_archive
from core.store.archive_read import import_run
from core.store.runs import RunStore
from core.verifiers.registry import VERIFIERS

FAILED, BAD_REQUEST, INTERRUPTED = 1, 2, 130
BROKEN = {"model_error", "error", OutOfMemory.code, VerifierFailed.code}   # ends of runs that no request causes
MEBI = 2**20
SEEDS = 4   # of SpriteBench


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    try:
        args = _parser().parse_args(argv)
        if "device" in args:
            choose(args.device, args.dtype)
            limit_memory(args.memory)
        code = args.command(args)
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


# Arguments

class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message} ({self.prog} --help says more)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m core.cli", description="Search trees over text-to-image generation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    search = commands.add_parser("search", help="search for the best image of a prompt")
    search.set_defaults(command=_search)
    _add_prompt(search)
    _add_search(search)
    compare = commands.add_parser("compare", help="a search beside best of n of a diffusion model, at equal FLOPs")
    compare.set_defaults(command=_compare)
    compare.add_argument("--baseline", default="emoji-flow-sde", help="generator of the best of n (%(default)s)")
    _add_prompt(compare)
    _add_search(compare)
    resume = commands.add_parser("resume", help="go on from any node of a stored run, a pruned one above all")
    resume.set_defaults(command=_resume)
    resume.add_argument("run", metavar="RUN")
    resume.add_argument("node", metavar="NODE", type=int)
    _add_search(resume)
    replay = commands.add_parser("replay", help="a run from its log")
    replay.set_defaults(command=_replay)
    replay.add_argument("run", metavar="RUN")
    runs = commands.add_parser("runs", help="the stored runs; which of them never make room for new ones")
    runs.set_defaults(command=_runs)
    runs.add_argument("--pin", metavar="RUN", action="append", default=[])
    runs.add_argument("--unpin", metavar="RUN", action="append", default=[])
    export_ = commands.add_parser("export", help="a run, and the one beside it, as a file for another machine")
    export_.set_defaults(command=_export)
    export_.add_argument("run", metavar="RUN")
    export_.add_argument("file", metavar="FILE.zip", type=Path)
    import_ = commands.add_parser("import", help="keep the runs of such a file, from anywhere, as new ones")
    import_.set_defaults(command=_import)
    import_.add_argument("file", metavar="FILE.zip", type=Path)
    models = commands.add_parser("models", help="generators, verifiers, strategies, and which are ready")
    models.set_defaults(command=_models)
    models.add_argument("--markdown", action="store_true", help="the reference of all of them")
    models.add_argument("--load", action="store_true", help="also load those that seem ready, to make sure")
    _add_download(commands)
    bench = commands.add_parser("bench", help="measure the search engine, what searches find on SpriteBench, or "
                               "make the images of a benchmark of the field for its own scorer")
    bench.set_defaults(command=_bench)
    bench.add_argument("what", choices=["engine", "spritebench", "images"])
    bench.add_argument("--quick", action="store_true",
                       help="engine: two minutes instead of half an hour, nothing written")
    bench.add_argument("--only", metavar="PART", help="engine: one part of it")
    _add_spritebench(bench)
    for command in (search, compare, resume, models, bench):
        command.add_argument("--device", help=f"of real models: {DEVICES} (BEAMSCOPE_DEVICE, else auto)")
        command.add_argument("--memory", metavar="AMOUNT", help="weights, states and batches stay within it: MiB, or "
                             "such as 12GB (BEAMSCOPE_MEMORY, else as much as there is)")
        command.add_argument("--dtype", help=f"of real models: auto, {', '.join(DTYPES)} (BEAMSCOPE_DTYPE, else auto)")
    for command in (search, compare, resume, replay, runs, export_, import_, models, bench):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def _add_download(commands: Any) -> None:
    download = commands.add_parser("download", help="fetch the weights of real models, or list what can be fetched")
    download.set_defaults(command=_download)
    download.add_argument("names", metavar="NAME", nargs="*", help="a package, or a model and all that it needs")
    download.add_argument("--yes", action="store_true", help="agree to the licences, which are shown")
    download.add_argument("--check", action="store_true", help="only read what is here again, and compare its hashes")
    convert = commands.add_parser("convert", help="make slim copies of Infinity's downloaded weights, once")
    convert.set_defaults(command=_convert)
    convert.add_argument("names", metavar="NAME", nargs="+", help="a package, or a model and all that it needs")
    for command in (download, convert):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--generator", default=next(iter(GENERATORS)), help=f"{', '.join(GENERATORS)} (%(default)s)")


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strategy", default="beam_search", help=f"{', '.join(STRATEGIES)} (%(default)s)")
    parser.add_argument("--verifier", help=f"the guide: {', '.join(VERIFIERS)}, or several as rank:a+b or zscore:a+b "
                        f"({next(iter(VERIFIERS))}, or that of the run gone on from)")
    parser.add_argument("--judge", help="a verifier that only chooses among the guide's finalists")
    parser.add_argument("--finalists", type=int, default=4, help="images that the judge is shown (%(default)s)")
    parser.add_argument("--observers", default="all",
                        help="verifiers that only look on: names with commas, none, or all but dear ones (%(default)s)")
    _add_params(parser)
    parser.add_argument("--choose", action="store_true", help="you say at every choice who goes on, on the terminal")
    parser.add_argument("--seed", type=int, help="(0, or that of the node gone on from)")
    parser.add_argument("--dry-run", action="store_true", help="only say what it would cost and how long it would take")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write best.png, run.json and previews there")


def _add_params(parser: argparse.ArgumentParser) -> None:
    for name, help_text in _flags().items():
        parser.add_argument(_flag(name), dest=name, type=parse_value, default=argparse.SUPPRESS, help=help_text)
    parser.add_argument("--budget", type=Budget.parse, default=Budget(), metavar="AMOUNT",
                        help="what is not given is sized to it: 250 (GFLOP), 1365nfe, 10s or 64images")


def _add_spritebench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", choices=["dev", "test"], default="dev", help="spritebench: prompts (%(default)s)")
    parser.add_argument("--benchmark", help="images: geneval, compbench, drawbench or parti")
    parser.add_argument("--prompts", type=Path, metavar="FILE",
                        help="images: the benchmark's own file; spritebench: other prompts, in its format")
    parser.add_argument("--out", type=Path, metavar="DIR", help="images: where they are written; goes on where it was")
    parser.add_argument("--limit", type=int, metavar="K", help="the first K prompts")
    parser.add_argument("--seeds", type=int, metavar="N",
                        help=f"root seeds 0 to N - 1 ({SEEDS}; images: as many as the benchmark is scored with)")
    parser.add_argument("--workers", type=int, default=1,
                        help="spritebench: processes of one thread each (%(default)s, of many)")
    parser.add_argument("--generator", default=next(iter(GENERATORS)), help=f"{', '.join(GENERATORS)} (%(default)s)")
    parser.add_argument("--strategy", default="random_search", help=f"{', '.join(STRATEGIES)} (%(default)s)")
    parser.add_argument("--verifier", default=next(iter(VERIFIERS)), help="the guide (%(default)s)")
    parser.add_argument("--judge", help="chooses among the guide's finalists")
    _add_params(parser)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flags() -> dict[str, str]:
    """The parameters of all strategies, each with what the strategies make of it."""
    flags: dict[str, list[str]] = {}
    for strategy in STRATEGIES.values():
        for param in strategy.params:
            default = "off" if param.default is None else param.default
            flags.setdefault(param.name, []).append(f"{strategy.name}: {param.allowed} ({default})")
    return {name: "; ".join(uses).replace("%", "%%") for name, uses in flags.items()}


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters that were typed."""
    return {name: getattr(args, name) for name in _flags() if hasattr(args, name)}


def _spec(args: argparse.Namespace) -> RunSpec:
    """The request as it was typed: only parameters that were given, observers that are ready."""
    spec = RunSpec(
        prompt=args.prompt, generator=args.generator, strategy=args.strategy, params=_given(args),
        verifier=args.verifier or next(iter(VERIFIERS)), seed=args.seed or 0,
    ).with_budget(args.budget)
    return _checked(spec, args)


def _checked(spec: RunSpec, args: argparse.Namespace) -> RunSpec:
    chooser = "person" if args.choose else "verifier"
    spec = replace(spec, judge=args.judge, finalists=args.finalists, chooser=chooser)
    check(spec)
    if args.out:
        _make_folder(args.out)
    return _observed(spec, args.observers)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"cannot write to {folder}: {error.strerror}") from error


def _observed(spec: RunSpec, asked: str) -> RunSpec:
    """The spec with its observers: those asked for, or all others that load and are no dearer than a guide."""
    guides = Guide.parse(spec.verifier).members
    if asked in ("all", "none"):
        strange = GENERATORS[spec.generator].foreign
        cheap = [name for name, entry in VERIFIERS.items() if not (entry.dear or strange and entry.native)]
        names = [name for name in cheap if asked == "all" and name not in guides and _ready(name)]
    else:
        names = [name for name in dict.fromkeys(asked.split(",")) if name not in guides]
    return replace(spec, observers=tuple(names))


def _ready(verifier: str) -> bool:
    reason = failure(VERIFIERS[verifier])
    if reason:
        print(f"note: {verifier} does not look on: {reason}", file=sys.stderr)
    return reason is None


# Commands

def _search(args: argparse.Namespace) -> int:
    return _run(_spec(args), args)


def _resume(args: argparse.Namespace) -> int:
    spec = resumed(
        RunStore(), args.run, args.node, args.strategy, _given(args), args.budget, args.verifier, args.seed
    )
    return _run(_checked(spec, args), args)


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
    store, lanes = RunStore(), prepare_pair(_spec(args), args.baseline)
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
    spec = RunSpec("", args.generator, args.strategy, _given(args), args.verifier, judge=args.judge)
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
