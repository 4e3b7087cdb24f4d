"""Every sentence of the page that is not made from data, in one place."""

import json
import re

TITLE = "Beamscope"
SUBTITLE = "Live search trees over text-to-image generation"
PROMPT_LABEL = "What should the picture show?"
PROMPT_PLACEHOLDER = "What should the picture show?"
SEARCH = "Search"
STOP = "Stop"
EXAMPLES_LABEL = "Try:"

EXAMPLES = (
    "a red car to the left of a tree",
    "two cats below a crown",
    "a purple balloon above a yellow book",
    "four pink hearts on a blue background",
    "a striped hat and a dog",
)

FIRST_VISIT = (
    "Below, a recorded run: the model paints from coarse to fine; at every scale a verifier scores the candidates, "
    "the best are kept and the others pruned. Type a prompt to start your own."
)
EMPTY_PROMPT = "Type a prompt or pick an example."
PROMPT_TOO_LONG = "This prompt has {length} characters; at most {limit} are allowed. Shorten it."

NO_KNOWN_WORD = "The models know no word of this prompt."

MODEL = "Model"
STRATEGY = "Strategy"
VERIFIER = "Verifier that guides"
ADVANCED = "Advanced"
JUDGE = "Judge: chooses among the best"
NO_JUDGE = "none"
FINALISTS = "Finalists: the judge sees"
OFF = "off"
NOT_WITH_MODEL = "{name} (other models)"

STRATEGY_NAMES = {
    "random_search": "Random search",
    "beam_search": "Beam search",
    "greedy_tokens": "Greedy tokens",
    "adaptive_beam": "Adaptive beam",
    "diverse_beam": "Diverse beam",
    "resampling_search": "Resampling",
    "backtracking_search": "Backtracking",
    "zero_order": "Zero-order",
    "search_over_paths": "Search over paths",
    "fk_steering": "FK steering",
    "ar_then_flow": "Beam, then diffusion",
}
VERIFIER_NAMES = {
    "image_reward": "ImageReward",
    "judge": "Judge",
    "clip_score": "CLIPScore",
    "aesthetic": "Aesthetic",
}
ENSEMBLES = {"rank": "Mean rank", "zscore": "Mean z-score"}
OF_ALL = "{name} of all verifiers"
GENERATOR_NAMES = {
    "emoji-ar": "AR",
    "emoji-flow": "Diffusion",
    "emoji-flow-sde": "Diffusion SDE",
    "emoji-ar-flow": "AR + diffusion",
}
PARAMETERS = {  # "strategy.parameter" where the same name means something else
    "branch": "Branch: children of each",
    "closeness": "Closeness of the noises",
    "draws": "Draws: images of each",
    "every": "Every: steps to a choice",
    "gain": "Gain: steps won a round",
    "generations": "Generations: ancestor above",
    "jump": "Jump: steps back",
    "look": "Look: what the verifier judges",
    "n": "Images to choose from",
    "neighbours": "Neighbours: tried a round",
    "particles": "Particles: side by side",
    "paths": "Paths: kept every round",
    "per_ancestor": "Most of one ancestor",
    "potential": "Potential: what counts",
    "resampler": "Resampler: who draws copies",
    "rounds": "Rounds: moves allowed",
    "scales": "Scales: the beam decides",
    "start": "Start: steps to first choice",
    "stop": "Stop: at this score",
    "temper": "Temper: weight of the score",
    "threshold": "Threshold: good enough",
    "tolerance": "Tolerance: what looks alike",
    "visits": "Visits: nodes it may grow",
    "widen": "Widen: times more at first",
    "width": "Width: kept at every step",
}
LOOKS = {"preview": "preview, as it is (cheap)", "rollout": "rollout, finished (the paper)"}
LOOK_STEP = "ahead to step {step} ({label})"

BUDGET = "Budget, GFLOP"
SEED = "Seed: repeats a run"

BUSY = "The server has {count} searches waiting, which is its limit. Try again in a minute."
LOADING = "Loading the models; the first search starts when they are ready."
UNKNOWN_RUN = "There is no run with this id here. It may have been removed, or the link is incomplete."
NOT_YOURS = "Only the visitor who started this run can change it. Start one of your own with the same settings."
BAD_NODE = "This run has no such node."
BAD_REQUEST = "The page sent something this server does not understand. Reload the page."
UNEXPECTED = "Something went wrong at the server. The run and its steps so far are kept."
ALONE = "Nothing runs beside it: not one diffusion image is as cheap, or the model is of another world."
BELOW = "No choice was made here. What became of it, node {node}: {sentence}"
FROM_LINK = "The link brought these settings. Press Search to run them; the same settings and seed give the same run."
NOTHING_TO_SHARE = "Nothing of this run is there yet. Share it once its tree begins to grow."
UPLOAD_TOO_LARGE = "This file is too large: a run.zip has at most {limit} MB."
EMPTY_UPLOAD = "This file is empty. Drop a run.zip or a result picture that was saved from here."
WOULD_KEEP = "The verifier would have kept it."
WOULD_PRUNE = "The verifier would have pruned it."
WOULD_FALL = "It would have been pruned with {cases}."
WITH_FEWER = "only {width} kept"
WITH_VERIFIER = "{verifier} as verifier (rank {rank})"
ABOVE = "{by:.3f} above the best that was pruned ({cut:.3f})."
SHORT = "Short by {by:.3f} of the last that was kept ({cut:.3f})."
TOSS_UP = " A toss-up: until the next choice a score here changes by about {noise:.3f} anyway."
FINISHED_NODE = "It is finished: nothing can be grown from it. Choose a node above it in the tree."
INTERRUPTED = "The server stopped before this run was over. Its finished steps are kept."

# What the page's scripts say, by area; they import it as /page/strings.js.
JS: dict[str, dict[str, str]] = {
    "api": {
        "unreachable": "The server did not answer. Check the connection and try again.",
        "unexpected": UNEXPECTED,
    },
    "stage": {
        "idle": "No run yet: type a prompt and press Search.",
        "unfinished": "no finished image yet",
        "lost": "Connection lost. Every finished step is kept at the server; trying again …",
        "undrawable": "The drawing library did not load: reload the page.",
        "tree": "Search tree",
        "chart": "Any-time chart",
        "compare": "Best images",
    },
    "states": {
        "idle": "no run yet", "waiting": "waiting", "starting": "starting", "running": "searching", "done": "done",
        "beside": "done, diffusion goes on", "budget": "done, budget used", "cancelled": "stopped",
        "failed": "failed", "interrupted": "interrupted", "replaying": "replaying",
    },
    "player": {"play": "Replay", "pause": "Pause", "slider": "Step of the run"},
    "tree": {"help": "Search tree. Arrow keys move from node to node, Enter opens the inspector."},
    "legend": {
        "best": "best path", "kept": "kept", "pruned": "pruned", "back": "back into noise", "score": "score",
        "zoom": "drag to zoom, double-click for all",
    },
    "chart": {
        "title": "Score against compute", "label": "Best score so far against total compute",
        "first": "search", "second": "beside it",
    },
    "compare": {"both": "Best image of each", "one": "Best image"},
    "inspector": {
        "title": "Node inspector",
        "close": "Close the inspector",
        "path": "Path from the prompt",
        "empty": "Click any node, even a faded one",
        "hint": "Or give the tree the focus and use the arrow keys. You will see the picture at that step, what every "
                "verifier says of it, what it cost and why it was kept or pruned.",
    },
}  # fmt: skip


def script() -> str:
    """`JS` as a module for the browser."""
    return f"export const strings = {json.dumps(JS, ensure_ascii=False, indent=1)};\n"


def name_of(table: dict[str, str], key: str) -> str:
    """The name shown for a registered key; the key itself where none was written."""
    return table.get(key, key.replace("_", " "))


def parameter_name(strategy: str, parameter: str) -> str:
    """The label of one parameter of one strategy."""
    name = PARAMETERS.get(f"{strategy}.{parameter}") or name_of(PARAMETERS, parameter)
    return name[:1].upper() + name[1:]


def guide_name(guide: str, whole: bool = True) -> str:
    """The name shown for a verifier or an ensemble, with its members if `whole`."""
    rule, colon, members = guide.partition(":")
    if not colon:
        return name_of(VERIFIER_NAMES, guide)
    name = name_of(ENSEMBLES, rule)
    return f"{name} of {', '.join(name_of(VERIFIER_NAMES, one) for one in members.split('+'))}" if whole else name


def regret(value: float) -> str:
    """What a resumed run's score minus that of the earlier result says."""
    if abs(value) < 5e-4:
        return "as good as its result"
    return f"{abs(value):.3f} {'above' if value > 0 else 'below'} its result"


def said(sentence: str) -> str:
    """A sentence made outside the page, with the names shown for the registered keys of strategies and guides."""
    names = STRATEGY_NAMES | VERIFIER_NAMES
    whole = re.sub(rf"\b({'|'.join(ENSEMBLES)}):[\w+-]+", lambda found: guide_name(found[0]), sentence)
    return re.sub(r"\b(" + "|".join(names) + r")\b", lambda found: names[found[0]], whole)


def sentence(text: str) -> str:
    """What an error says, as a sentence of the page."""
    text = said(text)
    return text[:1].upper() + text[1:]
