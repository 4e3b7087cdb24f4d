"""Tree -> rows, frames and sentences: laws of the placement and of replaying."""

import json

import pytest

from core.search.events import Origin, Previewed, Pruned
from core.search.tree import Tree
from demo import strings, view
from demo.inspect import inspect
from tests.demo.conftest import run_of
from tests.test_search import searched
from tests.toy import ToyGenerator

SEARCHES = [
    ("beam_search", {"width": 3, "branch": 5, "look": "preview"}),
    ("beam_search", {"width": 2, "branch": 2, "look": "rollout"}),
    ("greedy_tokens", {"branch": 4, "look": 3}),
    ("random_search", {"n": 80}),
    ("zero_order", {"rounds": 3}),
    ("search_over_paths", {"start": 5, "jump": 3}),
    ("resampling_search", {"particles": 3}),
    ("backtracking_search", {"visits": 8}),
]


def frames_of(events):
    """Frames as the page gets them, and the tree and rows after each."""
    tree, before = Tree(), {}
    for event in events:
        tree = tree.apply(event)
        after = view.rows(tree)
        yield view.frame(tree, event.seq, before, after), tree, after
        before = after


@pytest.mark.parametrize("strategy, params", SEARCHES)
def test_frames_add_up_to_the_tree(strategy, params):
    """What a page that applies frames holds is what a page that asks for the whole tree would get."""
    held = {}
    for frame, tree, after in frames_of(run_of(strategy, **params)):
        assert json.loads(json.dumps(frame)) == frame, "the page gets what was made: plain lists and string keys"
        held |= {row["id"]: held.get(row["id"], view.BLANK) | row for row in frame["nodes"]}
        assert held == after
        assert frame["nodes_total"] == len(tree.nodes)


@pytest.mark.parametrize("strategy, params", SEARCHES)
def test_rows_that_are_handed_on_are_the_rows_that_would_be_made(strategy, params):
    before, known = None, {}
    for event in run_of(strategy, **params):
        tree = (before or Tree()).apply(event)
        quick = isinstance(event, Previewed)
        known = view.pictured(tree, event.images, known) if quick else view.rows(tree, before, known)
        assert known == view.rows(tree)
        before = tree


def test_frames_carry_only_what_changed(events):
    """And of that only the fields that did: 200 nodes take less than 60 kB."""
    frames = [frame for frame, _, _ in frames_of(events)]
    assert sum(len(frame["nodes"]) for frame in frames) < 6 * len(Tree.of(events).nodes)
    assert len(json.dumps(frames)) < 300 * len(Tree.of(events).nodes)


def test_ranked_nodes_never_move_again(events):
    settled = {}
    for event, (_, _, rows) in zip(events, frames_of(events), strict=True):
        for id, y in settled.items():
            assert rows[id]["y"] == y
        if isinstance(event, Pruned):
            settled |= {id: rows[id]["y"] for id in event.ranks}
    assert len(settled) == 90


def test_a_column_is_in_order_of_rank_and_nothing_overlaps(tree):
    rows = view.rows(tree)
    for step in range(1, tree.num_steps + 1):
        column = sorted((row for row in rows.values() if row["x"] == step), key=lambda row: row["y"])
        assert [row["rank"] for row in column] == list(range(len(column)))
        for above, below in zip(column, column[1:], strict=False):
            assert above["y"] + above["h"] / 2 <= below["y"] - below["h"] / 2 + 1e-6
        assert [row["state"] for row in column].count("pruned") == 12


def test_pruned_nodes_stay_and_large_trees_are_cut_only_at_their_pruned_end():
    tree = Tree.of(run_of("random_search", n=200))
    rows = view.rows(tree)
    drawn = [row for row in rows.values() if row["y"] is not None]
    assert len(rows) == len(tree.nodes) == 1201
    assert len(drawn) <= view.MAX_DRAWN
    assert len(drawn) + sum(view.hidden(rows).values()) == len(rows)
    assert set(view.best_path(tree)) <= {row["id"] for row in drawn}


def test_the_best_path_leads_from_the_prompt_to_the_best_finished_image(tree):
    path = view.best_path(tree)
    assert path[0] == 0 and path[-1] == tree.best().id
    assert [tree.nodes[id].step for id in path] == list(range(tree.num_steps + 1))


def test_the_best_path_of_a_rollout_search_reaches_the_last_scale():
    """The best image may be seen early, by rollout; the path goes on through the children that reach it again."""
    tree = Tree.of(run_of("greedy_tokens", branch=3, look="rollout"))
    last = tree.nodes[view.best_path(tree)[-1]]
    assert last.score == tree.improvements[-1][2] and last.step == tree.num_steps


def test_unranked_nodes_on_the_way_fare_as_their_best_child(tree):
    tree = Tree.of(run_of("random_search", n=4))
    rows = view.rows(tree)
    path = set(view.best_path(tree))
    assert {row["state"] for id, row in rows.items() if id in path} == {"kept", "finished"}
    assert {row["state"] for id, row in rows.items() if id not in path} == {"pruned"}


@pytest.mark.parametrize("strategy, made, words", [
    ("zero_order", "neighbour", "varying the first noise of node {parent}"),
    ("search_over_paths", "renoise", "re-noising node {parent} to step {step}"),
])
def test_what_goes_back_into_noise_stands_before_its_parent_and_says_how_it_was_made(strategy, made, words):
    tree = Tree.of(run_of(strategy))
    rows = view.rows(tree)
    varied = [node for node in tree.nodes.values() if node.made == made]
    assert varied and {rows[node.id]["made"] for node in varied} == {made}
    for node in varied:
        assert rows[node.id]["x"] < rows[node.parent]["x"]
        said = dict(inspect(tree, "some-run", node.id)["pairs"])["Made by"]
        assert words.format(parent=node.parent, step=node.step) in said
    path = view.best_path(tree)
    assert path[0] == 0 and path[-1] == tree.best().id


def test_paths_of_a_finished_best_of_n_are_straight_lines():
    """Nodes on the way stand in the order of the images that they became."""
    tree = Tree.of(run_of("random_search", n=6))
    rows = view.rows(tree)
    columns = [sorted((row for row in rows.values() if row["x"] == step), key=lambda row: row["y"])
               for step in range(1, tree.num_steps + 1)]
    for before, after in zip(columns, columns[1:], strict=False):
        assert [row["parent"] for row in after] == [row["id"] for row in before]


def test_resampled_copies_and_the_judge_are_told():
    tree = Tree.of(run_of("resampling_search", temper=100.0))
    copied = [node for node in tree.nodes.values() if node.copies > 1]
    assert copied
    for node in copied:
        assert dict(inspect(tree, "some-run", node.id)["pairs"])["Copies drawn"] == str(node.copies)
    judged = Tree.of(run_of("random_search", judge="lightness", finalists=3, n=5))
    best = view.best(judged)
    assert best["node"] == judged.judged.node and best["judged"] == max(judged.judged.scores.values())
    assert best["peak"] == judged.improvements[-1][2] >= best["score"] == judged.best_score()
    scores = inspect(judged, "some-run", best["node"])["scores"]
    assert [(score["name"], score["part"]) for score in scores] == [("warmth", "guides"), ("lightness", "judges")]


def test_a_resumed_run_begins_at_the_node_it_goes_on_from(tree):
    node = next(node for node in tree.nodes.values() if node.status == "pruned" and node.step == 3)
    origin = Origin("some-other-run", node.id, 3, node.state, (1, 2, 3), {"warmth": 1.0})
    resumed = Tree.of(run_of("beam_search", origin=origin))
    facts = inspect(resumed, "some-run", 0)
    assert facts["title"] == f"From node {node.id} · step 3 · 3x3" and facts["image"]
    assert facts["why"] == f"Node {node.id} of run some-other-run, from which this run goes on."
    assert view.rows(resumed)[0]["x"] == 3 and view.best_path(resumed)[0] == 0


def test_the_colour_range_holds_every_score():
    assert view.span("unheard-of", []) == (0.0, 1.0)
    assert view.span("unheard-of", [3.0]) == (2.5, 3.5)
    assert view.span("rank:a+b", [1.001]) == (0.0, 1.001)
    assert view.span("unheard-of", [-1.0, 4.0]) == (-1.0, 4.0)
    low, high = view.SPANS["image_reward"]
    assert view.span("image_reward", [low - 1, 0.0]) == (low - 1, high)


def test_a_pruned_node_names_other_verifiers_as_the_page_does():
    said = "Pruned. It would have survived with 5 kept or clip_score as verifier (rank 1)."
    assert strings.said(said) == said.replace("clip_score", "CLIPScore")
    assert strings.said("zscore:clip_score+aesthetic won") == "Mean z-score of CLIPScore, Aesthetic won"
    assert strings.said("beam_searching an image_rewards") == "beam_searching an image_rewards"


def test_the_best_path_of_an_early_end_leads_to_the_image_itself():
    """A backtracking search stops with a rollout's image; the way to it is in the tree, unscored in between."""
    search, _ = searched("backtracking_search", {"branch": 3, "threshold": -99.0, "visits": 3}, ToyGenerator(250))
    tree = search.tree
    last = tree.nodes[view.best_path(tree)[-1]]
    assert last.step == tree.num_steps and last.score == tree.best_score()
    assert [tree.nodes[id].step for id in view.best_path(tree)] == [0, 1, 2, 3, 4]
