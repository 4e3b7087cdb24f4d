"""What would have reversed a choice: every claim is checked by ranking or searching again."""

import pytest

from core.search.counterfactual import is_by_rank, margin, noise, otherwise, rivals
from tests.test_search import every_case, searched


def ranked_nodes(tree):
    return [node for node in tree.nodes.values() if node.rank is not None]


@every_case
def test_every_claim_holds_when_candidates_are_ranked_again(strategy, params):
    tree = searched(strategy, params)[0].tree
    for node in ranked_nodes(tree):
        others = rivals(tree, node.id)
        assert node in others and len({other.rank for other in others}) == len(others) <= node.of
        for one in otherwise(tree, node.id):
            if one.verifier:
                better = [o for o in others if o.scores[one.verifier] > node.scores[one.verifier]]
                assert len(better) == one.rank and (one.rank < node.keeps) == (node.status == "pruned")
            elif node.status == "pruned":
                assert node.rank < one.width and not node.rank < one.width - 1
            else:
                assert not node.rank < one.width and node.rank < one.width + 1


def test_a_wider_beam_does_save_the_node():
    tree = searched("beam_search", {"width": 2, "branch": 6})[0].tree
    lost = [node for node in ranked_nodes(tree) if node.step == 1 and node.status == "pruned"]
    for node in lost:
        width = otherwise(tree, node.id)[0].width
        wider = searched("beam_search", {"width": width, "branch": 12 // width})[0].tree if 12 % width == 0 else None
        if wider:
            assert wider.nodes[node.id].status == "kept" and wider.nodes[node.id].rank == node.rank


def test_rules_that_ranks_do_not_make_have_no_counterfactual():
    tree = searched("resampling_search", {"particles": 3, "widen": 3})[0].tree
    drawn = [node for node in ranked_nodes(tree) if node.rule in ("resampled", "cluster")]
    assert drawn and not any(otherwise(tree, n.id) or margin(tree, n.id) or is_by_rank(n) for n in drawn)


@every_case
def test_the_line_lies_between_those_kept_and_those_lost(strategy, params):
    tree = searched(strategy, params)[0].tree
    for node in ranked_nodes(tree):
        found = margin(tree, node.id)
        if found:
            assert found.low <= found.score <= found.high and found.low <= found.cut <= found.high
            assert (found.by >= 0) if node.rank < node.keeps else (found.by <= 0)
        elif is_by_rank(node):
            assert node.of == node.keeps or len(rivals(tree, node.id)) < node.of, "there is no line, or it moved on"


def test_noise_is_what_scores_change_by(monkeypatch):
    search, _ = searched("beam_search", {"width": 3, "branch": 4})
    tree = search.tree
    assert noise(tree, tree.num_steps) == 0.0, "a final score is final"
    for step in (1, 2, 3):
        below = [c.score - tree.nodes[c.parent].score for c in tree.nodes.values() if c.step == step + 1]
        mean = sum(below) / len(below)
        spread = (sum((x - mean) ** 2 for x in below) / len(below)) ** 0.5
        assert noise(tree, step) == pytest.approx(spread)


def test_a_verifier_that_never_changes_its_mind_has_no_toss_ups(monkeypatch):
    from tests.toy import Closeness

    monkeypatch.setattr(Closeness, "score", lambda self, prompt, images: [float(image[0, 0, 0]) for image in images])
    tree = searched("beam_search", {"width": 3, "branch": 4})[0].tree
    assert noise(tree, 1) == 0.0
    assert not any(found.toss_up for node in ranked_nodes(tree) if (found := margin(tree, node.id)))


def test_a_run_that_has_just_begun_says_nothing_of_its_noise():
    from core.search.events import Pruned
    from core.search.tree import Tree

    _, events = searched("beam_search", {"width": 3, "branch": 4})
    first = next(i for i, event in enumerate(events) if isinstance(event, Pruned))
    tree = Tree.of(events[: first + 1])
    found = margin(tree, events[first].kept[0])
    assert found and found.noise is None and not found.toss_up
