"""The search tree: a fold of events, and the only tree there is, live, stored or drawn.

Knows no models and no pixels: a node remembers which of its images exist, not the images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Literal

from core.search import events as ev
from core.search.budget import Cost

# What decides where it is not the rank alone, by rule, for people to read.
RULES = {
    "resampled": "Resampling by weight drew no copy of it.",
    "cluster": "Another candidate stands for those that look like it.",
    "diverse": "Its ancestor already had as many survivors as it may, or one that looks like it was kept.",
    "not_needed": "The search was over before its turn came.",
}


GIVEN_UP = "out_of_memory"   # the rule of nodes that no choice pruned


@dataclass(frozen=True)
class Node:
    """A state in the tree, with all that was found out about it. Fields up to `made` as in NewNode."""

    id: int
    parent: int | None
    step: int
    index: int
    seed: int
    state: str
    flops: float
    made: ev.Made = "step"
    score: float | None = None               # the guide's, higher is better
    scores: Mapping[str, float] = field(default_factory=dict)
    look: ev.Seen | None = None              # what the verifier saw when it gave the score
    status: Literal["live", "kept", "pruned", "finished"] = "live"
    rank: int | None = None                  # among `of` candidates of which `keeps` were kept; 0 is best
    of: int | None = None
    keeps: int | None = None
    cut: float | None = None                 # score of the last one kept
    rule: str | None = None
    copies: int = 1                          # children it is to have, where resampling decides that
    choice: int | None = None                # seq of the Pruned event; equal for candidates ranked together
    by: ev.Chooser = "verifier"              # who made that choice
    held: ev.Mark | None = None   # the mark that counted in that choice, its own or one above it
    mark: ev.Mark | None = None   # a person's, now; holds for what grows from it too
    has_preview: bool = False                # decoded as it stands
    has_look: bool = False                   # decoded some steps ahead
    has_final: bool = False                  # finished, by itself or by its rollout


@dataclass(frozen=True)
class Tree:
    """A run so far. `apply` is the only way to grow one."""

    spec: ev.RunSpec | None = None
    num_steps: int = 0
    step_labels: tuple[str, ...] = ()
    nodes: Mapping[int, Node] = field(default_factory=dict)   # by id, in creation order
    below: Mapping[int, tuple[int, ...]] = field(default_factory=dict)   # ids of the children, of nodes with any
    spent: Cost = Cost()
    seconds: float = 0.0                                      # of the last event
    improvements: tuple[tuple[float, int, float], ...] = ()   # (total FLOPs spent, node, score)
    asked: ev.Asked | None = None                             # the question that is open
    judged: ev.Judged | None = None
    shrunk: tuple[ev.Shrunk, ...] = ()                        # memory was too small, and what followed
    picked: int | None = None                                 # the node whose finished image a person took
    end: ev.Finished | ev.Cancelled | ev.Failed | None = None

    @classmethod
    def of(cls, events: Iterable[ev.Event]) -> Tree:
        return reduce(cls.apply, events, cls())

    def apply(self, event: ev.Event) -> Tree:
        """The tree after one more event; this one is unchanged."""
        tree = replace(self, spent=self.spent + event.cost, seconds=event.seconds)
        return _APPLY[type(event)](tree, event)

    def best(self) -> Node | None:
        """The node whose finished image is the result so far: the guide's best, or whom a person or the judge took."""
        if self.picked is not None:
            return self.nodes[self.picked]
        if self.judged:
            return self.nodes[self.judged.node]
        return self.nodes[self.improvements[-1][1]] if self.improvements else None

    def best_score(self) -> float | None:
        """The guide's score of that image."""
        if isinstance(self.end, ev.Finished):
            return self.end.score
        return self.improvements[-1][2] if self.improvements else None

    def regret(self) -> float | None:
        """Pruning regret of a run that went on from a node: its result's score minus that of the earlier run's result.

        Both by this run's guide; positive means that pruning the node was a loss. None without a result on both sides.
        """
        origin = self.spec.origin if self.spec else None
        before = origin.winner.get(self.spec.verifier) if origin else None
        return None if before is None or self.best_score() is None else self.best_score() - before

    @property
    def spec_now(self) -> ev.RunSpec | None:
        """The spec with the parameters that the strategy began anew with, if it did."""
        params = [(name, value) for event in self.shrunk for name, value in event.params.items()]
        return replace(self.spec, params={**self.spec.params, **dict(params)}) if params else self.spec

    def path(self, id: int) -> list[Node]:
        """From the root to the node, both included."""
        node, path = self.nodes[id], []
        while node is not None:
            path.append(node)
            node = None if node.parent is None else self.nodes[node.parent]
        return path[::-1]

    def children(self, id: int) -> list[Node]:
        return [self.nodes[child] for child in self.below.get(id, ())]

    def leaves(self) -> list[Node]:
        """Nodes without children: finished, pruned, or still to be grown."""
        return [node for node in self.nodes.values() if node.id not in self.below]

    def curve(self) -> list[tuple[float, float]]:
        """The any-time curve: (total FLOPs spent, best finished score so far)."""
        return [(flops, score) for flops, _, score in self.improvements]

    def label(self, step: int) -> str:
        return self.step_labels[step - 1] if step else "prompt"

    def why(self, id: int) -> str:
        """Why the node was pruned or kept, from scores that were computed and nothing else."""
        node = self.nodes[id]
        if node.rule == GIVEN_UP:
            return "Given up: memory was too small to go on from here, and the search began anew and smaller."
        if node.rank is None:
            return self._why_unranked(node)
        ranked = f"ranked {node.rank + 1} of {node.of} at {self.label(node.step)}, {node.keeps} kept"
        if steered := self._why_steered(node):
            return f"{steered} By the verifier it {ranked}.{self._scored(node)}"
        if node.status != "pruned":
            return f"Kept: {ranked}.{self._scored(node)}{self._copied(node)}"
        if node.cut is None or node.score is None or node.score >= node.cut:
            return f"Pruned: {ranked}.{self._scored(node)} {RULES.get(node.rule, f'The rule was {node.rule}.')}"
        short = f"Score {node.score:.3f}, cut {node.cut:.3f}, short by {node.cut - node.score:.3f}."
        if node.rule in RULES:
            return f"Pruned: {ranked}. {short} {RULES[node.rule]}"
        return f"Pruned: {ranked}. {short} It would have survived with {' or '.join(self._rescues(node))}."

    def _why_steered(self, node: Node) -> str | None:
        """What a person had to do with the choice that the node was part of, if it decided."""
        pruned = node.status == "pruned"
        if node.held == "forbid":
            return "Pruned: a person forbade it." if pruned else "Kept though forbidden: nothing else was left."
        if node.by == "person":
            return f"{'Pruned: a person chose others' if pruned else 'Kept: a person chose it'}."
        if node.held == "pin" and not pruned and node.rank >= node.keeps:
            return "Kept: a person pinned it."
        if pruned and node.rank < node.keeps and self._pinned_rivals(node):
            return "Pruned: one that a person pinned has its place."
        return None

    def _pinned_rivals(self, node: Node) -> bool:
        return any(other.choice == node.choice and other.held == "pin" for other in self.nodes.values())

    def _scored(self, node: Node) -> str:
        return "" if node.score is None else f" Score {node.score:.3f}."

    def _copied(self, node: Node) -> str:
        return f" Resampling drew it {node.copies} times." if node.copies > 1 else ""

    def _why_unranked(self, node: Node) -> str:
        children = self.children(node.id)
        if node.parent is None:
            if node.made == "thaw":
                return f"Node {self.spec.origin.node} of run {self.spec.origin.run}, from which this run goes on."
            return "The prompt, where every candidate begins."
        if children:
            below = self._ranked_below(node)
            return f"Not ranked itself. What grew from it, node {below.id}: {self.why(below.id)}"
        return "Not ranked: the run ended first." if self.end else "Not ranked yet."

    def _ranked_below(self, node: Node) -> Node:
        """The first ranked node down the line that fared as this one did, else where that line ends."""
        below = node
        while below.rank is None and (children := self.children(below.id)):
            below = next((child for child in children if child.status == node.status), children[0])
        return below

    def _rescues(self, node: Node) -> list[str]:
        """What would have kept a pruned node: a wider choice, or an observer as the verifier."""
        rivals = [other for other in self.nodes.values() if other.choice == node.choice]
        rescues = [f"{node.rank + 1} kept"]
        for observer in set(node.scores) - {self.spec.verifier}:
            rank = sum(other.scores.get(observer, 0) > node.scores[observer] for other in rivals)
            if rank < node.keeps:
                rescues.append(f"{observer} as verifier (rank {rank + 1})")
        return sorted(rescues)

    def as_networkx(self) -> Any:
        """A networkx.DiGraph whose nodes carry the fields of Node."""
        import networkx

        graph = networkx.DiGraph()
        graph.add_nodes_from((node.id, vars(node)) for node in self.nodes.values())
        graph.add_edges_from((n.parent, n.id) for n in self.nodes.values() if n.parent is not None)
        return graph

    def _lane(self, id: int) -> Iterator[Node]:
        """The unranked nodes above that lead to this one only: they share its fate."""
        above = self.nodes[id].parent
        node = self.nodes[0 if above is None else above]
        while node.parent is not None and node.rank is None and len(self.children(node.id)) == 1:
            yield node
            node = self.nodes[node.parent]

    def _changed(self, changes: Mapping[int, Mapping[str, Any]]) -> Tree:
        changed = {id: replace(self.nodes[id], **fields) for id, fields in changes.items()}
        return replace(self, nodes={**self.nodes, **changed})


def _started(tree: Tree, event: ev.Started) -> Tree:
    return replace(tree, spec=event.spec, num_steps=event.num_steps, step_labels=event.step_labels)


def _expanded(tree: Tree, event: ev.Expanded) -> Tree:
    below = dict(tree.below)
    for new in event.nodes:
        if new.parent is not None:
            below[new.parent] = (*below.get(new.parent, ()), new.id)
    return replace(tree, nodes={**tree.nodes, **{new.id: Node(**vars(new)) for new in event.nodes}}, below=below)


def _previewed(tree: Tree, event: ev.Previewed) -> Tree:
    return tree._changed({id: {"has_preview": True} for id in event.images})


def _scored(tree: Tree, event: ev.Scored) -> Tree:
    shown = {f"has_{event.image_kind}": True}
    return tree._changed({
        id: {"score": scores[tree.spec.verifier], "scores": scores, "look": event.look, **shown}
        for id, scores in event.scores.items()
    })


def _pruned(tree: Tree, event: ev.Pruned) -> Tree:
    kept = dict.fromkeys(event.kept, "finished" if event.step == tree.num_steps else "kept")
    choice = {"of": len(event.ranks), "keeps": len(kept), "cut": event.cut, "rule": event.rule,
              "choice": event.seq, "by": event.by}
    changes = {}
    for id, rank in event.ranks.items():
        status = kept.get(id, "pruned")
        changes |= {above.id: {"status": "pruned" if status == "pruned" else "kept"} for above in tree._lane(id)}
        changes[id] = {"rank": rank, "status": status, "copies": event.copies.get(id, 1),
                       "held": event.marks.get(id), **choice}
    return replace(tree._changed(changes), asked=None)


def _asked(tree: Tree, event: ev.Asked) -> Tree:
    return replace(tree, asked=event)


def _steered(tree: Tree, event: ev.Steered) -> Tree:
    return tree._changed({event.node: {"mark": None if event.action == "free" else event.action}})


def _judged(tree: Tree, event: ev.Judged) -> Tree:
    heard = {id: {**tree.nodes[id].scores, event.judge: score} for id, score in event.scores.items()}
    changed = tree._changed({id: {"scores": scores, "has_final": True} for id, scores in heard.items()})
    return replace(changed, judged=event)


def _picked(tree: Tree, event: ev.Picked) -> Tree:
    return replace(tree._changed({event.node: {"has_final": True}}), picked=event.node)


def _shrunk(tree: Tree, event: ev.Shrunk) -> Tree:
    lost = {"status": "pruned", "rule": GIVEN_UP}
    return replace(tree._changed(dict.fromkeys(event.given_up, lost)), shrunk=(*tree.shrunk, event))


def _improved(tree: Tree, event: ev.Improved) -> Tree:
    return replace(tree, improvements=(*tree.improvements, (tree.spent.flops, event.node, event.score)))


def _ended(tree: Tree, event: Any) -> Tree:
    return replace(tree, end=event, asked=None)


_APPLY: dict[type[ev.Event], Callable[[Tree, Any], Tree]] = {
    ev.Started: _started, ev.Expanded: _expanded, ev.Previewed: _previewed, ev.Scored: _scored,
    ev.Asked: _asked, ev.Steered: _steered, ev.Pruned: _pruned, ev.Improved: _improved, ev.Judged: _judged,
    ev.Picked: _picked, ev.Shrunk: _shrunk,
    ev.Finished: _ended, ev.Cancelled: _ended, ev.Failed: _ended,
}
