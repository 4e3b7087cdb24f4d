"""What a search costs, in every currency, and the ledger that stops it before it overspends.

Knows no model: prices come from the generator and the verifiers. FLOPs are whole numbers in floats, so sums
are exact up to 2**53.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.search.errors import BudgetExhausted


@dataclass(frozen=True)
class Cost:
    """An amount of compute. All fields add up; `flops` is the currency in which models are matched."""

    nfe: int = 0                  # one per step per candidate, as papers count
    tokens: int = 0               # per candidate, like nfe
    flops_generator: float = 0.0  # what was computed: siblings share one forward pass; guidance included
    flops_decoder: float = 0.0
    flops_verifier: float = 0.0
    flops_display: float = 0.0    # decoded or scored only to be looked at: shown, never matched
    flops_unshared: float = 0.0   # generator FLOPs had every candidate been computed from the bare prompt
    decodes: int = 0              # of images the search needed
    verifier_calls: int = 0       # images scored by the guide
    seconds: float = 0.0          # measured inside model calls

    @property
    def flops(self) -> float:
        """Total FLOPs: generator, decoder and guiding verifier."""
        return self.flops_generator + self.flops_decoder + self.flops_verifier

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, times: float) -> Cost:
        return Cost(*(value * times for value in vars(self).values()))

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
class Budget:
    flops: float | None = None  # FLOPs, not GFLOP; None: no limit


class Ledger:
    """The running sum of one search: charged before every model call, emptied into the events.

    `reported` is the sum of the costs that events carry; `pending` was spent since the last event.
    """

    def __init__(self, budget: Budget):
        self.budget = budget
        self.reported = Cost()
        self.pending = Cost()

    @property
    def spent(self) -> Cost:
        return self.reported + self.pending

    def charge(self, cost: Cost) -> None:
        """Book a cost about to be spent. Raises BudgetExhausted, and books nothing, if it does not fit."""
        limit = self.budget.flops
        if limit is not None and cost.flops and self.spent.flops + cost.flops > limit:
            raise BudgetExhausted(
                f"the next call costs {cost.flops / 1e9:.3g} GFLOP, but of the budget of "
                f"{limit / 1e9:.3g} GFLOP only {(limit - self.spent.flops) / 1e9:.3g} are left"
            )
        self.pending += cost

    def clock(self, seconds: float) -> None:
        self.pending += Cost(seconds=seconds)

    def report(self) -> Cost:
        """Hand over what was spent since the last report, for an event to carry."""
        cost, self.pending = self.pending, Cost()
        self.reported += cost
        return cost
