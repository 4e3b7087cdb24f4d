"""A visitor chooses, pins, forbids, goes on from a pruned node, and learns what scores are worth."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import finish, search

ROWS = "[...beamscope.comparison.lanes[0].rows.values()]"
PRUNED = f"""(step) => {ROWS}.find((row) => row.state === "pruned" && row.x === step).id"""
RANKED_BY = f"(by) => {ROWS}.filter((row) => row.by === by && row.rank !== null).length"
KEPT_FIRST = f"{ROWS}.filter((row) => row.x === 1 && row.state === 'kept').map((row) => row.id)"


def begin_choosing(page):
    page.locator("#bs-chooser input").check()
    search(page)
    page.wait_for_url("**/?run=*")


def title(page):
    return page.locator(".bs-ballot-title")


def press(page, name):
    page.locator(".bs-ballot-bar").get_by_role("button", name=name, exact=True).click()


def inspect(page, id):
    page.evaluate("(id) => beamscope.pick(id, 0, true)", id)
    expect(page.locator(".bs-inspector h2")).to_contain_text(f"Node {id} ")


def test_you_are_the_verifier(address, open_page):
    """Previews are clicked, then the tree; what was chosen goes on, and the run says who chose."""
    page = open_page(address)
    begin_choosing(page)
    expect(title(page)).to_have_text("Step 1, 1x1: which go on? Choose up to 3 of 15.")
    expect(page.locator(".bs-state")).to_have_text("your turn")
    go = page.get_by_role("button", name="Continue", exact=True)
    expect(go).to_be_disabled()
    candidates = page.locator(".bs-candidate")
    expect(candidates).to_have_count(15)
    for place in (4, 9, 2):
        candidates.nth(place).click()
    expect(page.locator(".bs-ballot-count")).to_have_text("3 of 3 chosen")
    expect(candidates.nth(0)).to_be_disabled()
    candidates.nth(9).click()
    expect(page.locator(".bs-ballot-count")).to_have_text("2 of 3 chosen")
    go.click()
    expect(title(page)).to_have_text("Step 2, 2x2: which go on? Choose up to 3 of 10.")
    expect(page.locator(".bs-ballot")).to_contain_text(re.compile(r"the verifier would have kept \d of your 2"))
    assert page.evaluate(KEPT_FIRST) == [3, 5]
    press(page, "Show the tree")
    expect(page.locator(".bs-ballot")).to_be_hidden()
    inspect(page, 20)
    expect(page.locator(".bs-ballot-count")).to_have_text("1 of 3 chosen")
    press(page, "Continue")
    expect(title(page)).to_contain_text("Step 3")
    page.reload()
    expect(title(page)).to_contain_text("Step 3")  # the search has waited
    press(page, "Verifier decides")
    expect(title(page)).to_contain_text("Step 4")
    press(page, "Verifier decides the rest")
    finish(page)
    expect(page.locator(".bs-ballot-bar")).to_be_hidden()
    assert page.evaluate(RANKED_BY, "person") == 25
    inspect(page, 3)
    expect(page.locator(".bs-inspector")).to_contain_text("Kept: a person chose it. By the verifier it ranked")
    expect(page.locator(".bs-inspector")).to_contain_text(re.compile("The verifier would have (kept|pruned) it"))


def test_nobody_else_is_asked(address, open_page, browser):
    page = open_page(address)
    begin_choosing(page)
    expect(title(page)).to_contain_text("Step 1")
    context = browser.new_context(reduced_motion="reduce")
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator(".bs-state")).to_have_text("waits for its visitor")
    expect(other.locator(".bs-ballot-bar")).to_be_hidden()
    run = re.search(r"run=([a-z0-9-]+)", page.url)[1]
    refused = other.request.post(f"{address}/data/choose", data={"run": run, "keep": [1]})
    assert refused.status == 403 and refused.json()["error"]
    context.close()
    page.keyboard.press("Escape")
    page.wait_for_selector(".bs-status[data-state=cancelled]")


def test_pinned_survives_and_forbidden_does_not(address, open_page):
    page = open_page(address)
    begin_choosing(page)
    expect(title(page)).to_contain_text("Step 1")
    for id, action, told in [(7, "Forbid", "out at the next choice"), (8, "Pin", "survives the next choices")]:
        inspect(page, id)
        page.locator(".bs-actions").get_by_role("button", name=action, exact=True).click()
        expect(page.locator(".bs-actions .bs-told")).to_contain_text(told)
    expect(page.get_by_role("button", name="Candidate, node 7", exact=True)).to_be_disabled()
    expect(page.locator(".bs-plot")).to_contain_text("×")
    press(page, "Verifier decides the rest")
    finish(page)
    state = "(id) => beamscope.comparison.lanes[0].rows.get(id).state"
    assert page.evaluate(state, 7) == "pruned" and page.evaluate(state, 8) == "kept"
    inspect(page, 7)
    expect(page.locator(".bs-why")).to_contain_text("Pruned: a person forbade it.")
    expect(page.locator(".bs-actions").get_by_role("button", name="Pin", exact=True)).to_have_count(0)


def test_going_on_from_a_pruned_node_says_the_price_and_becomes_a_point(address, open_page):
    page = open_page(address)
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    first = page.url
    inspect(page, page.evaluate(PRUNED, 2))
    page.locator(".bs-actions").get_by_role("button", name="Resume from here").click()
    dialog = page.locator(".bs-dialog[open]")
    expect(dialog.locator(".bs-price")).to_contain_text(re.compile(r"at most [\d.]+ GFLOP.* compute the way"))
    expect(dialog.locator(".bs-price")).to_contain_text("The result to beat:")
    dialog.get_by_label("Budget, GFLOP").fill("0.1")
    expect(dialog.locator(".bs-price.bs-error")).to_contain_text("too small")
    expect(dialog.get_by_role("button", name="Go on")).to_be_disabled()
    dialog.get_by_label("Budget, GFLOP").fill("12")
    expect(dialog.locator(".bs-price")).to_contain_text("at most")
    dialog.get_by_role("button", name="Go on").click()
    page.wait_for_function("(first) => location.href !== first", arg=first)
    finish(page)
    expect(page.locator(".bs-origin")).to_contain_text("an earlier run")
    expect(page.locator(".bs-plot")).to_contain_text("R2")  # at the node gone on from, in the earlier run's own tree
    told = re.compile(r"^Final -?[\d.]+ against the winner's -?[\d.]+:")
    expect(page.locator(".bs-finding").first).to_contain_text(told)
    page.locator(".bs-insights summary").click()
    expect(page.locator(".bs-insight").nth(1)).to_contain_text(re.compile(r"\d+ runs went on from a node"))
    told = re.compile("stored runs? of painter guided by warmth")
    expect(page.locator(".bs-insight").nth(0)).to_contain_text(told)


@pytest.fixture(scope="module")
def done(address, browser):
    """The address of a run that is over."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector(".bs-plot")
    search(page)
    page.wait_for_url("**/?run=*")
    finish(page)
    url = page.url
    page.close()
    return url


def test_the_inspector_shows_the_margin_and_opens_the_picture(address, open_page, done):
    page = open_page(done)
    finish(page)
    inspect(page, page.evaluate(PRUNED, 3))
    expect(page.locator(".bs-margin.bs-below")).to_be_visible()
    expect(page.locator(".bs-scores")).to_contain_text(re.compile(r"warmth \(guides\)-?\d"))
    expect(page.locator(".bs-still a[download]")).to_have_attribute("href", re.compile(r"/t/.*\.jpg"))
    page.get_by_role("button", name="Show the picture large").click()
    expect(page.locator(".bs-viewer img")).to_have_js_property("naturalWidth", 128)
    page.keyboard.press("Escape")
    expect(page.locator(".bs-viewer")).to_be_hidden()
    expect(page.locator(".bs-inspector h2")).to_contain_text("Node")
    page.evaluate("navigator.clipboard.writeText = (words) => { window.copied = words; return Promise.resolve(); }")
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.locator(".bs-actions .bs-told")).to_have_text("Copied.")
    assert page.evaluate("JSON.parse(window.copied).margin.by < 0")


def test_on_a_phone_the_inspector_is_a_sheet_that_escape_closes(address, open_page, done):
    page = open_page(done, 390, 844, has_touch=True, is_mobile=True)
    finish(page)
    inspect(page, page.evaluate(PRUNED, 3))
    sheet = page.locator(".bs-inspector")
    expect(sheet).to_be_visible()
    box = sheet.bounding_box()
    assert abs(box["y"] + box["height"] - 844) < 1 and box["height"] < 0.75 * 844
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sheet.locator("h2").focus()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
