"""Every page and state, in light and dark: what axe-core says, whether it fits 320 px and twice the size.

With BEAMSCOPE_PICTURES naming a folder, a picture of each state is kept there.
"""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.axe import findings

PICTURES = os.environ.get("BEAMSCOPE_PICTURES")
PAGES = {
    "explore": ("/", ".bs-plot .main-svg"), "gallery": ("/gallery", ".bs-run"),
    "learn": ("/learn?lesson=4&scene=2", ".bs-plot .main-svg"), "about": ("/about", ".bs-fold"),
    "compare": ("/compare?runs={runs}", ".bs-overlay-chart .main-svg"), "lost": ("/?run=nothing", ".bs-plot"),
}  # fmt: skip


def chosen_node(page):
    """A node of the tree, so that the inspector has something to say."""
    page.wait_for_function("() => window.beamscope && window.beamscope.comparison")
    page.evaluate("() => window.beamscope.pick(3, 0, true)")
    expect(page.locator(".bs-inspector")).to_contain_text("Node 3")


def resume(page):
    chosen_node(page)
    page.get_by_role("button", name="Resume from here").click()
    expect(page.locator("dialog[open]")).to_be_visible()


def insights(page):
    page.locator(".bs-insights summary, details:has-text('Insights') summary").first.click()
    page.wait_for_timeout(500)


def sheet(page):
    """The inspector on a phone."""
    page.set_viewport_size({"width": 390, "height": 844})
    chosen_node(page)
    expect(page.locator(".bs-inspector.bs-open")).to_be_visible()


def table(page):
    """The nodes as rows, for those to whom a drawing says nothing."""
    page.get_by_role("button", name="Table", exact=True).click()
    expect(page.locator(".bs-nodes-table").first).to_be_visible()


def choosing(page):
    """A search that waits for a person."""
    page.get_by_label("You choose the survivors").check()
    page.fill("#bs-prompt input, #bs-prompt textarea", "a red car")
    page.click("#bs-search")
    expect(page.locator("[aria-label^='You choose']").first).to_be_visible()


def share(page):
    page.get_by_role("button", name="Share").click()
    expect(page.locator("dialog[open]")).to_be_visible()


def out_of_memory(page):
    """A run that ended early, with the way to a smaller one."""
    runs = page.request.get(page.url + "data/runs").json()["runs"]
    page.goto(f"{page.url}?run={next(run['run'] for run in runs if run['state'] == 'failed')}")
    expect(page.get_by_role("button", name="Retry with width 2")).to_be_visible()


def no_models(page):
    """They could not be loaded, and Search says so."""
    told = {"ready": False, "problem": "X is missing: fetch it.", "loading": None, "done": 2, "of": 6, "seconds": 3}
    page.route("**/data/models", lambda route: route.fulfill(json=told))
    page.reload()
    expect(page.locator("#bs-why-not")).to_contain_text("fetch it")


def no_such_run(page):
    expect(page.locator("#bs-hint")).to_contain_text("no run")


def tray(page):
    for box in page.locator(".bs-choice input").all()[:2]:
        box.check()


def nothing_found(page):
    page.fill(".bs-search", "no such words")
    expect(page.locator("#bs-root")).to_contain_text("No run matches")


def open_card(page):
    page.click(".bs-fold summary")


STATES = [
    ("explore", chosen_node), ("explore", share), ("explore", resume), ("explore", insights), ("explore", sheet),
    ("explore", table), ("explore", choosing),
    ("explore", out_of_memory), ("explore", no_models), ("lost", no_such_run),
    ("gallery", None), ("gallery", tray), ("gallery", nothing_found),
    ("learn", None), ("about", open_card), ("compare", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(address, browser):
    """Two recorded runs, to be compared."""
    page = browser.new_page()
    found = page.request.get(f"{address}/data/runs").json()["runs"]
    page.close()
    return ",".join(run["run"] for run in found[:2])


def opened(open_page, address, runs, name, **size):
    path, ready = PAGES[name]
    return open_page(address + path.format(runs=runs), ready=ready, **size)


def switch(page, theme):
    """With the button of the top bar, which may lie behind a dialog."""
    if page.evaluate("() => document.body.classList.contains('dark')") != (theme == "dark"):
        page.evaluate("() => document.querySelector('.bs-theme').click()")
    assert page.evaluate("() => document.body.classList.contains('dark')") is (theme == "dark")


def picture(page, name):
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{PICTURES}/{name}.png")


@pytest.mark.parametrize("name, arrange", STATES)
def test_nothing_shuts_anybody_out_in_light_or_dark(open_page, address, runs, name, arrange):
    page = opened(open_page, address, runs, name)
    picture(page, f"{name}-first")
    if arrange:
        arrange(page)
    label = f"{name}{'-' + arrange.__name__ if arrange else ''}"
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    for theme in ("light", "dark"):
        switch(page, theme)
        picture(page, f"{label}-{theme}")
        assert findings(page) == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_320_px_or_a_page_at_twice_the_size(open_page, address, runs, name):
    """WCAG 1.4.10: no scrolling in two directions. A window of 1280 px at 200 % is one of 640 px."""
    page = opened(open_page, address, runs, name, width=320, height=700)
    for width in (320, 640):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_timeout(150)
        picture(page, f"{name}-{width}")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        outside = page.evaluate("""(width) => [...document.querySelectorAll(".bs-top a, .bs-top button")]
          .filter((one) => { const box = one.getBoundingClientRect(); return box.left < -1 || box.right > width + 1; })
          .map((one) => one.textContent)""", width)
        assert outside == []


def test_the_chosen_theme_stays_from_page_to_page(open_page, address):
    page = open_page(f"{address}/gallery", ready=".bs-run")
    switch(page, "light")
    page.click(".bs-theme")
    page.click("nav >> text=About")
    page.wait_for_selector(".bs-fold")
    assert page.evaluate("() => document.body.classList.contains('dark')")
    page.click("nav >> text=Explore")
    page.wait_for_selector(".bs-plot .main-svg")
    page.wait_for_function("() => document.body.classList.contains('dark')")
    page.click(".bs-theme")
    page.wait_for_function("() => !document.body.classList.contains('dark')")
