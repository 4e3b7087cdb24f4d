"""`python -m core.cli download`: size and terms first, then the question, then the bytes. And `convert`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from core.generators.registry import GENERATORS
from core.packages import download, slim
from core.packages.catalogue import PACKAGES, Package, in_bytes, missing, models_folder, package
from core.packages.download import Bar, File
from core.search.errors import BadRequest, DownloadFailed
from core.verifiers.registry import VERIFIERS


def wanted(names: Sequence[str]) -> list[Package]:
    """The packages of that name, or that models of that name need, each once. Raises BadRequest."""
    models = {name: entry.needs.packages for name, entry in (GENERATORS | VERIFIERS).items() if entry.needs}
    needed = [one for name in names for one in models.get(name) or (name,)]
    return [package(one) for one in dict.fromkeys(needed)]


def overview() -> list[dict[str, Any]]:
    """All packages, and whether they are here. Asks no network."""
    return [{"name": one.name, "repository": one.repository, "size": one.size, "licence": one.licence_line,
             "here": not missing(one) or slim.here(one.name), "command": one.command} for one in PACKAGES.values()]


def fetch(packages: Sequence[Package], yes: bool) -> list[dict[str, Any]]:
    """Tell, ask, fetch what is not here, not even as a slim copy.

    Raises DownloadFailed, DiskFull, or BadRequest where nobody said yes.
    """
    packages = [one for one in packages if not (missing(one) and slim.here(one.name))]
    _say(line for one in packages for line in _terms(one))   # also where the hub cannot be reached
    plan = [(one, download.listed(one)) for one in packages]
    left = [(one, files, download.left(one, files)) for one, files in plan]
    _say(line for one in left for line in _amount(*one))
    download.require_room(models_folder(), [(one, files) for one, files, _ in left])
    if any(lacking for *_, lacking in left):
        _ask(yes)
    for one, files, _ in left:
        bar = Bar()
        download.fetch(one, files, bar.show)
        bar.close()
    return [{"name": one.name, "folder": str(one.folder), "licence": one.licence, "files": len(files),
             "bytes": sum(file.bytes for file in files), "fetched": sum(file.bytes for file in lacking)}
            for one, files, lacking in left]


def check(packages: Sequence[Package]) -> list[dict[str, Any]]:
    """Read packages that are here, and their slim copies, once more. Raises DownloadFailed naming what is damaged."""
    found = []
    for one in packages:
        lacking, slimmed = missing(one), slim.here(one.name)
        if lacking and not slimmed:
            raise DownloadFailed(f"{one.name} lacks {', '.join(lacking[:3])}: fetch it with {one.command}")
        bar = Bar()
        wrong = [] if lacking else download.damaged(one, bar.show)
        copied = not slimmed or slim.intact(one.name, bar.show)
        bar.close()
        if wrong:
            paths = ", ".join(str(one.folder / path) for path in wrong)
            raise DownloadFailed(f"of {one.name} {paths} is damaged: delete it, then {one.command}")
        if not copied:
            first = f"{one.command}, then " if lacking else ""
            raise DownloadFailed(f"the slim copy of {one.name} in {slim.folder(one.name)} is damaged: {first}python -m "
                                 f"core.cli convert {one.name}")
        found.append({"name": one.name, "folder": str(slim.folder(one.name) if lacking else one.folder), "damaged": []})
    return found


def convert(names: Sequence[str]) -> list[dict[str, Any]]:
    """Slim copies of the packages of that name, or of those that models of that name need and that can have one.

    Raises as core.packages.slim.convert does.
    """
    rows = []
    for one in wanted(names):
        if one.name in names or one.name in slim.CONVERTIBLE:
            bar = Bar()
            card = slim.convert(one.name, bar.show)
            bar.close()
            rows.append({"name": one.name, "folder": str(slim.folder(one.name)), "official": str(one.folder), **card})
    return rows


def _terms(one: Package) -> Iterator[str]:
    yield f"{one.name}  {one.size}, from https://huggingface.co/{one.repository}"
    yield f"  licence  {one.licence_line}: {one.terms}"
    if one.gated:
        yield (f"  gated    log in at https://huggingface.co/{one.repository} and agree to its terms, make a token "
               "that may read, and set HF_TOKEN to it")


def _amount(one: Package, files: Sequence[File], lacking: Sequence[File]) -> Iterator[str]:
    if lacking:
        size = in_bytes(sum(file.bytes for file in lacking))
        yield f"{one.name}: {len(lacking)} of {len(files)} files to fetch, {size}, into {one.folder}"
    else:
        yield f"{one.name}: all {len(files)} files are here, in {one.folder}"


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadRequest("nobody is at the terminal to agree to the licence: say --yes if you do")
    print("Agree to the licence and fetch? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadRequest("nothing was fetched")


def _say(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
