"""The facts of one node: what is said must follow from the tree."""

import json

import pytest

from core.search.counterfactual import margin, otherwise
from core.search.events import Asked, Expanded, RunSpec
from core.search.search import Search
from core.search.steering import Hands
from core.search.strategies.registry import STRATEGIES
from core.search.tree import Tree
from demo import view
from demo.inspect import inspect
from tests.demo.conftest import run_of
from tests.painted import painted_models


def test_the_inspector_says_why_a_node_was_pruned_and_what_every_verifier_thinks(tree):
    node = next(node for node in tree.nodes.values() if node.status == "pruned")
    facts = inspect(tree, "some-run", node.id)
    json.dumps(facts)
    assert facts["state"] == "pruned" and facts["why"] == tree.why(node.id)
    assert f"ranked {node.rank + 1} of 15" in facts["why"]
    assert [score["name"] for score in facts["scores"]] == ["warmth", "lightness"]
    assert [score["part"] for score in facts["scores"]] == ["guides", None]
    assert facts["scores"][0]["value"] == node.score
    assert dict(facts["pairs"])["Rank"] == f"{node.rank + 1} of 15, 3 kept"
    assert dict(facts["pairs"])["Seed"] == str(node.seed)
    assert [step["id"] for step in facts["path"]] == [step.id for step in tree.path(node.id)]
    assert facts["image"] == f"/t/some-run/{node.id}.jpg"


def test_every_node_of_every_strategy_can_be_inspected():
    for name, strategy in STRATEGIES.items():
        if "handover" in strategy.needs:
            continue
        tree = Tree.of(run_of(name))
        for id, node in tree.nodes.items():
            facts = inspect(tree, "some-run", id)
            assert facts["why"] and facts["alt"] and facts["title"]
            assert facts["why"].count("No choice was made here") <= 1
            assert ("Made by" in dict(facts["pairs"])) == (node.made in ("renoise", "neighbour"))


def test_a_node_without_a_choice_tells_of_one_that_fared_as_it_did():
    tree = Tree.of(run_of("random_search", n=4))
    states = {row["id"]: row["state"] for row in view.rows(tree).values()}
    for node in tree.nodes.values():
        if 0 < node.step < tree.num_steps:
            said = inspect(tree, "some-run", node.id)["why"]
            assert ("Pruned: ranked" in said) == (states[node.id] == "pruned")
            assert ("Kept: ranked" in said) == (states[node.id] != "pruned")


def test_the_margin_and_what_would_have_been_otherwise_are_told_for_every_candidate(tree):
    for node in tree.nodes.values():
        facts = inspect(tree, "some-run", node.id)
        found = margin(tree, node.id)
        assert (facts["margin"] is None) == (found is None)
        if found is None:
            continue
        told = facts["why"] + facts["margin"]["said"]
        assert told.count(f"{abs(found.by):.3f}") >= 1 and facts["margin"]["by"] == found.by
        assert ("changes by about" in facts["margin"]["said"]) == facts["margin"]["toss_up"]
        fall = [one for one in otherwise(tree, node.id) if node.status != "pruned"]
        assert (facts["otherwise"] is not None) == bool(fall)
        for one in fall:
            by_another = one.verifier and f"{one.verifier} as verifier (rank {one.rank + 1})"
            assert (by_another or f"only {one.width} kept") in facts["otherwise"]


def test_raw_scores_come_with_their_place_between_the_least_and_the_most(tree):
    for name in ("warmth", "lightness"):
        values = {node.id: node.scores[name] for node in tree.nodes.values() if name in node.scores}
        at = {id: next(s["at"] for s in inspect(tree, "r", id)["scores"] if s["name"] == name) for id in values}
        assert min(at.values()) == 0.0 and max(at.values()) == 1.0
        assert sorted(values, key=values.get) == sorted(at, key=lambda id: (at[id], values[id]))


def test_only_what_is_not_finished_can_be_gone_on_from(tree):
    for node in tree.nodes.values():
        refused = inspect(tree, "some-run", node.id)["resume"]
        assert (refused is not None) == (node.step == tree.num_steps)


@pytest.fixture(scope="module")
def halfway():
    """Trees of a run in which a person forbids, pins, frees and chooses; at every event."""
    models, hands = painted_models(), Hands()
    spec = RunSpec("a red car", "painter", "beam_search", {"width": 3, "branch": 5, "look": "preview"}, "warmth",
                   ("lightness",), 7, chooser="person")
    search, trees = Search(models.generator("painter"), models.verifiers_of(spec), spec, hands=hands), []
    for event in search.run():
        trees.append(search.tree)
        if isinstance(event, Expanded) and event.step == 2:
            hands.steer(event.nodes[0].id, "forbid")
            hands.steer(event.nodes[1].id, "pin")
        if isinstance(event, Asked):
            hands.choose(list(event.candidates[-event.keep:]))
    return trees


def test_what_a_person_can_do_with_a_node_is_what_the_search_accepts(halfway):
    for tree in halfway:
        for id, node in tree.nodes.items():
            able = inspect(tree, "some-run", id)["steer"]
            if tree.end or node.parent is None or node.status == "pruned":
                assert not set(able) & {"pin", "forbid"} and ("free" in able) <= (node.mark is not None)
            else:
                assert set(able) == {"pin", "forbid", "free"} - {node.mark or "free"}


def test_the_page_is_told_what_is_asked_and_who_chose(halfway):
    asked = [view.asked(tree) for tree in halfway]
    assert any(asked) and asked[-1] is None and json.loads(json.dumps(asked)) == asked
    for tree, question in zip(halfway, asked, strict=True):
        if question:
            assert {tree.nodes[id].step for id in question["candidates"]} == {question["step"]}
            assert {tree.nodes[id].status for id in question["candidates"]} == {"live"}
    tree = halfway[-1]
    for node in tree.nodes.values():
        facts = inspect(tree, "some-run", node.id)
        if node.by == "person" and not node.held:
            assert facts["why"].startswith(("Kept: a person chose it.", "Pruned: a person chose others."))
            assert facts["otherwise"] == f"The verifier would have {'kept' if node.rank < node.keeps else 'pruned'} it."
            assert dict(facts["pairs"])["Chosen by"] == "a person"
    assert {row["mark"] for row in view.rows(tree).values()} == {None, "pin", "forbid"}


def test_passes_count_from_the_prompt_or_from_the_first_noise():
    tree = Tree.of(run_of("beam_search"))
    for node in tree.nodes.values():
        assert dict(inspect(tree, "r", node.id)["pairs"]).get("Forward passes", "0") == str(node.step)
    walked = Tree.of(run_of("zero_order"))
    for node in walked.nodes.values():
        if node.made == "neighbour":
            assert dict(inspect(walked, "r", node.id)["pairs"])["Forward passes"] == "1"
