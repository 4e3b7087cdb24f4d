"""Laws of the verifiers' validation, with toy verifiers that are told what a picture shows. No artwork, no weights."""

import json
import random

import numpy as np
import pytest
import torch

from core.evaluation import candidates
from core.evaluation import verifier_figures as figures
from core.evaluation import verifier_report as report
from core.evaluation import verifier_trials as trials
from core.evaluation.statistics import auc, auc_interval, calibration_error, rate_difference, rate_interval
from core.generators.emoji_flow import Sampling
from core.search.guide import Guide
from core.training import verifier_checks
from core.verifiers.registry import VERIFIERS
from core.world.captions import words
from core.world.corruptions import LEFT_OUT, read, wrong_atoms
from core.world.scene import Scene

COUNT = 24
DRAWN: list[Scene] = []  # what the toy pictures show


def draw(scenes) -> torch.Tensor:
    """Pictures that hold nothing but their number in DRAWN, in their first pixels."""
    images = torch.full((len(scenes), 3, 128, 128), -1.0)
    for image, scene in zip(images, scenes, strict=True):
        image[:, 0, 0] = torch.tensor([1.0, *(divmod(len(DRAWN), 256)[i] / 127.5 - 1 for i in (0, 1))])
        DRAWN.append(scene)
    return images


def shown(image: np.ndarray) -> Scene | None:
    flag, high, low = (int(level) for level in image[0, 0])
    number = 256 * high + low
    return DRAWN[number] if flag == 255 and (image[1:] == 0).all() and number < len(DRAWN) else None


class Toy:
    """A verifier from a function of the prompt and the scene that the picture shows, None for other pictures."""

    def __init__(self, judge):
        self.judge = judge

    def score(self, prompt, images):
        return [float(self.judge(prompt, shown(image))) for image in images]


def faithful(prompt: str, scene: Scene | None) -> float:
    return -9.0 if scene is None else -min(wrong_atoms(read(prompt), scene), 8)


def forgetful(prompt: str, scene: Scene | None) -> float:
    """Knows all but the type that is left out: what is not there does not trouble it."""
    there = {group.noun for group in scene.groups} if scene else set()
    return 0.0 if there and there < {group.noun for group in read(prompt).scene.groups} else faithful(prompt, scene)


TOYS = {
    "judge": Toy(faithful),  # under names that have bars
    "image_reward": Toy(lambda prompt, scene: len(scene.things) if scene else 0),
    "clip_score": Toy(lambda prompt, scene: 0.5),
    "held_out_b": Toy(lambda prompt, scene: len(words(prompt))),
    "forgetful": Toy(forgetful),
}


@pytest.fixture(scope="module")
def answers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifier_checks, "draw", draw)
        patch.setattr(trials, "aesthetic", lambda scene: 0.0)  # needs the artwork
        found = report.Asked()
        report.ask(TOYS, trials.trials(COUNT), found)
    return found.answers


def table_of(name, answers) -> dict[str, figures.Row]:
    return {row.test: row for row in figures.rows(name, answers[name], {})}


def judged(found) -> dict[str, bool]:
    return {test: row.met(row.figures[0]) for test, row in found.items() if row.bar is not None}


def test_a_perfect_verifier_passes_every_bar(answers):
    found = table_of("judge", answers)
    assert all(judged(found).values()), judged(found)
    assert all(figure["mean"] == 1 for kind in trials.KINDS for figure in found[f"2-way, {kind}"].figures)


def test_every_bar_is_about_a_test_that_is_made(answers):
    for name, bars in figures.BARS.items():
        hits = np.ones(4) if name == "clip_score" else None
        tested = {row.key for row in figures.rows(name, answers[name], {}, hits)}
        assert set(bars) - tested == {figures.ORACLE}


def test_a_constant_verifier_knows_nothing_and_cheats_nowhere(answers):
    found = table_of("clip_score", answers)
    for kind in trials.KINDS:
        assert [figure["mean"] for figure in found[f"2-way, {kind}"].figures] == [0.5] * 3
    assert all(found[test].figures[0]["mean"] == 0.5 for test in trials.BLIND)
    assert found["ECE after temperature scaling"].figures[0]["mean"] < 0.02
    assert not any(judged(found)[f"2-way, {kind}"] for kind in figures.EASY)


def test_who_looks_at_images_only_is_found_out(answers):
    """More things, higher score: right wherever an object is missing, whatever the prompt."""
    found = figures.details(answers["image_reward"], {})["blind"]
    for test in trials.IMAGE_ONLY:
        assert found[test][LEFT_OUT]["mean"] == 1 and found[test]["replace colour"]["mean"] == 0.5
    assert all(found[test][kind]["mean"] == 0.5 for test in trials.TEXT_ONLY for kind in trials.KINDS)
    [farthest] = (row for row in figures.rows("image_reward", answers["image_reward"], {}) if "farthest" in row.test
                  and row.test.startswith(trials.IMAGE_ONLY[1]))  # fmt: skip
    assert farthest.figures[0]["mean"] in (0, 1)  # missing and extra objects make up for each other among all kinds


def test_who_reads_prompts_only_is_found_out(answers):
    found = figures.details(answers["held_out_b"], {})["blind"]
    for test in trials.TEXT_ONLY:
        assert found[test][LEFT_OUT]["mean"] == 1
    assert all(found[test][kind]["mean"] == 0.5 for test in trials.IMAGE_ONLY for kind in trials.KINDS)
    assert table_of("held_out_b", answers)[f"2-way, {LEFT_OUT}"].figures[0]["mean"] == 0.5


def test_what_was_left_out_and_not_learned_shows(answers):
    rows = {row.test: row for row in figures.rows("forgetful", answers["forgetful"], {})}
    assert rows[f"2-way, {LEFT_OUT}"].figures[0]["mean"] <= 0.5
    assert rows[figures.GAP].figures[0]["low"] > 0.3
    assert rows["2-way, replace object"].figures[0]["mean"] == 1


def test_adversarial_images_fall_below_candidates_for_who_looks(answers):
    found = figures.below_median(answers["judge"])
    assert set(found) == set(trials.ADVERSARIES)
    assert all(share["mean"] == 1 for share in found.values())
    assert all(share["mean"] == 0.5 for share in figures.below_median(answers["clip_score"]).values())


def test_held_out_scenes_hold_what_training_does_not():
    from core.world.holdouts import held_out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifier_checks, "draw", lambda scenes: scenes)
        for unseen in (False, True):
            pairs = verifier_checks.make_pairs("replace colour", 20, "law", unseen)
            assert all((held_out(scene) is not None) == unseen for scene in pairs.right)


def test_the_chances_of_a_calibrated_verifier_are_right():
    rng = np.random.default_rng(0)
    chances = rng.beta(0.5, 0.5, 4000)
    happened = (rng.random(4000) < chances).astype(float)
    found = calibration_error(chances, happened)
    assert found["mean"] < 0.03 and found["low"] <= found["mean"] <= found["high"]
    assert calibration_error(np.sqrt(chances), happened)["low"] > 0.05


def test_temperature_scaling_undoes_any_scale():
    """Scores are log-odds, stretched and shifted."""
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 2, 20000)
    right = (rng.random(20000) < 1 / (1 + np.exp(-odds))).astype(float)
    slope, offset = figures.temperature(30 + 5 * odds, right)
    assert (slope, offset) == (pytest.approx(0.2, rel=0.05), pytest.approx(-6, rel=0.05))
    slope, _ = figures.temperature(right, right)
    assert 1 < slope < 1e4  # where all is clear


def test_auc_counts_pairs():
    assert auc([3, 2], [1, 0]) == 1 and auc([1, 1], [1, 1]) == 0.5 and auc([0, 2], [1, 3]) == 0.25
    found = auc_interval([1.0, 2, 3, 9], [0.0, 2, 1, 5])
    assert found["mean"] == pytest.approx(7.5 / 12, abs=1e-4)  # of different pairs
    rng = np.random.default_rng(4)
    found = auc_interval(rng.normal(1, 1, 300), rng.normal(0, 1, 300))
    assert found["low"] < found["mean"] < found["high"] < found["low"] + 0.1 and abs(found["mean"] - 0.76) < 0.08


def test_only_prompts_with_a_pass_and_a_fail_tell_anything():
    scores = np.array([[1, 2, 3], [3, 2, 1], [1, 1, 1], [5, 0, 0]])
    strict = np.array([[0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 1, 1]])
    assert figures.within(scores, strict) == [1, 0, 0.5]


def test_rates_apart():
    one, other = rate_interval(90, 100), rate_interval(80, 100)
    found = rate_difference(one, other)
    assert found["mean"] == pytest.approx(0.1) and found["low"] < 0.01 < 0.19 < found["high"]


def test_an_ensemble_listens_to_who_knows(answers):
    """With two that know nothing of the pair, and in any units."""
    guide = Guide.parse("rank:judge+clip_score+held_out_b")
    stretched = {key: 1000 * scores - 7 for key, scores in answers["judge"].items()}
    for knows in (answers["judge"], stretched):
        together = figures.ensemble(guide, answers | {"judge": knows})
        for kind in trials.KINDS:
            assert figures.wins(together["fresh scenes", kind]).mean() == 1


def test_an_ensemble_ranks_samples_as_a_search_does():
    guide, rng = Guide.parse("rank:a+b"), np.random.default_rng(2)
    scores = {name: rng.normal(size=(5, 8)) for name in "ab"}
    reference = {("candidates", "reference"): rng.normal(size=(4, 8))}
    members = {name: reference | {("generated", "g"): scores[name]} for name in "ab"}
    found = figures.ensemble(guide, members)["generated", "g"]
    shares = np.mean([(part[:, :, None] > part[:, None]).mean(-1) for part in scores.values()], 0)
    assert np.abs(found - shares).max() < 0.1 and found.shape == (5, 8)


class Painter:
    """A generator whose pictures are of one grey, drawn from the seed."""

    name, num_steps, sampling = "painter", 1, Sampling()
    calls = 0

    def start(self, prompt):
        return 0

    def step(self, states, seeds):
        self.calls += 1
        return [seed % 200 for seed in seeds]

    def preview(self, states):
        return np.stack([np.full((128, 128, 3), level, np.uint8) for level in states])


@pytest.fixture
def painter(monkeypatch, tmp_path):
    painter = Painter()
    monkeypatch.setenv("BEAMSCOPE_CACHE", str(tmp_path))
    monkeypatch.setattr(candidates, "load_generator", lambda name: painter)
    return painter


def test_samples_are_drawn_once(painter):
    with pytest.raises(FileNotFoundError, match="--candidates"):
        candidates.candidates(draw=False, count=3)
    rows, images = candidates.candidates(draw=True, count=3)
    again = candidates.candidates(draw=False, count=3)
    assert painter.calls == 6 and again[0] == rows  # two generators
    assert {name: some.shape for name, some in images.items()} == dict.fromkeys(
        candidates.GENERATORS, (3, candidates.EACH, 128, 128, 3))  # fmt: skip
    assert all((images[name] == again[1][name]).all() for name in images)
    assert len(np.unique(images["emoji-ar"])) > 8
    _, more = candidates.candidates(draw=True, count=4)
    assert painter.calls == 8 and (more["emoji-ar"][:3] == images["emoji-ar"]).all()


def test_verifiers_are_audited_on_samples(painter, monkeypatch, answers):
    """A verifier that agrees with the oracle has an AUC of 1 in spite of prompts; a search's rule for ensembles."""
    rows, images = candidates.candidates(draw=True, count=6)
    bright = {name: some[..., 0, 0, 0] for name, some in images.items()}
    monkeypatch.setattr(trials, "aesthetic", lambda scene: 0.0)
    monkeypatch.setattr(verifier_checks, "draw", draw)
    found = report.Asked({name: dict(some) for name, some in answers.items()})
    eye = type("Eye", (), {"score": lambda self, prompt, images: [float(i[0, 0, 0]) for i in images]})()
    report.ask({"judge": eye, "clip_score": TOYS["clip_score"]}, report.sampled(rows, images), found)
    strict = {name: levels > 100 for name, levels in bright.items()}
    table = {row.test: row for row in figures.rows("judge", found.answers["judge"], strict)}
    assert table["AUC within prompts against the oracle, emoji-ar"].figures[0]["mean"] == 1
    assert figures.details(found.answers["judge"], strict)["adversarial candidates"] == report.MIXED
    both = figures.ensemble(Guide.parse("rank:judge+clip_score"), found.answers)
    assert figures.within(both["generated", "emoji-flow-sde"], strict["emoji-flow-sde"]) == [1.0] * 6


def entry_of(answers, name: str = "judge") -> dict:
    spent = {"ms, batch 1": 3.0, "ms, best batch": 2.0, "best batch": 8, "GFLOP": 0.5, "weights, MB": 4.0,
             "machine": {"cpu": "a toy", "cores": 1, "load": 0.0}}  # fmt: skip
    return {
        "weights": {name: "abc"}, "pairs of every kind": COUNT, "not measured": "no samples", "cost": spent,
        "started from": None,
        "rows": [row.to_json() for row in figures.rows(name, answers[name], {})],
        "details": figures.details(answers[name], {}),
    }  # fmt: skip


def test_a_card_holds_its_table_once_and_keeps_the_rest(answers, tmp_path, monkeypatch):
    monkeypatch.setattr(report.weights, "FOLDER", tmp_path)
    (tmp_path / "judge.md").write_text("# judge\n\nfacts\n")
    (tmp_path / "judge.json").write_text(json.dumps({"sha256": "abc"}))
    for _ in range(2):
        report.write({"judge": entry_of(answers)}, {"aesthetic": "no weights"}, tmp_path / "results")
    card = (tmp_path / "judge.md").read_text()
    assert card.startswith("# judge\n\nfacts\n") and card.count(report.BEGIN) == card.count(report.END) == 1
    assert "| 2-way, swap relation | >= 0.93 | 1.000 [" in card and "3.0 ms one at a time" in card
    assert "Not measured: `aesthetic`: no weights" in (tmp_path / "results" / "verifiers.md").read_text()


def test_figures_are_kept_as_long_as_the_weights(answers, tmp_path, monkeypatch):
    monkeypatch.setattr(report.weights, "FOLDER", tmp_path)
    for name, sha in (("judge", "abc"), ("clip_score", "other")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"sha256": sha}))
    for name in ("judge", "clip_score"):
        report.write({name: entry_of(answers, name)}, {}, tmp_path)
    report.write({}, {}, tmp_path)
    assert set(json.loads((tmp_path / "verifiers.json").read_text())["verifiers"]) == {"judge"}


def test_every_committed_card_holds_the_validation_of_its_weights():
    """Made by python -m core.evaluation.verifier_report --b --candidates, after any training of a verifier."""
    singles = [name for name in report.everything(b=True) if ":" not in name and report.card_of(name).exists()]
    known = report.kept(report.RESULTS / "verifiers.json")
    for name in singles:
        assert name in known, f"{name} has no figures, or those of other weights"
        assert report.section(name, known[name]) in report.card_of(name).read_text()


def test_ensembles_are_of_verifiers_that_can_be_chosen():
    members = {member for name in report.ENSEMBLES for member in Guide.parse(name).members}
    assert members <= set(VERIFIERS) and report.HELD_OUT not in VERIFIERS


def test_a_warm_start_is_said_and_takes_the_left_out_types_bar(answers, tmp_path, monkeypatch):
    monkeypatch.setattr(report.weights, "FOLDER", tmp_path)
    (tmp_path / "judge.json").write_text(json.dumps({"sha256": "abc", "started_from": "weights 123"}))
    (tmp_path / "clip_score.json").write_text(json.dumps({"sha256": "abc", "started_from": "random weights"}))
    assert report.started_from("rank:clip_score+judge") == report.started_from("judge") == "weights 123"
    assert report.started_from("clip_score") is None
    assert "may have shown" in report.section("judge", entry_of(answers) | {"started from": "weights 123"})
    [gap] = (row for row in figures.rows("judge", answers["judge"], {}, warm=True) if row.test == figures.GAP)
    assert gap.bar is None and gap.figures[0] is not None


def test_a_miss_is_printed(answers):
    text = report.section("clip_score", entry_of(answers, "clip_score"))
    assert "**MISSED**" in text and "0.500" in text


def test_costs_of_ensembles_add_up(answers):
    one = entry_of(answers)["cost"]
    assert report.together([one, one, one])["GFLOP"] == 1.5


def test_toys_are_seen_through_their_pictures():
    random.seed(0)
    scene = trials.retrieval_scenes(0, 1)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifier_checks, "draw", draw)
        [image] = trials.images_of([scene])
    assert shown(image) is scene and shown(trials.blank()) is None
