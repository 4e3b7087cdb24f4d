"""Which runs make room: the least recently used ones, until the rest fits under a cap.

A run is used when it is written (its log changes) or read (its meta file is touched). Runs that are compared go
together. A run goes for readers all at once: its folder is renamed, then removed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.store.writer import LOG, META, fcntl, put

SILENCE = 60.0      # seconds without a write: where there are no locks, the writer is gone
OURS = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")   # folders that RunStore.create makes
PINNED, BYTES = "pinned", "bytes"               # files of a run: a mark; its size, once that is final
GONE = ".gone-"     # prefix of a folder that is being removed


@dataclass(frozen=True)
class Group:
    """Runs that go together."""

    runs: tuple[str, ...]   # one that names another goes before it
    used: float             # seconds since 1970
    safe: bool              # one of them is pinned or being written


def prune(root: Path, runs: Iterable[str], cap_bytes: float, keep: Collection[str | None] = ()) -> list[str]:
    """Drop groups of runs, the least recently used first, until the rest fits; the runs dropped.

    Call it inside `alone`, and `sweep` after it. keep: runs that stay as if they were pinned.
    """
    sizes = {run: _measured(root / run) for run in runs}
    total, dropped = sum(sizes.values()), []
    groups = sorted(_groups(root, sizes), key=lambda group: (group.used, min(group.runs))) if total > cap_bytes else []
    for group in groups:
        if total > cap_bytes and not group.safe and not set(keep) & set(group.runs):
            with suppress(OSError):   # a run that cannot be moved stays
                for run in group.runs:
                    _drop(root / run)
                    dropped.append(run)
                    total -= sizes[run]
    return dropped


def sweep(root: Path) -> None:
    """Remove what was dropped, and what a process left that died while it made a run."""
    for name in os.listdir(root):
        with suppress(OSError):
            if OURS.fullmatch(name) and _is_left(root / name):
                _drop(root / name)
    for folder in root.glob(f"{GONE}*"):
        shutil.rmtree(folder, ignore_errors=True)   # another process may be at it too


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """One at a time among all processes, so that no run is dropped while it is being pinned."""
    if not fcntl:
        yield
        return
    door = os.open(root, os.O_RDONLY)
    try:
        with suppress(OSError):   # some network file systems do not lock folders
            fcntl.flock(door, fcntl.LOCK_EX)
        yield
    finally:
        os.close(door)


def together(beside: Mapping[str, str | None]) -> list[frozenset[str]]:
    """The runs, those that are compared in one set, also by way of others."""
    sets = {run: {run} for run in beside}
    for run, other in beside.items():
        if other in sets:
            union = sets[run] | sets[other]
            sets.update(dict.fromkeys(union, union))
    return list({frozenset(runs) for runs in sets.values()})


def has_writer(log: str | Path) -> bool:
    if not fcntl:
        return _age(log) < SILENCE
    with open(log, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def size_of(folder: Path) -> int:
    """Bytes in the run's files, the note of it aside."""
    noted = _noted_size(folder)
    if noted is not None:
        return noted
    return sum(_file_sizes(folder)) + sum(_file_sizes(folder / "previews"))


def touch(folder: Path) -> None:
    """Note that a run was used. Costs a look at one file; that it cannot be noted is no reason not to read."""
    with suppress(OSError):
        if _age(folder / META) > 1:
            os.utime(folder / META)


def _groups(root: Path, runs: Iterable[str]) -> Iterator[Group]:
    beside = {run: _beside(root / run / META) for run in runs}
    for names in together(beside):
        with suppress(OSError):   # somebody else removed one, or it is not ours to read
            yield _group(root, sorted(names, key=lambda run: beside[run] is None))


def _group(root: Path, runs: Sequence[str]) -> Group:
    folders = [os.path.join(root, run, "") for run in runs]   # text: this is done for thousands of runs
    return Group(
        runs=tuple(runs),
        used=max(os.stat(folder + name).st_mtime for folder in folders for name in (META, LOG)),
        safe=any(os.path.exists(folder + PINNED) or has_writer(folder + LOG) for folder in folders),
    )


def _beside(meta: Path) -> str | None:
    with suppress(OSError, ValueError, AttributeError):
        other = json.loads(meta.read_bytes()).get("beside")
        return other if isinstance(other, str) else None
    return None


def _measured(folder: Path) -> int:
    """Its size, noted once it is final, so that it need not be measured again."""
    noted = _noted_size(folder)
    with suppress(OSError):
        if noted is None and not has_writer(folder / LOG):
            noted = size_of(folder)   # after its writer went
            put(folder, BYTES, b"%d" % noted)
    return size_of(folder) if noted is None else noted


def _noted_size(folder: Path) -> int | None:
    try:
        with open(os.path.join(folder, BYTES), "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _is_left(folder: Path) -> bool:
    """It is no run, and nobody is making one of it."""
    if (folder / META).exists() or _age(folder) < SILENCE:
        return False
    return not (folder / LOG).exists() or not has_writer(folder / LOG)


def _file_sizes(folder: Path) -> Iterator[int]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (entry.stat().st_size for entry in entries if entry.is_file())


def drop(root: Path, runs: Iterable[str]) -> None:
    """Take runs away from readers; `sweep` removes them. Call it inside `alone`."""
    for run in runs:
        _drop(root / run)


def _drop(folder: Path) -> None:
    os.rename(folder, folder.with_name(GONE + folder.name))


def _age(path: str | Path) -> float:
    return time.time() - os.stat(path).st_mtime
