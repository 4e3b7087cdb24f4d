"""Every sentence of the page that is not made from data, in one place."""

import re

TITLE = "Beamscope"
SUBTITLE = "Live search trees over text-to-image generation"
PROMPT_LABEL = "What should the picture show?"
PROMPT_PLACEHOLDER = "What should the picture show?"
SEARCH = "Search"
STOP = "Stop"
EXAMPLES_LABEL = "Try:"

EXAMPLES = (
    "a red car to the left of a green apple",
    "two yellow stars above a house",
    "a blue balloon and a purple gift",
    "two pink hearts on a blue background",
    "a cat below a red crown",
)

FIRST_VISIT = (
    "Below, a recorded run: the model paints from coarse to fine; at every scale a verifier scores the candidates, "
    "the best are kept and the others pruned. Type a prompt to start your own."
)
EMPTY_PROMPT = "Type a prompt or pick an example."
PROMPT_TOO_LONG = "This prompt has {length} characters; at most {limit} are allowed. Shorten it."

NO_KNOWN_WORD = "The models know no word of this prompt."

STRATEGY_NAMES = {
    "random_search": "Random search",
    "greedy_tokens": "Greedy tokens",
    "beam_search": "Beam search",
}
VERIFIER_NAMES = {
    "image_reward": "ImageReward",
    "clip_score": "CLIPScore",
    "aesthetic": "Aesthetic",
}
GENERATOR_NAMES = {
    "emoji-ar": "AR",
    "emoji-flow": "Diffusion",
    "emoji-flow-sde": "Diffusion SDE",
}
STRATEGY_SHORT = {"random_search": "Random", "greedy_tokens": "Greedy", "beam_search": "Beam"}
PARAMETERS = {
    "width": "Width: kept at every scale",
    "branch": "Branch: children of each",
    "n": "Images to choose from",
    "look": "Look: what the verifier judges",
}
LOOKS = {"preview": "preview, as it is (cheap)", "rollout": "rollout, finished (the paper)"}
LOOK_SCALE = "ahead to scale {step} ({label})"

BUDGET = "Budget, GFLOP"
SEED = "Seed: the same gives the same run"

BUSY = "The server has {count} searches waiting, which is its limit. Try again in a minute."
LOADING = "Loading the models; the first search starts when they are ready."
UNKNOWN_RUN = "There is no run with this id here. It may have been removed, or the link is incomplete."
BAD_NODE = "This run has no such node."
BAD_REQUEST = "The page sent something this server does not understand. Reload the page."
UNEXPECTED = "Something went wrong at the server. The run and its steps so far are kept."
INTERRUPTED = "The server stopped before this run was over. Its finished steps are kept."


def name_of(table: dict[str, str], key: str) -> str:
    """The name shown for a registered key; the key itself where none was written."""
    return table.get(key, key.replace("_", " "))


def said(sentence: str) -> str:
    """A sentence made outside the page, with the names shown for the registered keys of strategies and verifiers."""
    names = STRATEGY_NAMES | VERIFIER_NAMES
    return re.sub(r"\b(" + "|".join(names) + r")\b", lambda found: names[found[0]], sentence)
