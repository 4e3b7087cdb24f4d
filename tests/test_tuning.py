"""Tuning and the contact sheet: every generator gets as many trials, what is shown is what was found."""

from argparse import Namespace
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageColor

from core.evaluation import contact_sheet, parts, prompts, statistics, tune
from core.evaluation.headline import runs
from core.evaluation.oracle.check import Reading
from core.generators.registry import GENERATORS
from core.registry import Entry
from core.search.errors import BadRequest, WeightsMissing
from core.verifiers.registry import VERIFIERS
from tests.painted import Painter, Warmth
from tests.toy import ToyGenerator

PROMPTS = 24


class Guided(ToyGenerator):
    """The nearer its guidance to 3, the more often its image is right; more steps change nothing and cost more."""

    def __init__(self, sampling):
        super().__init__()
        self.sampling = sampling
        self.right = 1 - abs(np.mean(sampling.cfg) - 3) / 4

    def step_cost(self, step):
        return super().step_cost(step) * getattr(self.sampling, "steps", 1)


@pytest.fixture
def toys(monkeypatch, tmp_path):
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    monkeypatch.setattr(statistics, "ROUNDS", 500)
    monkeypatch.setattr(tune, "_sampler", lambda name, sampling: Guided(sampling))
    monkeypatch.setattr(tune, "load_oracle", lambda: None)
    calls = Counter()

    def tried(name, sampling, row, samples, by):
        calls[name] += 1
        right = int(sum(map(ord, row.id)) % 10 < 10 * Guided(sampling).right)
        return {"value": [right] * samples, "atoms": [right] * samples, "error": None}

    monkeypatch.setattr(tune, "tried", tried)
    for name in tune.GRIDS:
        monkeypatch.setitem(GENERATORS, name, Entry("digits", ToyGenerator))
    return calls


def asked(**options):
    return Namespace(**{"prompts": PROMPTS, "samples": 2, "screen": None, "by": "oracle", "sde": False, "workers": 1}
                     | options)  # fmt: skip


@pytest.mark.parametrize("screen", [None, 12])
def test_every_generator_gets_as_many_trials_and_the_same_prompts(toys, screen):
    found = tune.tuned(asked(screen=screen))["generators"]
    assert {len(of["trials"]) for of in found.values()} == {tune.MOST}
    assert len({tuple(sorted(trial["prompts"] for trial in of["trials"])) for of in found.values()}) == 1
    assert len(set(toys.values())) == 1, "as many samples of each were drawn"
    for of in found.values():
        assert len({str(trial["sampling"]) for trial in of["trials"]}) == tune.MOST
        assert of["best"] == of["trials"][0]["sampling"]
        assert abs(np.mean(of["best"]["cfg"]) - 3) < 0.6
        assert {trial["prompts"] for trial in of["trials"]} == ({PROMPTS} if screen is None else {screen, PROMPTS})


def test_the_frugal_trial_is_no_dearer_and_not_known_to_be_worse(toys):
    flow = tune.tuned(asked())["generators"]["emoji-flow"]
    price = {str(trial["sampling"]): trial["gflop"] for trial in flow["trials"]}
    assert flow["frugal"]["steps"] == 8 and price[str(flow["frugal"])] <= price[str(flow["best"])]
    assert flow["trials"][0]["behind"]["mean"] == 0


def test_tuning_that_was_broken_off_goes_on(toys):
    first = tune.tuned(asked())
    drawn = dict(toys)
    assert tune.tuned(asked()) == first and dict(toys) == drawn
    assert "strict" not in first["generators"]["emoji-ar"]["trials"][0]
    assert tune.lines(first)[0].startswith("by oracle, 24 prompts")


def test_the_sde_sampler_is_tuned_on_what_was_best_without(toys):
    found = tune.tuned(asked(sde=True))["generators"]
    etas = [trial["sampling"].pop("eta") for trial in found["emoji-flow-sde"]["trials"]]
    assert sorted(etas) == list(tune.ETAS)
    assert {str(trial["sampling"]) for trial in found["emoji-flow-sde"]["trials"]} == {
        str({key: value for key, value in found["emoji-flow"]["best"].items() if key != "eta"})
    }


def test_without_an_oracle_a_verifier_may_be_the_yardstick(toys, monkeypatch):
    def missing():
        raise WeightsMissing("run python -m core.evaluation.oracle.train")

    monkeypatch.setattr(tune, "load_oracle", missing)
    monkeypatch.setitem(VERIFIERS, "warmth", Entry("red", Warmth))
    with pytest.raises(WeightsMissing):
        tune.tuned(asked())
    assert tune.tuned(asked(by="warmth"))["by"] == "warmth"


# The contact sheet


class RedIsRight:
    def read(self, images):
        return [Reading((), "white", unclear=image[..., 0].mean() < image[..., 2].mean()) for image in images]


@pytest.fixture
def painters(monkeypatch, tmp_path):
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    monkeypatch.setitem(GENERATORS, "emoji-ar", Entry("paints", Painter))
    monkeypatch.setitem(GENERATORS, "emoji-flow-sde", Entry("paints", lambda: Painter("noisy", 12)))
    monkeypatch.setitem(VERIFIERS, "warmth", Entry("red", Warmth))
    monkeypatch.setattr(contact_sheet, "check", lambda reading, scene: Namespace(strict=not reading.unclear))
    monkeypatch.setattr(contact_sheet, "load_oracle", RedIsRight)
    monkeypatch.setattr(parts, "weights_of", lambda names: {})
    return prompts.dev_rows(PROMPTS)


def has(page, colour):
    return (np.asarray(page) == ImageColor.getrgb(colour)).all(-1).any()


@pytest.mark.parametrize("look", ["preview", "rollout"])
def test_what_is_shown_side_by_side_costs_no_more_than_best_of_n(painters, look):
    single, many, beam, flow = contact_sheet.columns("warmth", look)
    assert many.spec.params["n"] >= 8 and beam.spec.params["look"] == look
    assert single.gflop < max(beam.gflop, flow.gflop) <= many.gflop
    assert beam.spec.params["width"] >= 2 and flow.spec.generator == "emoji-flow-sde"


def test_the_sheet_shows_every_prompt_and_what_the_oracle_said(painters, tmp_path):
    shown = contact_sheet.columns("warmth", "preview")
    found = contact_sheet.pictures(painters, shown, 0, 1)
    assert len(found) == PROMPTS and all(len(one["images"]) == len(one["strict"]) == 4 for one in found)
    assert sum(one["strict"][1] for one in found) > sum(one["strict"][0] for one in found), "chosen for its red"
    page = contact_sheet.sheet(painters, found, shown, "warmth")
    assert has(page, contact_sheet.RIGHT) and has(page, contact_sheet.WRONG), "ticks and crosses"
    contact_sheet.save(page, tmp_path / "sheet.jpg")
    assert (tmp_path / "sheet.jpg").stat().st_size <= contact_sheet.MOST_BYTES
    assert Image.open(tmp_path / "sheet.jpg").size == page.size
    assert contact_sheet.pictures(painters, shown, 0, 1) == found, "kept"


def test_without_an_oracle_nothing_is_marked(painters, monkeypatch):
    def missing():
        raise WeightsMissing("no weights")

    monkeypatch.setattr(contact_sheet, "load_oracle", missing)
    shown = contact_sheet.columns("warmth", "preview")
    found = contact_sheet.pictures(painters[:12], shown, 0, 1)
    assert found[0]["strict"] == [None] * 4
    page = contact_sheet.sheet(painters[:12], found, shown, "warmth")
    assert not has(page, contact_sheet.RIGHT) and not has(page, contact_sheet.WRONG)


def test_a_price_that_pays_for_no_beam_is_refused(painters, monkeypatch):
    def never(*_):
        raise BadRequest("too small")

    monkeypatch.setattr(contact_sheet, "sized", never)
    with pytest.raises(BadRequest, match="too small"):
        contact_sheet.columns("warmth", "preview")


def test_a_search_that_fails_is_shown_black(painters):
    single = contact_sheet.columns("warmth", "preview")[0].spec
    found = contact_sheet.drawn([single, contact_sheet.replace(single, budget_flops=1.0)], painters[0])
    assert not np.asarray(contact_sheet._unpacked(found["images"][1])).any()
    with pytest.raises(RuntimeError, match="budget"):
        runs.searched(contact_sheet.replace(single, budget_flops=1.0), Warmth())
