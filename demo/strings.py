"""Every sentence of the page that is not made from data; those of scripts and lessons stand in files of their own."""

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
    "two penguins below a red umbrella and a yellow star",
    "a purple balloon above a yellow book",
    "four pink hearts on a blue background",
    "a striped hat and a dog",
)

FIRST_VISIT = (
    "Below, a recorded run: the model paints from coarse to fine; at every scale a verifier scores the candidates, "
    "the best are kept and the others pruned."
)
EMPTY_PROMPT = "Type a prompt or pick one."
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
PRESETS = {"quick": "Quick", "standard": "Standard", "deep": "Deep"}
ROLL = "⚄"
LOCK = "keep"
CHANGED = "settings changed"
CHOOSER = "You choose the survivors"
CHOOSER_HELP = "The search waits at every choice until you have picked who goes on."
BESIDE = "Beside it, at equal compute"
NO_BASELINE = "nothing"
BEST_OF_N = "best of n"
PRIVATE = "Private"
PRIVATE_HELP = "Only this browser can open the run; usually whoever has its link can."
VERIFIER_COST = "{gflop} GFLOP a look, {share} of what painting an image takes."
NOT_WITH_MODEL = "{name} (other models)"
NOT_READY = "{name} · {why}"  # page.css greys what has the dot

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
    "image_reward-1.0": "ImageReward 1.0",
    "clip_score-l14": "CLIPScore L/14",
    "aesthetic-laion": "LAION Aesthetic",
    "pickscore": "PickScore",
    "vlm_judge": "VLM judge",
    "vlm_judge-7b": "VLM judge 7B",
}
ENSEMBLES = {"rank": "Mean rank", "zscore": "Mean z-score"}
OF_ALL = "{name} of all verifiers"
GENERATOR_NAMES = {
    "emoji-ar": "AR",
    "emoji-flow": "Diffusion",
    "emoji-flow-sde": "Diffusion SDE",
    "emoji-ar-flow": "AR + diffusion",
    "infinity-125m": "Infinity 125M",
    "infinity-2b": "Infinity 2B",
    "infinity-8b": "Infinity 8B",
    "infinity-8b-512": "Infinity 8B, 512 px",
    "flux-schnell": "FLUX.1 schnell",
    "flux-schnell-sde": "FLUX.1 schnell SDE",
    "flux-dev": "FLUX.1 dev",
    "flux-dev-sde": "FLUX.1 dev SDE",
    "sdxl": "SDXL",
    "sdxl-sde": "SDXL SDE",
    "sd35-medium": "SD 3.5 medium",
    "sd35-medium-sde": "SD 3.5 medium SDE",
    "z-image-turbo": "Z-Image-Turbo",
    "z-image-turbo-sde": "Z-Image-Turbo SDE",
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
SEED = "Seed"

BUSY = "The server has {count} searches waiting, which is its limit. Try again in a minute."
STILL_LOADING = "The models are still being loaded. Try again in a minute."
LOADING = "The models are being loaded; what a search costs is known then."
GONE = "The run of this link is not on this server any more. Its settings are here: press Search to run it again."
UNKNOWN_RUN = "There is no run with this id here. It may have been removed, or the link is incomplete."
TOO_MANY = "You have {count} searches going on or waiting here, which is the limit. Stop one, or wait for one to end."
TOO_SOON = "You start searches faster than this server can share its models. The next one can begin in {seconds} s."
STRANGE_SETTING = "There is no setting {name} here. With this strategy there are: {allowed}."
BAD_PRIVATE = "private is true or false."
PASSWORD_NEEDED = "This server asks for a password; any user name will do."
PASSWORD_TRIES = "Too many wrong passwords came from this address. Wait a minute, then try again."
BODY_TOO_LARGE = "What was sent is too large: at most {most} are taken here."
NO_PERSON_ON_GPU = "With this model a search is one call of a GPU that is lent: nobody can choose meanwhile."
GPU_TOO_LONG = (
    "This search would take about {seconds} s of the GPU, which is lent for at most {most} s. Lower the budget."
)
GPU_FAILED = "The GPU did not finish this search: {error}"
NOT_RUNNING = "This run is over or is not computed here: there is nothing to pause, step, stop or choose."
BAD_ACTION = "{action} is not possible: a run can be told to {allowed}."
NOT_YOURS = "Only the visitor who started this run can change it. Start one of your own with the same settings."
BAD_NODE = "This run has no such node."
BAD_REQUEST = "The page sent something this server does not understand. Reload the page."
UNEXPECTED = "Something went wrong at the server. The run and its steps so far are kept."
ALONE = "Nothing runs beside it: not one diffusion image is as cheap, or the model is of another world."
BELOW = "No choice was made here. What became of it, node {node}: {sentence}"
NOT_RETRIED = "Memory sufficed for this run, or it cannot be made smaller: start a new one with other settings."
PICTURELESS = "This run was opened from its log alone, so its pictures are grey. A run.zip holds them too."
SILENT = "{names} failed during this run: what it had not seen stays unscored. The search itself was not affected."
RETRY = "Retry with {name} {value}"
NOTHING_TO_SHARE = "Nothing of this run is there yet. Share it once its tree begins to grow."
FILMS_WAIT = "Several films are being made already. Try again in half a minute."
UPLOAD_TOO_LARGE = "This file is too large: a run.zip has at most {limit} MB."
EMPTY_UPLOAD = "This file is empty. Drop a run.zip or a result picture that was saved from here."
WOULD_KEEP = "The verifier would have kept it."
WOULD_PRUNE = "The verifier would have pruned it."
WOULD_FALL = "It would have been pruned with {cases}."
WITH_FEWER = "only {width} kept"
WITH_VERIFIER = "{verifier} as verifier (rank {rank})"
ABOVE = "{by:.3f} above the best that was pruned ({cut:.3f})."
SHORT = "Short by {by:.3f} of the last that was kept ({cut:.3f})."
TOSS_UP = "Until the next choice a score here changes by about {noise:.3f} anyway."
EARLIER_RUN = "Earlier run · {label}"
ONE_SEED = " One node, one seed."
REGRET_RIGHT = "Final {final:.3f} against the winner's {winner:.3f}: {what} was right ({value:+.3f})."
REGRET_LOSS = "Final {final:.3f} against the winner's {winner:.3f}: {what} was a loss ({value:+.3f})."
REGRET_EVEN = "Final {final:.3f} against the winner's {winner:.3f}: too close to tell whether {what} was right."
NOTHING_YET = "Nothing of this run is there yet. Wait until its tree begins to grow."
BAD_BUDGET = "A budget of {value} GFLOP is not possible: it is a number above 0, and at most {most:g}."
NO_MODEL = "The model that painted this run, {name}, is not here: nothing of it can be decoded."
NOTHING_TO_DECODE = "This node has a picture, or is the prompt: there is nothing to decode."
DECODES_WAIT = "Several pictures are being decoded. Try again in a moment."
DECODED = "{gflop:.3g} GFLOP, for display: no part of the matched compute"
FINISHED_NODE = "It is finished: nothing can be grown from it. Choose a node above it in the tree."
INTERRUPTED = "The server stopped before this run was over. Its finished steps are kept."

BAD_SEEDS = "A comparison is repeated with 2 to {most} seeds, and {count} was asked for."
NOT_REPEATED = ("Only a comparison that is over, in which the verifier chose from the prompt on, can be repeated with "
                "other seeds.")
SERIES = ("Over {count} seeds: {first} {a:.3f}, {second} {b:.3f} on average; the first is ahead in {wins} of {count}, "
          "by {mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f}). {told}")
CLEARLY = "{name} is ahead on this prompt; other prompts may differ."
UNCLEAR = "That does not tell them apart."

# The pages beside Explore

PAGES = {"explore": "Explore", "gallery": "Gallery", "compare": "Compare", "learn": "Learn", "about": "About"}
NAVIGATION = "Pages"
SKIP = "Skip to the content"
THEME = "Switch between light and dark"
LOADING_PAGE = "Loading …"
NO_SCRIPT = "This page needs JavaScript: the trees are drawn in the browser."
COMPARE_COUNT = "{count} runs were asked for; from 1 to {most} can be compared. Choose them in the gallery."
NOT_BEGUN = "Run {run} has not begun yet. Try again in a moment."
SETTINGS = {"model": "Model", "strategy": "Strategy", "verifier": "Verifier that guides", "judge": "Judge",
            "budget": "Budget", "seed": "Seed"}  # fmt: skip

ABOUT = {
    "intro": (
        "Beamscope shows what a search over partial images does, and measures what it is worth. It implements "
        "“Visual Autoregressive Models Beat Diffusion Models on Inference Time Scaling” (Riise et al. 2025, arXiv "
        "2510.16751) with small models of its own, so everything runs on a laptop."
    ),
    "flops": (
        "Searches are matched by total FLOPs: what the generator, the decoder and the verifiers that guide or judge "
        "compute, a multiplication and an addition counted as two.",
        "The second pass of classifier-free guidance counts. Candidates that share a prefix share its passes, and "
        "the shared pass counts once. What is decoded or scored only to be shown never counts; the status line "
        "would show it apart.",
        "One NFE is one forward pass of one candidate, as papers count. A pass of a small next-scale step and a "
        "pass of a diffusion model are not equal, which is why NFE is shown and FLOPs are matched.",
        "Seconds are measured inside the models on the machine that ran the search. They say what a person waits, "
        "and change with the machine.",
    ),
    "words": {
        "Scale, step": "one decision of a generator; of the next-scale model one grid of tokens, from 1×1 to 8×8",
        "Node": "one partial image: all decisions up to a step",
        "Preview": "the picture that a partial image would give if it were decoded now",
        "Look": "what a verifier is shown of a candidate: its preview, or a rollout",
        "Rollout": "a partial image completed by the model, in order to be scored",
        "Verifier": "a model that scores pictures and so guides the search; higher is better",
        "Judge": "a dear verifier that sees only the finalists and chooses among them",
        "Kept, pruned": "what survives a choice and what does not; pruned nodes stay in the tree",
        "Width, branch": "how many nodes are kept at a step, and how many children each gets",
        "SDE": "a diffusion sampler that draws fresh noise at every step, so that a search can choose at every one; "
               "the usual sampler draws the first noise only",
        "Best so far": "the highest score of a finished image up to a cost: the any-time curve",
        "Pruning regret": "final score of a run resumed from a pruned node, minus the result it was pruned for",
    },
    "licences": {
        "This program and its weights": "MIT",
        "Fluent Emoji by Microsoft, from which all training scenes are composed": "MIT",
        "PyTorch": "BSD-3-Clause",
        "open_clip": "MIT",
        "Gradio": "Apache-2.0",
        "Plotly": "MIT",
        "FastAPI": "MIT",
    },
    "data": (
        "Runs, prompts included, are kept on this server, and the least recently used ones make room for new ones. "
        "Whoever has the link to a run may look at it, unless it was started as private; only the browser that "
        "started it may pin or delete it.",
        "The page asks nothing of any other server. A cookie with a random id tells which runs are yours; it says "
        "nothing else.",
    ),
}  # fmt: skip

# What the file says that replays a run without a server.
REPLAY = {
    "brand": f"{TITLE} · a recorded search", "loading": "This page needs JavaScript to replay the run.",
    "play": "Play", "pause": "Pause", "slider": "Step of the run", "player": "Time", "close": "Close",
    "begin": "The prompt, and nothing yet.",
    "results": "Best image of each", "chart": "Best score so far against compute", "empty": "no finished image yet",
    "node": "Node", "unscored": "not scored",
    "hint": "Click any node, even a faded one, to see its picture and why it was kept or pruned. Space plays, comma "
            "and full stop go step by step.",
    "footer": f"Saved from {TITLE}. This file holds the whole run and asks nothing of any server.",
}  # fmt: skip


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


def regret_said(node: int, final: float | None, value: float | None, pruned: bool, close: float) -> str:
    """Whether pruning, or leaving, the node that a run goes on from was right, with both scores.

    close: a difference that says nothing.
    """
    if final is None or value is None:
        return ""
    words = REGRET_EVEN if abs(value) < close else REGRET_RIGHT if value < 0 else REGRET_LOSS
    what = "pruning" if pruned else "leaving"
    return words.format(final=final, winner=final - value, what=f"{what} node {node}", value=value) + ONE_SEED


def retry_with(name: str, value: int) -> str:
    """The button that searches again with one size turned down."""
    return RETRY.format(name=name.replace("_", " "), value=value)


def said(sentence: str) -> str:
    """A sentence made outside the page, with the names shown for the registered keys of strategies and guides."""
    names = STRATEGY_NAMES | VERIFIER_NAMES
    whole = re.sub(rf"\b({'|'.join(ENSEMBLES)}):[\w+-]+", lambda found: guide_name(found[0]), sentence)
    return re.sub(r"\b(" + "|".join(names) + r")\b", lambda found: names[found[0]], whole)


def sentence(text: str) -> str:
    """What an error says, as a sentence of the page; long values that it quotes are cut."""
    text = said(re.sub(r"'([^']{60})[^']{60,}'", r"'\1…'", text))
    return text[:1].upper() + text[1:]
