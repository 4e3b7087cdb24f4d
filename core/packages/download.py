"""Fetch packages from the model hub: resumed where a connection broke, checked against the hub's sizes and hashes.

Speaks the two addresses of the hub that this takes, the list of a repository and the bytes of a file, from
HF_ENDPOINT where a mirror is to be asked. The standard library does it: huggingface_hub throws away the half of a file
that came before a process ended, and does not look at hashes. Here Range requests go on from it, in another process
too, and a file has its name only when its hash is right.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from core.packages.catalogue import RECEIPT, Package, in_bytes, matches, receipt
from core.search.errors import BadRequest, BeamscopeError, DiskFull, DownloadFailed

CHUNK = 2**20
ATTEMPTS = 5       # in a row that bring nothing, before it is given up
PATIENCE = 60.0    # seconds without a byte
SPARE = 100e6      # bytes that a disk keeps free
BROKEN = (URLError, HTTPException, ConnectionError, TimeoutError)   # what a network does
Progress = Callable[[str, int, int], None]   # path, bytes so far, bytes in all


@dataclass(frozen=True)
class File:
    """One file of a package, as the hub lists it."""

    repository: str
    revision: str
    path: str
    bytes: int
    sha256: str | None   # of large files
    git: str | None      # of small ones: the blob's name, a sha1

    @property
    def hash(self) -> str:
        return f"sha256:{self.sha256}" if self.sha256 else f"git:{self.git}"


# What there is to fetch

def listed(package: Package) -> list[File]:
    """The files of a package. Raises DownloadFailed."""
    files = [
        File(repository, revision, path, size, sha256, git)
        for repository, patterns in package.sources
        for revision in [package.revision if repository == package.repository else "main"]
        for path, size, sha256, git in _tree(repository, revision) if matches(path, patterns)
    ]
    if lacking := [path for path in package.needed if path not in {file.path for file in files}]:
        raise DownloadFailed(f"{package.repository} has no {', '.join(lacking)} any more: look there for another name")
    for file in files:
        _require_known(package, file)
    return files


def _require_known(package: Package, file: File) -> None:
    """Raises DownloadFailed for a file that is another one by now than the one this version was written for."""
    known = dict(package.sha256).get(file.path, file.sha256)
    if file.sha256 != known:
        raise DownloadFailed(f"{file.repository} has another {file.path} by now (sha256 {str(file.sha256)[:12]}, "
                             f"{str(known)[:12]} is known): nothing is fetched")


def _tree(repository: str, revision: str) -> Iterator[tuple[str, int, str | None, str | None]]:
    """Path, size, sha256 and git name of every file of a repository; the list may have several pages."""
    address: str | None = f"{_endpoint()}/api/models/{repository}/tree/{quote(revision, '')}?recursive=true"
    while address:
        try:
            with _opened(address, repository) as reply:
                rows, address = _json(reply, repository), _next_page(reply.headers.get("Link"))
        except BROKEN as error:
            raise _unreachable(error) from error
        for row in rows:
            if row.get("type") == "file":
                large = row.get("lfs") or {}
                yield _safe(row["path"]), int(row["size"]), large.get("oid"), None if large else row.get("oid")


def _json(reply: Any, repository: str) -> list[dict[str, Any]]:
    try:
        return json.load(reply)
    except ValueError as error:
        raise DownloadFailed(f"{_endpoint()} answered with no list of the files of {repository}: {error}") from error


def _next_page(link: str | None) -> str | None:
    """The address in `<...>; rel="next"`; only one on the same host is followed."""
    address, _, relation = (link or "").partition(">")
    address = address.strip().removeprefix("<")
    return address if 'rel="next"' in relation and address.startswith(f"{_endpoint()}/") else None


def _safe(path: str) -> str:
    """A path from a list of somebody else's. Raises DownloadFailed where it would lead out of the package's folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise DownloadFailed(f"the hub lists a file {path!r}, which is no plain path: nothing is fetched")
    return path


def left(package: Package, files: Sequence[File]) -> list[File]:
    """Those that are not here yet in the size that the hub lists."""
    return [file for file in files if not _has(package.folder / file.path, file.bytes)]


def _has(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


# Fetching

def fetch(package: Package, files: Sequence[File], progress: Progress) -> Path:
    """All files that are not here yet; the package's folder. Raises DownloadFailed, DiskFull."""
    wanted = left(package, files)
    done = sum(file.bytes for file in files) - sum(file.bytes for file in wanted)
    total = sum(file.bytes for file in files)
    try:
        package.folder.mkdir(parents=True, exist_ok=True)
        _write_receipt(package, files)
        for file in wanted:
            _fetch_file(package.folder, file, lambda arrived, file=file, before=done: progress(
                file.path, before + arrived, total))
            done += file.bytes
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the disk of {package.folder} is full: free some space, then run {package.command} again, "
                           "which goes on from here") from error
        raise
    return package.folder


def _write_receipt(package: Package, files: Sequence[File]) -> None:
    """What the download consists of, before its first byte: what is there and right is told by size and hash."""
    rows = {file.path: {"bytes": file.bytes, "hash": file.hash, "from": f"{file.repository}@{file.revision}"}
            for file in files}
    (package.folder / RECEIPT).write_text(json.dumps(rows, indent=1))


def damaged(package: Package, progress: Progress) -> list[str]:
    """Paths whose bytes are not those that were fetched, by the receipt's hashes. Reads everything.

    Files that came here by another way have no receipt; what is known of the released ones is compared then.
    """
    rows = receipt(package.folder) or _known(package)
    total, done, wrong = sum(row["bytes"] for row in rows.values()), 0, []
    for path, row in rows.items():
        if not _has(package.folder / path, row["bytes"]) or _digest(package.folder / path, row["hash"]) != row["hash"]:
            wrong.append(path)
        done += row["bytes"]
        progress(path, done, total)
    return wrong


def _known(package: Package) -> dict[str, dict[str, Any]]:
    """Rows of a receipt for the files whose hash is known beforehand, of the size that they have here."""
    return {path: {"bytes": (package.folder / path).stat().st_size, "hash": f"sha256:{digest}"}
            for path, digest in package.sha256 if (package.folder / path).is_file()}


def require_room(root: Path, packages: Sequence[tuple[Package, Sequence[File]]]) -> None:
    """Raises DiskFull, before the first byte, where the disk of a folder cannot hold what packages lack."""
    needed = sum(file.bytes - _arrived(one.folder, file) for one, files in packages for file in left(one, files))
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed and needed + SPARE > free:
        raise DiskFull(f"{in_bytes(needed)} are to be fetched and the disk of {there} has {in_bytes(free)} left: free "
                       "some space or set BEAMSCOPE_MODELS to a folder on a larger disk")


def _part(folder: Path, file: File) -> Path:
    path = folder / file.path
    return path.with_name(path.name + ".part")


def _arrived(folder: Path, file: File) -> int:
    part = _part(folder, file)
    return part.stat().st_size if part.exists() else 0


def _fetch_file(folder: Path, file: File, progress: Callable[[int], None]) -> None:
    """A file, from where it broke off; it gets its name when its hash is right."""
    part, idle = _part(folder, file), 0
    part.parent.mkdir(parents=True, exist_ok=True)
    while (before := _arrived(folder, file)) < file.bytes or not part.exists():
        try:
            _go_on(part, file, progress)
            problem: Exception | None = None
        except BROKEN as error:
            problem = error
        idle = 0 if _arrived(folder, file) > before else idle + 1
        if idle == ATTEMPTS:
            raise _unreachable(problem or f"it ends {file.path} at {before} of {file.bytes} bytes") from problem
        sleep(min(2.0 ** idle, 30.0) - 1)   # at once where something came
    _require_whole(part, file)
    os.replace(part, folder / file.path)


def _go_on(part: Path, file: File, progress: Callable[[int], None]) -> None:
    """Append what the server still has to give, or begin anew where it cannot begin in the middle."""
    start = part.stat().st_size if part.exists() else 0
    address = f"{_endpoint()}/{file.repository}/resolve/{quote(file.revision, '')}/{quote(file.path)}"
    with _opened(address, file.repository, start) as reply, open(part, "ab") as out:
        if start and reply.status != 206:
            out.truncate(0)
        arrived = out.tell() if reply.status == 206 else 0
        while chunk := reply.read(CHUNK):
            out.write(chunk)
            arrived += len(chunk)
            progress(arrived)
            if arrived > file.bytes:
                return


def _require_whole(part: Path, file: File) -> None:
    """Raises DownloadFailed, what arrived thrown away, where its bytes are not those that the hub lists."""
    found = _digest(part, file.hash)
    if found == file.hash:
        return
    part.unlink()
    raise DownloadFailed(f"{file.path} of {file.repository} did not arrive as the hub has it ({found[:19]}, expected "
                         f"{file.hash[:19]}) and was thrown away: run the command again to fetch it anew")


def _digest(path: Path, like: str) -> str:
    """Of the kind of `like`: sha256, or the name that git gives the contents."""
    kind = like.partition(":")[0]
    if kind == "sha256":
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with open(path, "rb") as data:
        while chunk := data.read(CHUNK):
            digest.update(chunk)
    return f"{kind}:{digest.hexdigest()}"


# Asking the hub

def _endpoint() -> str:
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if not endpoint.startswith(("https://", "http://")):
        raise BadRequest(f"HF_ENDPOINT is {endpoint!r}: it has to begin with https:// or http://")
    return endpoint


def _token() -> str | None:
    """The account's, where the hub's own tools keep it."""
    if token := os.environ.get("HF_TOKEN"):
        return token.strip()
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    try:
        return Path(os.environ.get("HF_TOKEN_PATH") or home / "token").read_text().strip() or None
    except OSError:
        return None


def _opened(address: str, repository: str, start: int = 0) -> Any:
    """The answer, from byte `start` on. Raises DownloadFailed where asking again is of no use."""
    request = Request(address, headers={"User-Agent": "beamscope"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    if token := _token():
        request.add_unredirected_header("Authorization", f"Bearer {token}")   # never to where the bytes are kept
    try:
        return urlopen(request, timeout=PATIENCE)
    except HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise _forbidden(repository, error.code, token is not None) from error
        if error.code < 500 and error.code not in (408, 429):
            raise DownloadFailed(f"{address} answered {error.code} {error.reason}: the repository {repository} may "
                                 "have been moved; set HF_ENDPOINT if another server has it") from error
        raise


def _forbidden(repository: str, code: int, known: bool) -> BeamscopeError:
    page = f"https://huggingface.co/{repository}"
    account = "the account of the token has not been let in" if known else "nobody is logged in"
    return DownloadFailed(
        f"{repository} is gated ({code}; {account}): agree to its terms at {page}, make a token that may read, and "
        "set HF_TOKEN to it; then run the command again")


def _unreachable(problem: Any) -> BeamscopeError:
    reason = getattr(problem, "reason", None) or problem or type(problem).__name__
    return DownloadFailed(f"{_endpoint()} cannot be reached ({reason}): what arrived is kept; run the command again "
                          "when the network is back, or set HF_ENDPOINT to a mirror")


class Bar:
    """Progress on stderr: redrawn on a terminal, a line for every tenth elsewhere."""

    def __init__(self) -> None:
        self.live, self.drawn = sys.stderr.isatty(), -1.0
        self.began, self.first, self.last = monotonic(), -1, 0

    def show(self, path: str, arrived: int, total: int) -> None:
        share = arrived / max(total, 1)
        if self.first < 0 or arrived < self.last:   # something else begins: checking is over, and writing is next
            self.began, self.first = monotonic(), arrived
        self.last = arrived
        step = 1000 if self.live else 10
        if int(share * step) / step == self.drawn:
            return
        self.drawn = int(share * step) / step
        speed = (arrived - self.first) / max(monotonic() - self.began, 1e-3)
        line = f"{share:4.0%}  {in_bytes(arrived)} of {in_bytes(total)}  {in_bytes(speed)}/s  {path}"
        print(f"\r{line}\033[K" if self.live else line, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live and self.drawn >= 0:
            print(file=sys.stderr)
