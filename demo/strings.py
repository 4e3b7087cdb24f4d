"""Every sentence of the page that is not made from data, in one place."""

import json
import re
from typing import Any

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

# What the page's scripts say, by area; they import it as /page/strings.js.
JS: dict[str, dict[str, Any]] = {
    "api": {
        "unreachable": "The server did not answer. Check the connection and try again.",
        "unexpected": UNEXPECTED,
    },
    "stage": {
        "idle": "No run yet: type a prompt and press Search.",
        "run": "Run", "recorded": "Recorded run", "left": "about {seconds} s left",
        "unfinished": "no finished image yet",
        "lost": "Reconnecting … The run continues on the server, and what it does meanwhile is kept.",
        "undrawable": "The drawing library did not load: reload the page.",
        "tree": "Search tree",
        "chart": "Any-time chart",
        "compare": "Best images",
    },
    "states": {
        "idle": "no run yet", "waiting": "waiting", "starting": "starting", "running": "searching", "done": "done",
        "beside": "done, diffusion goes on", "budget": "done, budget used", "cancelled": "stopped",
        "asking": "your turn", "paused": "paused", "elsewhere": "waits for its visitor",
        "failed": "failed", "short": "out of memory {at}", "interrupted": "interrupted", "replaying": "replaying",
        "past": "replay",
    },
    "ready": {
        "empty": EMPTY_PROMPT,
        "loading": "Loading models: {name}, {done} of {of}, {seconds} s", "starting": "Loading models",
        "wait": "when loaded", "none": "no models", "unpriced": LOADING,
    },
    "queue": {"next": "next in line", "place": "place {place} in line", "wait": "{place}, about {seconds} s",
              "leave": "Leave queue", "left": "left the queue"},
    "player": {
        "play": "Replay", "pause": "Pause", "play_help": "Replay (Space)", "slider": "Step of the run",
        "back": "One step back (,)", "forth": "One step on (.)", "speed": "Speed of the replay", "live": "Jump to live",
        "past": "viewing step {step}, live goes on",
    },
    "tree": {
        "help": "Search tree. Arrow keys move from node to node, Enter opens the inspector, B pins "
                "the node to be compared, F focuses on what is above and below it.",
        "which": "Trees shown", "both": "Both", "more": "more nodes at", "close": "Close",
        "rest": "and {count} more; the table shows all.", "withBranches": "{name}, with {branches}",
        "undecoded": "no preview at this step", "decoding": "being decoded …",
    },
    "table": {
        "label": "Nodes as a table", "picture": "Picture", "id": "Node", "step": "Step", "score": "Score",
        "rank": "Rank", "state": "State", "parent": "Parent", "more": "Show more", "open": "Inspect node {id}",
        "caption": "{name}: {shown} of {count} nodes",
        "captionSome": "{name}: {shown} of {count} nodes that match, {all} in all",
    },
    "toggles": {
        "label": "How the trees are shown",
        "thumbnails": "Pictures", "thumbnails_help": "Show a picture on every node",
        "pruned": "Pruned", "pruned_help": "Show the nodes that were pruned",
        "labels": "Scores", "labels_help": "Write the score beside every node that has room",
        "tidy": "Tidy", "tidy_help": "Place children beside their parent instead of by rank",
        "table": "Table", "table_help": "Show the same nodes as a table",
    },
    "legend": {
        "branch": "resumed branch", "zoom": "drag: zoom · double click: subtree, or all",
        "best": "best path", "kept": "kept", "pruned": "pruned", "back": "back into noise", "score": "score",
    },
    "chart": {
        "title": "Score against compute", "label": "Best score so far against compute",
        "first": "search", "second": "beside it", "axis": "What compute is counted in", "y": "best score so far",
        "gflop": "FLOPs", "nfe": "NFE", "seconds": "Seconds",
        "gflop_axis": "total compute, GFLOP", "nfe_axis": "forward passes (NFE)",
        "seconds_axis": "seconds inside the models, on the machine that ran it",
        "nfe_note": "a pass of one model is not as dear as one of the other",
        "late": "{name}: no image is finished before the last step",
        "band": "lines: this run; bands: lowest to highest of {count} seeds",
    },
    "share": {
        "open": "Share",
        "title": "Share this run",
        "close": "Close",
        "copy": "Copy",
        "copied": "Copied",
        "view": "Link to what you see",
        "view_note": "Whoever has it sees this run at this step. A run that nobody opens makes room for new ones one "
                     "day, unless it is pinned; the file run.zip stays.",
        "settings": "Link to the settings",
        "settings_note": "Opens the page with this prompt and these settings, ready to run. The prompt is part of it.",
        "files": "Save",
        "making": "Making it …",
        "result": "Result",
        "result_note": "PNG with its settings inside",
        "zip": "Whole run",
        "zip_note": "run.zip, opens when it is dropped here",
        "page": "Replay page",
        "page_note": "one HTML file, works offline",
        "film": "Film",
        "film_note": "MP4, the tree as it grows",
        "webp": "Moving picture",
        "webp_note": "the same as animated WebP",
        "gif": "GIF",
        "gif_note": "small, plays everywhere",
        "tree_svg": "Tree, SVG",
        "tree_svg_note": "as on screen, sharp at any size",
        "tree_png": "Tree, PNG",
        "tree_png_note": "as on screen, twice the size",
        "python": "Program",
        "python_note": "Python, through the API",
        "program": "Repeat it from Python",
        "pick": "Open a file",
        "pick_note": "A run.zip or a log (run.json, events.jsonl), or a result picture for its settings. Or drop it "
                     "anywhere on the page.",
    },
    "drop": {
        "hint": "Drop a run.zip to open it, or a result picture for its settings",
        "opening": "Opening the file …",
    },
    "title": {"name": TITLE, "waiting": "waiting"},
    "compare": {
        "two": "A and B", "both": "Best image of each", "one": "Best image", "modes": "Way of comparing",
        "side": "Side by side",
        "slider": "Slider", "difference": "Difference", "blind": "Blind vote", "picture": "Picture",
        "both_needed": "both need a finished image", "cut": "Where the first picture ends and the second begins",
        "difference_help": "Black where both are alike.", "difference_alt": "Difference of both best images",
    },
    "focus": {
        "whole": "Whole tree", "wholeHelp": "Show the whole tree again (f, or Escape in the tree)",
        "on": "node {id} in focus",
        "said": "Node {id}, what is above and what is below it are in focus.", "unsaid": "The whole tree is shown.",
    },
    "filter": {
        "label": "Filter the nodes", "example": "score>0.6 scale:3 pruned", "count": "{count} of {of}",
        "help": "Write score>0.6, rank<=3, scale:3 or scale:3x3, node:23, kept, pruned, finished, live, best, pinned, "
                "forbidden or R2. Several must all hold; a minus in front means not: -pruned.",
        "unknown": "There is no “{word}” to filter by.", "noValue": "“{word}” needs a number behind it, as {word}>1.",
        "noNumber": "{name} is compared with a number, and “{value}” is none.",
    },
    "pinned": {
        "node": "node {id}", "later": "not there yet at this step of the run", "bare": "not decoded at this step",
        "unscored": "not scored", "gap": "A scores {gap} against B by {verifier}.",
        "compared": "Compared: {a} with {b}.",
        "help": "Select another node, and it is A. Shift and a click, or the key B, pins another one as B.",
        "unpin": "× Unpin B", "unpinLong": "Unpin B and show the best images again",
        "said": "Node {id} is pinned as B.", "unpinned": "No node is pinned.",
    },
    "blind": {
        "ask": "Which one shows the prompt better? Whose it is will be told after your vote.",
        "wait": "The vote opens when both runs are over.",
        "first": "A is better", "second": "B is better", "neither": "Equally good",
        "chose": "You chose {name}.", "undecided": "You found both equally good.",
        "prefers": "{verifier} prefers {name}, by {gap}.", "even": "{verifier} finds both equally good.",
        "tally": "So far {agreed} of your {count} clear votes agree with the verifier.",
    },
    "control": {
        "label": "Pace of the search", "pause": "Pause", "go": "Go on", "step": "Step",
        "pause_help": "Wait before the next model call", "go_help": "Search on by itself",
        "step_help": "Search on until the next choice is made, then wait",
    },
    "series": {
        "begin": "Repeat with 8 seeds", "going": "{done} of {count} seeds done …",
        "help": "Runs the same comparison with seven other seeds and draws the band of all eight.",
    },
    "verdict": {
        "nothing": "Neither side has a finished image yet.", "none": "none yet",
        "sofar": "So far, by {verifier}: {first} {a}, {second} {b}.",
        "scores": "At {gflop} GFLOP, by {verifier}: {first} {a}, {second} {b}.",
        "close": "That is too close to call.",
        "ahead": "{name} is ahead here.",
        "hedge": "One prompt and one seed; the verifier that chose is the one that scores.",
    },
    "inspector": {
        "title": "Node inspector",
        "facts": "Facts of the node",
        "close": "Close the inspector",
        "path": "Path from the prompt",
        "empty": "Click any node, even a faded one",
        "hint": "Or give the tree the focus and use the arrow keys. You will see the picture at that step, what every "
                "verifier says of it, what it cost and why it was kept or pruned.",
        "decode": "Decode now (+1 decoder pass, {gflop} GFLOP)", "decoding": "Decoding …",
        "decodeHelp": "Computes the way to this node again and decodes it, to be looked at. The search and the compute "
                      "that is compared stay as they are.",
        "large": "Show the picture large", "closeLarge": "Close the picture", "save": "Save the picture",
        "candidates": "all candidates of this choice", "tossUp": "toss-up",
        "height": "{percent} of the way from the least to the most that this verifier gives",
        "answers": "What the judge sees", "yes": "yes", "no": "no",
    },
    "actions": {
        "label": "What you can do with this node",
        "resume": "Resume from here",
        "resumeHelp": "Start a run of its own that goes on from this node, pruned or not",
        "pin": "Pin", "pinHelp": "It and what grows from it always survive, if there is a place",
        "pinDone": "Pinned: its line survives the next choices.",
        "forbid": "Forbid", "forbidHelp": "Neither it nor what grows from it survives another choice",
        "forbidDone": "Forbidden: it is out at the next choice.",
        "free": "Free", "freeHelp": "Neither pinned nor forbidden any more", "freeDone": "Free again.",
        "compare": "Compare as B", "unpin": "Unpin B",
        "compareHelp": "Compare this node's picture with others below the tree (Shift and a click, or the key B)",
        "compared": "It is B below. Select another node: it is A.",
        "focus": "Focus subtree", "whole": "Whole tree",
        "focusHelp": "Dim all but this node, what is above it and what is below it (double click, or the key f)",
        "link": "Copy link", "json": "Copy JSON", "copied": "Copied.",
        "notCopied": "The browser does not allow copying. Select the address of the page instead.",
    },
    "resume": {
        "title": "Go on from node {node}, {label}",
        "about": "A new run begins at this node. Nothing that is there is lost.",
        "aboutPruned": "The search let this node go. A run that goes on from it shows whether that was right.",
        "strategy": "Strategy", "budget": "Budget, GFLOP",
        "budgetHelp": "the most it may spend; width or number of images follow from it",
        "price": "It will search with {sizes}, for at most {gflop} GFLOP{seconds}; {way} of them compute the way to "
                 "the node again.",
        "seconds": ", about {seconds} s",
        "winner": "The result to beat: {score} by {verifier}.",
        "pricing": "Asking what this costs …",
        "start": "Go on", "cancel": "Cancel", "close": "Close", "off": "off",
    },
    "choose": {
        "label": "You choose", "candidates": "Candidates",
        "ask": "Step {step}, {label}: which go on? Choose up to {keep} of {of}.",
        "last": "The last step: choose up to {keep} of {of}. Your first choice is the result.",
        "hint": "A click chooses, another one takes it back.",
        "lastHint": "These are finished pictures.",
        "count": "{chosen} of {keep} chosen",
        "candidate": "Candidate, node {node}",
        "tree": "Show the tree", "previews": "Show the previews",
        "leave": "Verifier decides", "leaveHelp": "Leave this choice to the verifier",
        "rest": "Verifier decides the rest", "restHelp": "Leave this and all later choices to the verifier",
        "go": "Continue",
        "agreed": "Last time the verifier would have kept {agreed} of your {of}; so far {all} of {total}.",
    },
    "insights": {
        "title": "Insights", "about": "how far early scores can be trusted, from all stored runs",
        "reliability": "Does an early score foretell the final one?",
        "reliabilityLabel": "Rank correlation of the score at each step with the final score",
        "regret": "Was pruning right?",
        "regretLabel": "Score of a node when it was pruned, against the final score of the run that went on from it",
        "step": "step at which the score was given", "correlation": "rank correlation",
        "scoreThen": "score when the node was left", "scoreFinal": "final score of the run from it",
        "hoverRuns": "%{customdata[1]} runs, %{customdata[2]} nodes",
        "hoverRegret": "node %{customdata[2]}, %{customdata[3]}: %{x:.3f} became %{y:.3f}, %{customdata[4]} against "
                       "the winner",
        "basis": "Spearman correlation, averaged over {runs} stored runs of {generator} guided by {verifier} ({look}); "
                 "bars are standard errors. It grows more certain with every run.",
        "clearFrom": "From {label} on a score tells more than it hides.",
        "neverClear": "At no step seen so far does a score tell much about the final one.",
        "goesOn": "It goes on from node {node} of the earlier run.",
        "few": "They are few: this may be chance.",
        "noReliability": "No stored run of {generator} guided by {verifier} ({look}) has three scored nodes of one "
                         "step that grew to an image. Run a search with a wider beam, or go on from pruned nodes.",
        "noRegret": "No run has gone on from a node yet. Open a pruned node and press Resume from here: its point will "
                    "stand here.",
        "regretSaid": "{count} runs went on from a node: {right} did no better than the winner, so leaving the node "
                      "was right (circles), {wrong} did better (triangles). Dotted lines lead to the winner. A click "
                      "on a point opens its run.",
        "pending": "{left} more runs are being read …",
        "looks": {"preview": "previews judged", "rollout": "rollouts judged"},
        "ahead": "looking ahead to step {step}",
    },
}  # fmt: skip


# -- the pages beside Explore -----------------------------------------------------------------------------------------

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

JS |= {
    "gallery": {
        "heading": "Gallery",
        "intro": "Runs recorded with this version, and the runs that you started in this browser.",
        "search": "Search in prompts and settings", "filter": "Which runs", "all": "All", "own": "Yours",
        "recorded": "Recorded", "lesson": "Lesson", "lessons": "Lessons", "private": "Private", "pinned": "Pinned",
        "more": "{count} more belong to the lessons", "moreOne": "1 more belongs to the lessons",
        "nonePinned": "You have pinned no run yet.",
        "pinHere": "In this browser it is then among your pinned runs", "loading": "Loading the runs …",
        "none": "No run matches. Change the words or the filter.",
        "noneOwn": "You have started no run in this browser yet. Runs you start on Explore are kept here.",
        "explore": "Go to Explore", "open": "Open", "restore": "Use settings",
        "restoreHint": "Opens Explore with the prompt and settings of this run, ready to be changed and searched",
        "pin": "Pin", "unpin": "Unpin", "pinHint": "A pinned run is never removed to make room for new ones",
        "delete": "Delete", "sure": "Delete this run for good?", "keep": "Keep it", "deleted": "The run is deleted.",
        "choose": "Compare", "tray": "Runs to compare", "compare": "Compare {count}", "clear": "Clear",
        "full": "Four runs are the most that can be compared.", "one": "Choose one more run",
        "resumed": "goes on from a node of another run", "noImage": "no finished image",
        "count": "{count} runs", "countOne": "1 run",
    },
    "overlay": {
        "heading": "Compare runs", "back": "Back to the gallery", "chart": "Best score so far against what it cost",
        "axis": "Cost in", "gflop": "GFLOP", "nfe": "NFE", "seconds": "seconds",
        "axisGflop": "total compute, GFLOP", "axisNfe": "forward passes (NFE)",
        "axisSeconds": "seconds inside the models, on the machine that ran it",
        "score": "Score by", "beside": "Show the runs beside them", "verdict": "What it says",
        "differ": "Settings that differ are marked.", "same": "All settings are the same.",
        "settings": "Settings", "setting": "Setting",
        "none": "Choose up to four runs in the gallery: their curves are drawn over each other here.",
        "prompts": "The prompts differ, so the scores answer different questions.",
        "guides": "The runs were not guided by the same verifier. The chart shows the score that {name} gave to the "
                  "image that was best by each run's own guide.",
        "leads": "After {cost}, {first} has {value} by {name}; next is {second} with {other}. One prompt and one seed "
                 "a run: an anecdote, not a measurement.",
        "even": "After {cost}, the best two are within {gap} by {name}: too close to call.",
        "alone": "After {cost} only {first} has a finished image, with {value} by {name}.",
        "ends": "In the end: {told}.", "prompt": "Prompt",
        "unscored": "not scored", "best": "Best image", "after": "after {cost}",
    },
    "learn": {
        "heading": "Learn",
        "intro": "Six short lessons. Each drives the real view with recorded runs: click any node, drag the slider, "
                 "then go on.",
        "lessons": "Lessons", "lesson": "Lesson {n} of {total}", "scene": "Scene {n} of {total}",
        "back": "Back", "next": "Next", "nextLesson": "Next lesson", "done": "To Explore",
        "try": "Try it yourself", "tryHint": "Opens this run in Explore with its settings, ready to be changed",
        "missing": "The recorded runs of the lessons are not here: record them with `python -m demo.record --lessons`.",
    },
    "about": {
        "heading": "About", "models": "Models", "generators": "Generators", "verifiers": "Verifiers",
        "weights": "Weights", "weightsIntro": "Everything was trained with the commands below, from random weights or "
                   "from weights trained the same way. Open a card for its figures.",
        "flops": "What a FLOP count includes", "definitions": "Words", "licences": "Licences", "data": "Your data",
        "parameters": "Parameters", "trained": "Training", "minutes": "{minutes} minutes on {hardware}",
        "command": "Command", "digest": "SHA-256", "learned": "Data", "seed": "Seed", "images": "Images seen",
        "metrics": "Figures", "sheet": "Sample sheet of {name}", "key": "name", "does": "what it is", "of": "weights",
        "notice": "Notice of the artwork",
    },
}  # fmt: skip

# By lesson: its title, and its scenes as (title, sentences). What stands in braces comes from the recorded runs.
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
