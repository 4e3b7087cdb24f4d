"""Single samples alone, before any search: python -m core.evaluation.headline.single [--samples N]

What the headline also tells, in minutes: strict, lenient and atoms by tag for both models, and what could not be read
or decided. Writes assets/results/single.json and .md.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.headline import plan as planning
from core.evaluation.headline.figures import Outcomes, singles
from core.evaluation.headline.make import loaded, write_single
from core.evaluation.headline.pages import single_page
from core.evaluation.headline.plan import Plan
from core.evaluation.headline.runs import pool_run
from core.evaluation.oracle.oracle import load_oracle
from core.evaluation.parts import Piece, bar, carried_out, part_file, weights_of
from core.evaluation.prompts import dev_rows
from core.evaluation.spritebench.rows import Row
from core.evaluation.spritebench.run import row_id
from core.generators.registry import GENERATORS, load_generator
from core.search.errors import BeamscopeError


def single(generators: Mapping[str, Any], rows: Sequence[Row], seeds: int, samples: int, workers: int) -> Outcomes:
    """Pools that no verifier has scored. Raises WeightsMissing without an oracle."""
    load_oracle()
    units = [(row, seed) for row in rows for seed in range(seeds)]
    parts = {name: part_file("headline", f"{name}-single", samples, repr(getattr(generator, "sampling", None)),
                             weights_of((name,))) for name, generator in generators.items()}  # fmt: skip
    work = [Piece(part, f"{row_id(row)} {seed}", pool_run, (name, row, seed, samples, ()))
            for name, part in parts.items() for row, seed in units]  # fmt: skip
    with bar("pools") as progress:
        results = iter(carried_out(work, workers, progress))
    pools = {name: {(row.id, seed): next(results) for row, seed in units} for name in generators}
    plan = Plan((), (), (), {}, dict.fromkeys(generators, samples), {})
    return Outcomes(plan, rows, seeds, pools, {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=4, help="of each prompt and seed (%(default)s)")
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args()
    try:
        generators, missing = loaded(planning.GENERATORS, GENERATORS, load_generator)
        rows = dev_rows(args.prompts)
        outcomes = single(generators, rows, args.seeds, args.samples, args.workers)
    except BeamscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = f"python -m core.evaluation.headline.single --samples {args.samples}"
    made = {"prompts": len(rows), "seeds": args.seeds, "missing": missing, "command": command}
    found = {"made": made, "single": singles(outcomes)}
    write_single(found)
    print(single_page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
