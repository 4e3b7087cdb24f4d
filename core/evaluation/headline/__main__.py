"""The headline: strict score against total GFLOP, search by search: python -m core.evaluation.headline [--hours H]

Random search on both models from pools of samples; greedy, beam search by previews and by rollouts, zero order and
search over paths run for real; chosen by image_reward, by judge and by clip_score; strict by the oracle. What is
compared was written down before (plan.py). Says first how long it will take; with --hours it does as many prompts of
every tag as there is time for, and may be called again for more: what is done is kept. --hours 0 does nothing and
reports on the prompts that are done. Writes assets/results/headline.json, .md and .svg, and single.json and .md.
"""

import argparse
import sys

from core.evaluation.headline import plan as planning
from core.evaluation.headline.make import figures, headline, loaded, write
from core.evaluation.headline.pages import headline_page
from core.evaluation.headline.runs import held_out_b
from core.evaluation.prompts import dev_rows
from core.evaluation.spritebench.rows import FOLDER, read_rows
from core.generators.registry import GENERATORS, load_generator
from core.search.errors import BadRequest, BeamscopeError
from core.verifiers.registry import VERIFIERS, load_verifier


def main() -> int:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=300, help="of SpriteBench dev, tags taking turns (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="root seeds 0 to N - 1 (%(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="processes of one thread each (%(default)s)")
    parser.add_argument("--hours", type=float, help="as many prompts of every tag as fit (all)")
    parser.add_argument("--gflop", type=float, nargs="+", default=planning.BUDGETS, help="budgets (%(default)s)")
    parser.add_argument("--verifiers", nargs="+", default=planning.VERIFIERS, help="(%(default)s)")
    parser.add_argument("--forecast", action="store_true", help="only say how long it will take")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        generators, no_generators = loaded(planning.GENERATORS, GENERATORS, load_generator)
        verifiers, no_verifiers = loaded(args.verifiers, VERIFIERS, load_verifier)
        missing = no_generators + no_verifiers + ([] if held_out_b() else ["held_out_b (no column B z)"])
        if not generators or not verifiers:
            raise BadRequest("without a generator and a verifier there is nothing to compare: train them first")
        rows = dev_rows(args.prompts)
        asked = (args.seeds, args.gflop, args.hours, args.workers, args.forecast)
        outcomes = headline(generators, verifiers, rows, *asked)
    except BeamscopeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if outcomes is not None:
        command = "python -m core.evaluation.headline"
        of = len(read_rows(FOLDER / "dev.jsonl"))
        hours = args.hours if len(outcomes.rows) < len(rows) else None
        found = figures(outcomes, {"of": of, "missing": missing, "hours": hours, "command": command})
        write(found, outcomes)
        print(headline_page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
