"""Choose how each generator samples: python -m core.evaluation.tune

Both generators get the same number of trials on the same development prompts; a trial's figure is the mean score of
single samples by the verifier that is named. Prints a table and writes assets/results/tune.json; the winners are
written into the generators' `Sampling` by hand, so that a reader sees them where they act.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from core.evaluation.prompts import dev_prompts
from core.evaluation.statistics import in_words, mean_interval
from core.generators import emoji_ar, emoji_flow
from core.generators.registry import load_generator
from core.training.sheets import single_samples
from core.verifiers.registry import load_verifier

FLAT = (1.0,) * 6
AR_TRIALS = [
    emoji_ar.Sampling(cfg=tuple(cfg * x for x in ramp), tau=tau)
    for cfg in (1.5, 2.5, 4.0)
    for ramp in (FLAT, (0.6, 0.7, 0.8, 1.0, 1.2, 1.4))
    for tau in ((1.0, 1.0, 0.9, 0.8, 0.7, 0.6), (0.7, 0.7, 0.6, 0.5, 0.4, 0.3))
]
FLOW_TRIALS = [
    emoji_flow.Sampling(steps=steps, cfg=cfg, shift=shift)
    for steps in (12, 20)
    for cfg in (1.5, 2.5, 4.0)
    for shift in (2.0, 4.0)
]


def trial(generator, verifier, prompts: list[str], count: int) -> dict[str, float]:
    """Mean score over prompts of `count` samples each, with its interval."""
    per_prompt = [verifier.score(prompt, single_samples(generator, prompt, count, seed=1)) for prompt in prompts]
    return mean_interval([sum(scores) / len(scores) for scores in per_prompt])


def with_sampling(generator, sampling):
    """The same model sampled otherwise."""
    if isinstance(generator, emoji_ar.EmojiAr):
        return emoji_ar.EmojiAr(generator.model, generator.tokenizer, sampling)
    return emoji_flow.EmojiFlow(generator.name, generator.model, generator.tokenizer, sampling)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--generators", nargs="*", default=["emoji-ar", "emoji-flow"])
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--verifier", default="image_reward")
    parser.add_argument("--eta", type=float, nargs="*", default=[0.3, 0.6], help="tried on the best flow sampling")
    args = parser.parse_args()
    verifier, prompts = load_verifier(args.verifier), dev_prompts(args.prompts, seed=2)
    out = Path("assets/results/tune.json")
    found = json.loads(out.read_text())["trials"] if out.exists() else {}
    for name in args.generators:
        trials = AR_TRIALS if name == "emoji-ar" else FLOW_TRIALS
        rows = [run(name, sampling, verifier, prompts, args.samples) for sampling in trials]
        if name == "emoji-flow":
            best = emoji_flow.Sampling(**max(rows, key=lambda row: row["score"]["mean"])["sampling"])
            rows += [run(name, replace(best, eta=eta), verifier, prompts, args.samples) for eta in args.eta]
        found[name] = sorted(rows, key=lambda row: -row["score"]["mean"])
    out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"verifier": args.verifier, "prompts": args.prompts, "samples": args.samples, "trials": found}
    out.write_text(json.dumps(facts, indent=1) + "\n")


def run(name: str, sampling, verifier, prompts: list[str], count: int) -> dict:
    score = trial(with_sampling(load_generator(name), sampling), verifier, prompts, count)
    print(f"{name} {in_words(score)} {sampling}", flush=True)
    return {"sampling": asdict(sampling), "score": score}


if __name__ == "__main__":
    main()
