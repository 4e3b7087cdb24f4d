"""Laws of the command that records runs to ship."""

import sys

from core.store.runs import RunStore
from core.verifiers.registry import VERIFIERS
from demo import record


def test_a_recorded_run_is_watched_by_our_own_verifiers_and_takes_the_place_of_the_one_before(tmp_path, monkeypatch):
    """Weights of others are not on every machine; a run that cannot be made leaves what was there."""

    def recorded(*options):
        command = ["record", "a cat", "--strategy", "random_search", "--set", "n=2", "--budget", "20"]
        monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path), *options])
        return record.main()

    store = RunStore(tmp_path)
    assert recorded() == 0
    first = {info.run for info in store.list()}
    assert recorded("--replace", "--verifier", "nobody") == 2 and {info.run for info in store.list()} == first
    assert recorded("--replace") == 0
    runs = {info.run for info in store.list()}
    assert runs and not runs & first
    watched = {name for run in runs for name in store.load(run)[0].spec.observers}
    assert watched and not any(VERIFIERS[name].foreign for name in watched)
