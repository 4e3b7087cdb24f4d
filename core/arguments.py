"""What can be typed on the command line, and the run that it asks for."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from core.generators.registry import GENERATORS
from core.place import DEVICES, DTYPES
from core.registry import failure
from core.request import check
from core.search.budget import Budget
from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.guide import Guide
from core.search.schema import parse_value
from core.search.strategies.registry import STRATEGIES
from core.verifiers.registry import VERIFIERS

SEEDS = 4   # of SpriteBench


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message} ({self.prog} --help says more)")


def parser() -> argparse.ArgumentParser:
    """Of all commands; its errors are BadRequest. `command` is the name of the one that was typed."""
    parser = _Parser(prog="python -m core.cli", description="Search trees over text-to-image generation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    search = commands.add_parser("search", help="search for the best image of a prompt")
    search.set_defaults(command="search")
    _add_prompt(search)
    _add_search(search)
    compare = commands.add_parser("compare", help="a search beside best of n of a diffusion model, at equal FLOPs")
    compare.set_defaults(command="compare")
    compare.add_argument("--baseline", default="emoji-flow-sde", help="generator of the best of n (%(default)s)")
    _add_prompt(compare)
    _add_search(compare)
    resume = commands.add_parser("resume", help="go on from any node of a stored run, a pruned one above all")
    resume.set_defaults(command="resume")
    resume.add_argument("run", metavar="RUN")
    resume.add_argument("node", metavar="NODE", type=int)
    _add_search(resume)
    replay = commands.add_parser("replay", help="a run from its log")
    replay.set_defaults(command="replay")
    replay.add_argument("run", metavar="RUN")
    runs = commands.add_parser("runs", help="the stored runs; which of them never make room for new ones")
    runs.set_defaults(command="runs")
    runs.add_argument("--pin", metavar="RUN", action="append", default=[])
    runs.add_argument("--unpin", metavar="RUN", action="append", default=[])
    export_ = commands.add_parser("export", help="a run, and the one beside it, as a file for another machine")
    export_.set_defaults(command="export")
    export_.add_argument("run", metavar="RUN")
    export_.add_argument("file", metavar="FILE.zip", type=Path)
    import_ = commands.add_parser("import", help="keep the runs of such a file, from anywhere, as new ones")
    import_.set_defaults(command="import")
    import_.add_argument("file", metavar="FILE.zip", type=Path)
    models = commands.add_parser("models", help="generators, verifiers, strategies, and which are ready")
    models.set_defaults(command="models")
    models.add_argument("--markdown", action="store_true", help="the reference of all of them")
    models.add_argument("--load", action="store_true", help="also load those that seem ready, to make sure")
    _add_download(commands)
    bench = commands.add_parser("bench", help="measure the search engine, what searches find on SpriteBench, or "
                               "make the images of a benchmark of the field for its own scorer")
    bench.set_defaults(command="bench")
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
    download.set_defaults(command="download")
    download.add_argument("names", metavar="NAME", nargs="*", help="a package, or a model and all that it needs")
    download.add_argument("--yes", action="store_true", help="agree to the licences, which are shown")
    download.add_argument("--check", action="store_true", help="only read what is here again, and compare its hashes")
    convert = commands.add_parser("convert", help="make slim copies of Infinity's downloaded weights, once")
    convert.set_defaults(command="convert")
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


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters that were typed."""
    return {name: getattr(args, name) for name in _flags() if hasattr(args, name)}


def spec_of(args: argparse.Namespace) -> RunSpec:
    """The request as it was typed: only parameters that were given, observers that are ready."""
    spec = RunSpec(
        prompt=args.prompt, generator=args.generator, strategy=args.strategy, params=given(args),
        verifier=args.verifier or next(iter(VERIFIERS)), seed=args.seed or 0,
    ).with_budget(args.budget)
    return checked(spec, args)


def checked(spec: RunSpec, args: argparse.Namespace) -> RunSpec:
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
