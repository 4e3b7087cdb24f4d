"""What a search costs, in every currency, and the ledger that stops it before it overspends.

Knows no model: prices come from the generator and the verifiers. FLOPs are whole numbers in floats, so sums
are exact up to 2**53.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

from core.search.errors import BadRequest, BudgetExhausted

GIGA = 1e9


@dataclass(frozen=True)
class Cost:
    """An amount of compute. Fields add up but for `peak_bytes`; `flops` is the currency in which models are matched."""

    nfe: int = 0                  # steps taken, one per candidate
    nfe_paper: int = 0            # as papers count: every rollout in full, also what an earlier one had computed
    tokens: int = 0               # per candidate, like nfe
    flops_generator: float = 0.0  # what was computed: equal prefixes share one pass; guidance included
    flops_decoder: float = 0.0
    flops_verifier: float = 0.0
    flops_display: float = 0.0    # decoded or scored only to be looked at: shown, never matched
    flops_unshared: float = 0.0   # generator FLOPs had every candidate been computed from the bare prompt
    decodes: int = 0              # of images the search needed
    images: int = 0               # finished images among them that the guide judged
    verifier_calls: int = 0       # images that verifiers who guide or judge scored
    cache_hits: int = 0           # scores found by the image's hash and not computed again
    seconds: float = 0.0          # measured inside model calls
    peak_bytes: int = 0           # most memory at once: weights, live states and one batch; the larger of two costs

    @property
    def flops(self) -> float:
        """Total FLOPs: generator, decoder and the verifiers that guide or judge."""
        return self.flops_generator + self.flops_decoder + self.flops_verifier

    def __add__(self, other: Cost) -> Cost:
        sums = {name: a + b for (name, a), b in zip(vars(self).items(), vars(other).values(), strict=True)}
        return Cost(**sums | {"peak_bytes": max(self.peak_bytes, other.peak_bytes)})

    def __mul__(self, times: float) -> Cost:
        return replace(Cost(*(value * times for value in vars(self).values())), peak_bytes=self.peak_bytes)

    __rmul__ = __mul__

    def for_display(self) -> Cost:
        """The same computation when it is made only to be looked at."""
        return Cost(flops_display=self.flops, seconds=self.seconds)

    def to_json(self) -> dict:
        return {name: value for name, value in vars(self).items() if value}

    @classmethod
    def from_json(cls, data: dict) -> Cost:
        return cls(**data)


@dataclass(frozen=True)
class Unit:
    """A currency that a budget can be given in."""

    suffix: str       # as a person writes it behind the number
    scale: float      # of the number written to the number kept
    digits: str       # format of the number written


UNITS = {
    "flops": Unit("GFLOP", GIGA, ".3g"), "nfe": Unit("NFE", 1, ".0f"),
    "seconds": Unit("s", 1, ".3g"), "images": Unit("images", 1, ".0f"),
}


@dataclass(frozen=True)
class Budget:
    """The most that a run may spend, in any of the currencies; None: no limit. Looking is never limited."""

    flops: float | None = None    # FLOPs, not GFLOP
    nfe: int | None = None
    seconds: float | None = None  # of wall time, thawing and looking included
    images: int | None = None     # finished images judged by the guide

    @classmethod
    def parse(cls, text: str) -> Budget:
        """A budget as people write it: "250" or "250gflop", "1365nfe", "10s", "64images". Raises BadRequest."""
        number, suffix = re.fullmatch(r"\s*([\d.]*)\s*(.*?)\s*", text.lower(), re.ASCII | re.DOTALL).groups()
        wanted = (suffix or "gflop").rstrip("s")   # "images" as "image"
        found = [name for name, unit in UNITS.items() if unit.suffix.lower().rstrip("s") == wanted]
        value = float(number) if re.fullmatch(r"\d+\.?\d*|\.\d+", number, re.ASCII) else 0.0
        if not found or not 0 < value < math.inf:
            raise BadRequest(
                f"a budget of {text!r} is impossible: write a positive number of GFLOP (250), forward passes "
                "(1365nfe), seconds (10s) or finished images (64images)"
            )
        return cls(**{found[0]: value * UNITS[found[0]].scale})

    @property
    def limits(self) -> dict[str, float]:
        """The currencies that are limited, with their limits."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def allows(self, cost: Cost) -> bool:
        return all(getattr(cost, name) <= limit for name, limit in self.limits.items())

    def __str__(self) -> str:
        return " and ".join(amount(name, value) for name, value in self.limits.items())


def amount(currency: str, value: float) -> str:
    """"250 GFLOP", "1365 NFE", "10 s", "64 images"."""
    unit = UNITS[currency]
    return f"{value / unit.scale:{unit.digits}} {unit.suffix}"


@dataclass
class Ledger:
    """The running sum of one search: charged before every model call, emptied into the events.

    `reported` is the sum of the costs that events carry; `pending` was spent since the last event; `reserved` is kept
    back for what the run owes at its end.
    """

    budget: Budget
    reserved: Cost = Cost()
    reported: Cost = field(default=Cost(), init=False)
    pending: Cost = field(default=Cost(), init=False)

    @property
    def spent(self) -> Cost:
        return self.reported + self.pending

    def charge(self, cost: Cost, elapsed: float = 0.0) -> None:
        """Book a cost about to be spent, `elapsed` seconds into the run.

        Raises BudgetExhausted, and books nothing, if it does not fit. What is only looked at always fits.
        """
        if cost.flops or cost.nfe:
            self._require(cost, elapsed)
        self.pending += cost

    def _require(self, cost: Cost, elapsed: float) -> None:
        spent = replace(self.spent + self.reserved, seconds=elapsed)
        for currency, limit in self.budget.limits.items():
            have, price = getattr(spent, currency), getattr(cost, currency)
            if have + price > limit:
                raise BudgetExhausted(
                    f"the next call costs {amount(currency, price)}, but of the budget of {amount(currency, limit)} "
                    f"only {amount(currency, max(0.0, limit - have))} are left"
                )

    def forgive(self, lost: Cost) -> None:
        """Let the budget not count what was spent for nothing; time is up when it is up."""
        limits = self.budget.limits
        raised = {name: limit + getattr(lost, name) for name, limit in limits.items() if name != "seconds"}
        self.budget = replace(self.budget, **raised)

    def clock(self, seconds: float) -> None:
        self.pending += Cost(seconds=seconds)

    def note_bytes(self, peak: int) -> None:
        self.pending += Cost(peak_bytes=peak)

    def report(self) -> Cost:
        """Hand over what was spent since the last report, for an event to carry."""
        cost, self.pending = self.pending, Cost()
        self.reported += cost
        return cost
