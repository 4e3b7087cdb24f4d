"""Going on from a node of a run that is shown: what it would cost, and the run that does it."""

from dataclasses import replace
from typing import Any

from core.registry import pick
from core.resume import resumed
from core.search.budget import Budget, Cost
from core.search.errors import BadRequest
from core.search.events import RunSpec
from core.search.guide import Guide
from core.search.sizing import estimate, fit
from core.search.strategies.registry import STRATEGIES, get_strategy, require_abilities, unsupported
from core.search.tree import Tree
from core.speed import speeds
from demo import strings
from demo.context import Context
from demo.inspect import resume_refusal
from demo.settings import GIGA, Plan

CENT = 100  # budgets that are offered are rounded up to a hundredth


def offer(context: Context, asked: dict[str, Any], visitor: str) -> dict[str, Any]:
    """What going on from {"run", "node", "strategy", "budget"} would be; without the last two as its run searched.

    Raises BadRequest, or UnsupportedStrategy, with what is wrong.
    """
    plan = resume_plan(context, asked, visitor)
    tree = _tree(context, asked, visitor)
    [spec], [cost] = plan.specs, plan.costs
    return {
        "node": spec.origin.node, "label": tree.label(spec.origin.step), "strategy": spec.strategy,
        "strategies": [{"name": name, "label": strings.name_of(strings.STRATEGY_NAMES, name)}
                       for name in able(context, spec.generator)],
        "budget": spec.budget_flops / GIGA, "most": context.models.most_gflop(spec.generator),
        "gflop": cost.flops / GIGA, "way_gflop": _way(context, spec).flops / GIGA, "seconds": cost.seconds,
        "params": {name: value for name, value in spec.params.items()},
        "verifier": strings.guide_name(spec.verifier), "winner": spec.origin.winner.get(spec.verifier),
    }  # fmt: skip


def resume_plan(context: Context, asked: dict[str, Any], visitor: str) -> Plan:
    """Raises as `offer`."""
    models, tree = context.models, _tree(context, asked, visitor)
    node = asked.get("node")
    if type(node) is not int or node not in tree.nodes:
        raise BadRequest(strings.BAD_NODE)
    if reason := resume_refusal(tree, tree.nodes[node]):
        raise BadRequest(reason)
    pick("generator", models.generators, tree.spec.generator)
    strategy = _strategy(context, tree, asked.get("strategy"))
    require_abilities(strategy, tree.spec.generator, models.abilities(tree.spec.generator))
    budget = _budget(asked.get("budget"), models.most_gflop(tree.spec.generator))
    store = context.library.find(asked["run"], visitor)
    spec = resumed(store, asked["run"], node, strategy, _params(tree.spec, strategy, budget), Budget(flops=budget))
    return _priced(context, _observed(context, spec))


def able(context: Context, generator: str) -> list[str]:
    """The strategies that can go on from a node of a generator's."""
    abilities = context.models.abilities(generator)
    return [name for name, one in STRATEGIES.items()
            if not one.from_prompt and unsupported(name, generator, abilities) is None]


def _tree(context: Context, asked: dict[str, Any], visitor: str) -> Tree:
    tree = context.library.tree(asked.get("run"), visitor)
    if tree.spec is None:
        raise BadRequest(strings.NOTHING_YET)
    return tree


def _strategy(context: Context, tree: Tree, wanted: Any) -> str:
    """The one asked for, else the run's own, else the first that can go on from a node."""
    if wanted is not None:
        return get_strategy(str(wanted)).name
    usable = able(context, tree.spec.generator)
    return tree.spec.strategy if tree.spec.strategy in usable else usable[0]


def _budget(gflop: Any, most: float) -> float | None:
    if gflop is None:
        return None
    real = isinstance(gflop, int | float) and not isinstance(gflop, bool)
    if not real or not 0 < gflop <= most:
        raise BadRequest(strings.BAD_BUDGET.format(value=repr(gflop)[:40], most=most))
    return gflop * GIGA


def _params(spec: RunSpec, strategy: str, budget: float | None) -> dict[str, Any]:
    """Those of the run, where its strategy goes on; with a budget its sizes follow from that."""
    if strategy != spec.strategy:
        return {}
    sized = get_strategy(strategy).dials if budget else ()
    return {name: value for name, value in spec.params.items() if name not in sized}


def _observed(context: Context, spec: RunSpec) -> RunSpec:
    models, guides = context.models, Guide.parse(spec.verifier).members
    for name in guides:
        pick("verifier", models.verifiers, name)
        if name in models.broken:
            raise BadRequest(f"verifier {name} is not ready: {models.broken[name]}")
    return replace(spec, observers=models.observers(spec.generator, others=guides))


def _priced(context: Context, spec: RunSpec) -> Plan:
    """A plan of one lane; where no budget was given it is what the run costs."""
    models = context.models
    generator, verifiers = models.generator(spec.generator), models.verifiers_of(spec)
    spec = fit(spec, generator, verifiers)
    pace = speeds(generator, verifiers, models.examples[0] if models.examples else spec.prompt)
    cost = estimate(spec, generator, verifiers, True, pace)
    if spec.budget_flops is None:
        spec = spec.with_budget(Budget(flops=-(-cost.flops * CENT // GIGA) / CENT * GIGA))
        _budget(spec.budget_flops / GIGA, max(models.most_gflop(spec.generator), spec.budget_flops / GIGA))
    return Plan((spec,), (cost,))


def _way(context: Context, spec: RunSpec) -> Cost:
    """What it takes to compute the node's own path again."""
    generator = context.models.generator(spec.generator)
    return sum((generator.step_cost(step - 1) for step in spec.origin.path), generator.start_cost)
