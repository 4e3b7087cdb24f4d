"""What the lessons say: of each its title, and its scenes as (title, sentences).

What stands in braces comes from the recorded runs.
"""

LESSONS = {
    "scales": ("From tokens to a picture", (
        ("Words only",
         "The model starts with the prompt and an empty canvas. The circle on the left is that start: no decision "
         "has been taken."),
        ("One token",
         "The first decision is a grid of {scale}: one token for the whole picture. It sets little more than the "
         "colour of the ground, and everything after it builds on it."),
        ("Nine tokens",
         "At {scale} there is a layout: where something is, and roughly its colour. No object can be named with "
         "certainty yet, but much of what the picture will be is already settled."),
        ("A picture",
         "At {scale} the last details are decided. Each grid was added to the ones before: nothing is ever taken "
         "back, so an early mistake stays. That is why it pays to search while the picture is made."),
    )),
    "best_of_n": ("Best of n", (
        ("{n} tries",
         "The simplest search: draw {n} pictures that know nothing of each other. Every row of the tree is one of "
         "them, from its first token on."),
        ("Some fail",
         "A verifier scores the finished pictures. This one got {worst}, the lowest of all. Nothing that was "
         "learned from it helped the others."),
        ("Keep the best",
         "The best got {best}, and it is the result. More tries help, but slowly: compute is spent on finishing "
         "pictures that were lost early."),
    )),
    "greedy": ("The greedy trap", (
        ("Only the first survives",
         "A greedy search tries a few candidates at every scale and keeps only the one whose blurred preview "
         "scores best. It is cheap, and it never looks back."),
        ("Thrown away",
         "At {scale} this candidate was ranked {rank} of {of}, so it was pruned. A preview this coarse says little "
         "about the finished picture."),
        ("Where greed led",
         "The candidate that looked best at first ended at {greedy}."),
        ("Where it could have led",
         "The same search, gone on from the pruned candidate, ends at {again}: pruning it cost {regret}. You can "
         "do this with any node: open it on Explore and resume from it."),
    )),
    "beam": ("Beam search", (
        ("Keep a few",
         "A beam keeps the {width} best candidates of every scale instead of one, and grows all of them. The "
         "others are pruned: they fade, but they stay in the tree."),
        ("Not the favourite",
         "This candidate was ranked {rank} at {scale}. A greedy search would have thrown it away; the beam had "
         "room for it."),
        ("It won",
         "The best picture grew from it and got {beam}."),
        ("Beside greed",
         "The greedy search with the same prompt and seed got {greedy}. A beam costs more, so compare at equal "
         "compute before you call it better: that is lesson 6."),
    )),
    "verifiers": ("Verifiers disagree", (
        ("ImageReward picks",
         "The same {n} pictures, guided by ImageReward, which reads the prompt. Its choice got {reward} by "
         "ImageReward and {looks} by Aesthetic."),
        ("Aesthetic picks",
         "Aesthetic sees only looks, not the prompt. Of the same {n} pictures it chose another one: {other_looks} "
         "by its own marks, but only {other_reward} by ImageReward."),
        ("Who is right?",
         "Here is ImageReward's choice in the tree of Aesthetic, pruned. A search finds what its verifier likes, "
         "weak spots included, and the harder it searches the more so. Judge a search by a verifier that did not "
         "guide it."),
    )),
    "matched": ("Matched compute", (
        ("Two models, one budget",
         "On the left a beam search over the next-scale model. Beside it, best-of-{n} on a diffusion model. Both "
         "may spend the same total FLOPs, {gflop} GFLOP here, the verifier's included."),
        ("Read the curves",
         "The chart shows the best score so far against what it cost: {first} and {second} in the end. The higher "
         "curve at your budget is the better buy there. This is one prompt and one seed: an anecdote. Repeat it "
         "with eight seeds on Explore before you believe it."),
    )),
}  # fmt: skip
