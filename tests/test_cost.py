"""The ledger against what the toy models really computed, and against budgets."""

import numpy as np
import pytest

from core.compare import race, rival
from core.search.budget import Budget, Cost, Ledger
from core.search.errors import BudgetExhausted
from core.search.events import Failed, Finished, Previewed, Scored
from core.search.search import Search
from core.search.sizing import estimate
from tests.test_search import every_case, searched, spec_of, verifiers
from tests.toy import ToyGenerator

READ = 1e8  # FLOPs of reading the prompt
FULL = READ + sum(1e9 * (step + 1) ** 2 for step in range(4))  # generator FLOPs of one image from the bare prompt


@every_case
def test_the_events_carry_all_that_the_ledger_booked(strategy, params):
    search, events = searched(strategy, params)
    assert sum((event.cost for event in events), Cost()) == search.ledger.spent == search.tree.spent
    assert search.ledger.pending == Cost()


@pytest.mark.parametrize("shares", [True, False])
@every_case
def test_the_ledger_books_what_was_computed(strategy, params, shares):
    """The toy counts forward passes, candidates, decoded and scored images."""
    generator = ToyGenerator(shares=shares)
    search, events = searched(strategy, params, generator)
    spent, computed, guide = search.tree.spent, generator.computed, search.verifiers["closeness"]
    passes = sum(1e9 * (step + 1) ** 2 * computed[step] for step in range(4))
    assert spent.flops_generator == passes + READ * computed["read"] and computed["read"] == 1
    assert spent.nfe == computed["candidates"]
    shown = sum(len(event.images) for event in events if isinstance(event, Previewed))
    assert spent.decodes == computed["decoded"] - shown
    assert spent.flops_decoder == 5e8 * spent.decodes
    assert spent.verifier_calls == guide.calls and spent.flops_verifier == 25e7 * guide.calls
    assert spent.flops_display == 5e8 * shown + 1e8 * search.verifiers["brightness"].calls


class Growing(ToyGenerator):
    """Shows early states in fewer pixels."""

    def preview_cost(self, step):
        return Cost(flops_decoder=1e8 * step**2, decodes=1)

    def preview_bytes(self, step):
        return 10 * step

    def preview(self, states):
        self.computed["pixels"] += sum(len(state) ** 2 for state in states)
        return super().preview(states)


@every_case
def test_a_small_preview_costs_less_and_a_dry_run_knows_it(strategy, params):
    generator = Growing()
    search, _ = searched(strategy, params, generator)
    spent, watched = search.tree.spent, 1e8 * search.verifiers["brightness"].calls
    assert spent.flops_decoder + spent.flops_display - watched == 1e8 * generator.computed["pixels"]
    assert spent.flops <= estimate(search.spec, Growing(), verifiers()).flops


@every_case
def test_without_sharing_every_candidate_pays_its_whole_prefix(strategy, params):
    """A candidate costs its path from the bare prompt, and where it was rolled out the way to what was seen."""
    search, events = searched(strategy, params)
    tree = search.tree

    def alone(node):
        if node.parent is None:
            return READ
        before = READ if node.made == "neighbour" else alone(tree.nodes[node.parent])
        return before + 1e9 * node.step**2

    def ahead(event, id):
        sight = {"rollout": 4, "preview": 0, "final": 0}.get(event.look, event.look)
        return sum(1e9 * (step + 1) ** 2 for step in range(tree.nodes[id].step, sight))

    assert all(node.flops == alone(node) for node in tree.nodes.values())
    rolled = sum(ahead(event, id) for event in events if isinstance(event, Scored) for id in event.scores)
    assert tree.spent.flops_unshared == sum(node.flops for node in tree.nodes.values()) + rolled
    assert tree.spent.flops_generator <= tree.spent.flops_unshared


@every_case
def test_papers_count_every_rollout_in_full(strategy, params):
    """Without rollouts that is what was computed; with them, what a first child inherits is counted again."""
    search, events = searched(strategy, params)
    tree = search.tree
    ahead = sum((4 if event.look == "rollout" else event.look) - tree.nodes[id].step
                for event in events if isinstance(event, Scored) and event.look not in ("preview", "final")
                for id in event.scores)
    assert tree.spent.nfe_paper == len(tree.nodes) - 1 + ahead >= tree.spent.nfe
    assert ahead or tree.spent.nfe_paper == tree.spent.nfe


class Thirteen(ToyGenerator):
    """As many scales as the model of the paper."""

    def __init__(self):
        super().__init__(250)
        self.num_steps, self.step_labels = 13, tuple(str(k) for k in range(13))
        self.branching_steps = self.sharing_steps = frozenset(range(13))

    def _image(self, state):
        return np.repeat(np.array([*state[-4:], *[0] * (4 - len(state))], np.uint8)[None, :4, None], 3, axis=2)


@pytest.mark.parametrize(("width", "branch"), [(3, 5), (5, 3)])
def test_the_paper_s_budgets_are_met(width, branch):
    """w * c = 15 slots of 91 passes are 1365 NFE and 195 images (Riise et al. 2025)."""
    spent = searched("beam_search", {"width": width, "branch": branch, "look": "rollout"}, Thirteen())[0].tree.spent
    assert spent.nfe_paper == 1365 and spent.nfe < 1365 and spent.verifier_calls + spent.cache_hits <= 195


def test_siblings_share_one_forward_pass():
    """Beam with previews: one pass for the prompt, then one for each kept parent, whatever the branch."""
    search, _ = searched("beam_search", {"width": 3, "branch": 5, "look": "preview"}, ToyGenerator(digits=250))
    assert search.tree.spent.flops_generator == READ + 1e9 * (1 + 3 * (4 + 9 + 16))
    assert search.tree.spent.nfe == 4 * 15
    assert search.tree.spent.tokens == 15 * (1 + 4 + 9 + 16)


def test_child_0_of_a_rolled_out_node_is_what_was_seen_and_is_not_computed_again():
    """A greedy run that grows one child a step is one rollout, already paid when its first candidate was scored."""
    generator = ToyGenerator()
    search, events = searched("greedy_tokens", {"branch": 1, "look": "rollout"}, generator)
    assert search.tree.spent.flops_generator == FULL and generator.computed["candidates"] == 4
    assert search.tree.spent.decodes == search.tree.spent.verifier_calls == 1
    assert len({node.score for node in search.tree.nodes.values() if node.step}) == 1
    images = [image.tolist() for event in events if isinstance(event, Scored) for image in event.images.values()]
    assert len(images) == 4 and all(image == images[0] for image in images)


def test_what_a_rollout_saw_is_found_on_growing():
    """Child 0 of every node that was looked ahead of has the score of its parent, until it stands beyond it."""
    for look in ("rollout", 3):
        search, _ = searched("beam_search", {"width": 3, "branch": 4, "look": look}, ToyGenerator(reliable=False))
        sight = 4 if look == "rollout" else look
        for node in search.tree.nodes.values():
            if node.index == 0 and node.parent and node.step <= sight:
                assert node.score == search.tree.nodes[node.parent].score


@every_case
def test_a_budget_is_never_exceeded(strategy, params):
    """Whatever it is: a run ends with its best so far, or says that the budget ended before the first image."""
    full = searched(strategy, params)[0].tree.spent.flops
    endings = set()
    for share in range(1, 21):
        search, events = searched(strategy, params, budget_flops=full * share / 20)
        assert search.tree.spent.flops <= full * share / 20
        assert search.tree.spent == search.ledger.spent
        end = events[-1]
        if isinstance(end, Failed):
            assert end.code == "budget_exhausted" and search.tree.best() is None
        else:
            assert end.score == search.tree.improvements[-1][2]
        endings.add(end.reason if isinstance(end, Finished) else end.code)
    assert endings >= {"done", "budget_exhausted"}
    assert end.reason == "done"


def test_a_budget_that_ends_in_the_middle_returns_the_best_so_far():
    full = searched("random_search", {"n": 32})[0].tree.spent.flops
    search, events = searched("random_search", {"n": 32}, budget_flops=full * 0.6)
    assert events[-1].reason == "budget" and search.tree.best() is not None


def test_a_refused_charge_books_nothing():
    ledger = Ledger(Budget(flops=10.0))
    ledger.charge(Cost(flops_generator=8.0))
    with pytest.raises(BudgetExhausted):
        ledger.charge(Cost(flops_decoder=2.5))
    ledger.charge(Cost(flops_decoder=2.0))
    ledger.charge(Cost(flops_display=100.0))   # looking is free
    assert ledger.spent == Cost(flops_generator=8.0, flops_decoder=2.0, flops_display=100.0)


def test_a_race_advances_the_lane_that_has_spent_less():
    def lane(strategy, params):
        return Search(ToyGenerator(), verifiers(), spec_of(strategy, params)).run()

    spent, ended = [0.0, 0.0], [False, False]
    alone = list(lane("random_search", {}))
    beside = []
    for index, event in race(lane("beam_search", {}), lane("random_search", {})):
        assert spent[index] <= spent[1 - index] or ended[1 - index]
        spent[index] += event.cost.flops
        ended[index] = isinstance(event, Finished)
        beside += [event.kind] if index else []
    assert all(ended) and beside == [event.kind for event in alone]


def test_a_rival_is_best_of_n_for_the_same_flops():
    spec = rival(spec_of("beam_search", {"width": 2}), 5e9, "other")
    assert (spec.generator, spec.strategy, spec.params, spec.budget_flops) == ("other", "random_search", {}, 5e9)
    assert (spec.prompt, spec.verifier, spec.seed) == ("digits", "closeness", 7)
