"""What the parts of the web server share: the models, the runs that can be shown, who makes new ones, who is asking."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.store.runs import RunStore
from demo.decoding import Decoder
from demo.family import Kin
from demo.models import Models
from demo.runner import Runner
from demo.streaming import Library
from demo.visitors import Visitors


@dataclass(frozen=True)
class Context:
    models: Models
    store: RunStore      # where new runs go
    library: Library     # everything that can be shown, the store's runs first
    runner: Runner
    visitors: Visitors
    kin: Kin             # which of them go on from which
    decoder: Decoder     # pictures on demand


def make_context(
    models: Models, store: RunStore, recorded: Sequence[Path] = (), visitors: Visitors | None = None
) -> Context:
    """`recorded`: folders of runs that are shown and never written. The runner's thread is running."""
    library = Library([store, *(RunStore(path, read_only=True) for path in recorded if path.is_dir())])
    return Context(models, store, library, Runner(store, models), visitors or Visitors(), Kin(library.stores),
                   Decoder(library, models))
