"""Models of others in the page: their own budgets and verifiers, and one of them beside another."""

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from core.registry import Entry, Needs
from core.search.errors import BadRequest, WeightsMissing
from demo import links, panel, settings
from demo.asked import read_asked
from tests.painted import NOISE_ABILITIES, SCALES_ABILITIES, Painter, Warmth, painted_models, with_strangers


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two models of others that are here, one that is not, and a verifier made for the embedded world."""
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(tmp_path))
    models = with_strangers(painted_models())
    needs = Needs(parameters=1e6, gflop=60)
    others = {"large": Entry("scales", lambda: Painter("large"), SCALES_ABILITIES, needs=needs),
              "slow": Entry("noise", lambda: Painter("slow", 12), NOISE_ABILITIES, needs=replace(needs, gflop=200))}
    native = Entry("embedded", Warmth, needs=Needs(assets=("tokenizer",)))
    return replace(models, generators=models.generators | others, verifiers={"native": native, **models.verifiers},
                   natives=frozenset({"native"}))


def asked(models, **given):
    return read_asked(models, {"prompt": "a dog", **given})


def test_the_usual_budget_is_in_images_of_the_model(models):
    assert models.usual_gflop("painter") == 100 and models.usual_gflop("large") == 1200
    assert asked(models, model="large").spec.budget_flops == 1200e9
    spec = links.spec_of(models, dict(parse_qsl("p=a+dog&m=large")))
    assert spec.budget_flops == 1200e9 and links.query_of(models, spec) == "p=a+dog&m=large"
    other = replace(spec, budget_flops=100e9)
    assert links.spec_of(models, dict(parse_qsl(links.query_of(models, other)))).budget_flops == 100e9
    assert [panel.preset(models, name, "large")[1] for name in ("quick", "deep")] == [480, 4800]


def test_a_verifier_of_the_embedded_world_gives_way_to_one_that_can_judge(models):
    assert models.guide_of("painter") == "native" and models.guide_of("large") == "warmth"
    assert asked(models, model="large").spec.verifier == "warmth"
    with pytest.raises(BadRequest, match="native of the embedded world cannot score what large makes: choose warmth"):
        asked(models, model="large", verifier="native")


def test_one_model_of_others_runs_beside_another_at_equal_compute(models):
    plan = asked(models, model="large", baseline="random_search@slow").plan(models)
    searcher, beside = plan.specs
    assert (searcher.generator, beside.generator, beside.strategy) == ("large", "slow", "random_search")
    assert plan.costs[1].flops <= plan.costs[0].flops and beside.verifier == searcher.verifier == "warmth"
    assert settings.baseline_of(models, beside) == "random_search@slow" and settings.baseline_of(models, None) == "off"
    query = links.query_of(models, searcher, "random_search@slow")
    assert links.beside_of(models, dict(parse_qsl(query))) == "random_search@slow"
    labels = dict(map(reversed, panel.baseline_choices(models)))
    assert labels["random_search@slow"] == "slow, best of n"
    assert labels["random_search@giant"] == "giant, best of n · download 13.9 GB"


def test_worlds_are_not_compared_and_what_is_not_here_is_refused(models):
    alone = asked(models, verifier="warmth", baseline="random_search@slow").plan(models)
    assert len(alone.specs) == 1 and len(asked(models, model="large").plan(models).specs) == 1
    assert len(asked(models, verifier="warmth").plan(models).specs) == 2
    with pytest.raises(WeightsMissing, match="download giant"):
        asked(models, model="large", baseline="random_search@giant")
    with pytest.raises(BadRequest, match="random_search@slow"):
        asked(models, baseline="zero_order@slow")
