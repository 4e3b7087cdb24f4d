"""What axe-core finds wrong with a page as it stands."""

from functools import cache
from importlib.resources import files

from playwright.sync_api import Page

GRAVE = ("serious", "critical")


@cache
def _source() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


def findings(page: Page) -> list[str]:
    """Serious and critical violations, one line each: the rule and where it is broken."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_source())
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {' | '.join(node['target'][0] for node in violation['nodes'][:4])}"
        for violation in found if violation["impact"] in GRAVE
    ]  # fmt: skip
