"""Downloaded verifiers guide a search and look on like our own: small random models where the real ones would lie."""

import json

import pytest

from core import cli
from core.registry import Entry
from core.verifiers import laion_aesthetic, open_clip_score, pickscore, vlm_judge
from core.verifiers.registry import VERIFIERS
from tests import test_open_clip_verifiers, test_pickscore, test_vlm_judge

LOADERS = {"clip_score-l14": open_clip_score, "aesthetic-laion": laion_aesthetic, "pickscore": pickscore,
           "vlm_judge": vlm_judge}  # fmt: skip
PROMPT = "a red car to the left of a tree"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Packages of all of them; entries of their own, since those of the lists load once a process."""
    root = tmp_path / "models"
    root.mkdir()
    test_open_clip_verifiers.save_packages(root)
    test_vlm_judge.save_package(root)
    test_pickscore.save_package(root)
    monkeypatch.setenv("BEAMSCOPE_MODELS", str(root))
    monkeypatch.setenv("BEAMSCOPE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("BEAMSCOPE_DEVICE", "cpu")
    for name, module in LOADERS.items():
        monkeypatch.setitem(VERIFIERS, name, Entry("small", module.load, dear=True))


def test_a_language_model_guides_and_the_others_look_on(models, capsys):
    """It says what it was asked about the best image, and the guide's price is in the bill."""
    command = ["search", PROMPT, "--verifier", "vlm_judge", "--width", "2", "--branch", "2"]
    assert cli.main([*command, "--observers", "clip_score-l14,aesthetic-laion,pickscore", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["best"]["scores"]) == set(LOADERS) and found["best"]["scores"]["vlm_judge"] < 0
    price = vlm_judge.load().cost.flops_verifier
    assert found["cost"]["flops_verifier"] == pytest.approx(found["cost"]["verifier_calls"] * price)
    assert cli.main([*command, "--observers", "none"]) == 0
    assert "Does this image show a red car?" in capsys.readouterr().out


def test_on_a_cpu_they_take_one_image_a_call(models):
    """Which takes seconds there, and a person may want to stop between two; the scores are the same."""
    for module in LOADERS.values():
        assert module.load().max_batch == 1


def test_several_of_them_guide_together(models, capsys):
    """Two that share a CLIP, and one that does not, by their ranks."""
    guide = "rank:clip_score-l14+aesthetic-laion+pickscore"
    command = ["search", PROMPT, "--verifier", guide, "--strategy", "random_search", "--n", "4", "--observers", "none"]
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["scores"].keys() >= {guide}
