"""Explore: both trees, time, ways of comparing, the chart, the table, and addresses that hold a view."""

import re

import pytest
from playwright.sync_api import expect

from core.store.runs import RunStore
from demo import script_strings
from tests.browser.axe import findings
from tests.browser.test_page import finish, search_long

SECOND = """(() => { const host = document.querySelector('.bs-plot-second');
  return host.data ? host.data.at(-1).x.length : 0; })()"""
MODES = ("slider", "difference", "blind")
POSITION = "beamscope.position"


@pytest.fixture
def recorded_run(folder, address):
    """A recorded comparison, which every visitor may look at."""
    return next(info.run for info in RunStore(folder / "rec").list() if info.beside and not info.parent)


@pytest.fixture
def stage(open_page, address, recorded_run):
    """The page with a comparison that is over."""
    page = open_page(f"{address}/?run={recorded_run}")
    finish(page)
    return page


def pressed(page, name):
    return page.get_by_role("button", name=name, exact=True)


def test_the_run_beside_has_a_tree_of_its_own(stage):
    stage.wait_for_function(f"{SECOND} > 100")
    expect(stage.locator(".bs-slot-second")).to_contain_text("noisy")
    stage.focus(".bs-plot-second")
    stage.keyboard.press("End")
    expect(stage.locator(".bs-inspector h2")).to_contain_text("step 12")
    pressed(stage, "painter").click()
    expect(stage.locator(".bs-plot-second")).to_be_hidden()
    pressed(stage, "Both").click()
    expect(stage.locator(".bs-plot-second")).to_be_visible()


def test_keys_and_the_slider_drive_tree_pictures_chart_and_status_together(stage):
    end = stage.evaluate(POSITION)
    nodes = stage.locator(".bs-nodes")
    last = nodes.inner_text()
    stage.keyboard.press("Home")
    assert stage.evaluate(POSITION) == 0
    for _ in range(5):
        stage.keyboard.press(".")
    stage.keyboard.press(",")
    assert stage.evaluate(POSITION) == 4
    expect(stage.locator(".bs-place")).to_contain_text("step 4 of")
    expect(nodes).not_to_have_text(last)
    expect(stage.locator(".bs-frame .bs-empty").first).to_be_visible()
    stage.wait_for_function("document.querySelector('.bs-chart').layout.shapes.length === 1")
    stage.keyboard.press("End")
    assert stage.evaluate(POSITION) == end
    expect(nodes).to_have_text(last)
    assert stage.locator(".bs-tick").count() == 6


def test_a_replay_plays_at_the_chosen_speed(stage):
    pressed(stage, "2×").click()
    stage.locator(".bs-title").click()
    stage.keyboard.press("Space")
    expect(stage.locator(".bs-play")).to_have_text(script_strings.JS["player"]["pause"])
    finish(stage)
    expect(stage.locator(".bs-play")).to_have_text(script_strings.JS["player"]["play"])


def test_images_are_compared_in_several_ways(stage):
    pressed(stage, "Slider").click()
    cut = stage.get_by_role("slider", name=script_strings.JS["compare"]["cut"])
    cut.fill("20")
    assert stage.evaluate("document.querySelectorAll('.bs-stack img')[1].style.clipPath") == "inset(0px 0px 0px 20%)"
    pressed(stage, "Difference").click()
    blend = "getComputedStyle(document.querySelectorAll('.bs-stack img')[1]).mixBlendMode"
    assert stage.evaluate(blend) == "difference"
    expect(cut).to_be_hidden()
    pressed(stage, "Side by side").click()
    hedged = re.compile("GFLOP, by warmth: .*One prompt and one seed")
    expect(stage.locator(".bs-finding").first).to_contain_text(hedged)


def test_a_blind_vote_hides_whose_picture_it_is_until_it_is_cast(stage):
    stage.evaluate("localStorage.clear()")
    stage.reload()
    finish(stage)
    pressed(stage, "Blind vote").click()
    pictures = stage.locator(".bs-looks")
    expect(pictures).not_to_contain_text("painter")
    expect(pictures).not_to_contain_text("3.0")
    said = stage.locator(".bs-frame img").evaluate_all("(all) => all.map((one) => one.alt)")
    assert said and "painter" not in " ".join(said)
    pressed(stage, script_strings.JS["blind"]["first"]).click()
    told = re.compile("You chose (painter|noisy).* warmth prefers painter.*of your 1 clear")
    expect(stage.locator(".bs-told")).to_contain_text(told)
    expect(pictures).to_contain_text("painter · beam search")


def test_the_chart_counts_flops_passes_or_seconds(stage):
    ends = {}
    for name, axis in (("FLOPs", "gflop"), ("NFE", "nfe"), ("Seconds", "seconds")):
        pressed(stage, name).click()
        expect(stage.locator(".bs-chart")).to_contain_text(script_strings.JS["chart"][f"{axis}_axis"])
        ends[name] = stage.evaluate("document.querySelector('.bs-chart').data.at(-2).x.at(-1)")
    assert len(set(ends.values())) == 3


def test_the_table_shows_the_same_nodes_and_opens_them(stage):
    pressed(stage, "Table").click()
    table = stage.locator(".bs-slot-tree table")
    expect(table).to_contain_text("91 of 91 nodes")
    assert table.locator("tbody tr").count() == 91
    pressed(table, "Score").click()
    scores = [float(text) for text in table.locator("tbody tr td:nth-child(4)").all_inner_texts() if text != "–"]
    assert scores == sorted(scores, reverse=True) and len(scores) == 90
    expect(table.locator("th[aria-sort=descending]")).to_have_text("Score")
    pressed(table, "Inspect node 40").click()
    expect(stage.locator(".bs-inspector h2")).to_contain_text("Node 40")


def test_the_address_holds_step_node_and_view(stage, open_page):
    stage.get_by_role("slider", name="Step of the run").fill("20")
    stage.evaluate("beamscope.pick(7, 0, false)")
    pressed(stage, "Tidy").click()
    pressed(stage, "NFE").click()
    stage.wait_for_url(re.compile(r"step=20&node=7&view=tidy,axis:nfe"))
    other = open_page(stage.url)
    expect(other.locator(".bs-place")).to_contain_text("step 20 of")
    expect(other.locator(".bs-inspector h2")).to_contain_text("Node 7")
    expect(pressed(other, "Tidy")).to_have_attribute("aria-pressed", "true")
    expect(pressed(other, "NFE")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("query", [
    "step=99999&node=12345", "step=-1&node=x&lane=9", "view=tidy:x,evil,lanes:7,__proto__:1",
])
def test_an_address_that_makes_no_sense_shows_the_run(open_page, address, recorded_run, query):
    page = open_page(f"{address}/?run={recorded_run}&{query}")
    finish(page)
    expect(page.locator(".bs-place")).to_contain_text(re.compile(r"step (\d+) of \1$"))


def one_step(page):
    before = page.evaluate("beamscope.comparison.length")
    pressed(page, "Step").click()
    page.wait_for_function(f"beamscope.comparison.length > {before} && beamscope.comparison.state === 'paused'")


def test_while_a_search_runs_one_looks_back_pauses_and_goes_step_by_step(open_page, address):
    page = open_page(address)
    search_long(page)
    pressed(page, "Pause").click()
    page.wait_for_function("beamscope.comparison.state === 'paused'")
    page.wait_for_timeout(500)  # for the call that was under way
    while page.evaluate("beamscope.comparison.length") < 4:  # where one looks back from: a pause may come early
        one_step(page)
    page.get_by_role("slider", name="Step of the run").fill("2")
    expect(page.locator(".bs-place")).to_contain_text("viewing step 2")
    one_step(page)
    assert page.evaluate(POSITION) == 2, "what is looked at stays"
    pressed(page, "Jump to live").click()
    assert page.evaluate("beamscope.position === beamscope.comparison.length")
    pressed(page, "Go on").click()
    expect(pressed(page, "Pause")).to_be_visible()
    page.keyboard.press("Escape")
    expect(pressed(page, "Pause")).to_be_hidden(timeout=15_000)


def test_the_first_screen_of_a_laptop_shows_where_the_results_begin(stage):
    stage.set_viewport_size({"width": 1440, "height": 900})
    top = stage.evaluate("document.querySelector('.bs-results').getBoundingClientRect().top")
    assert top <= 900 - 190
    heights = [f"document.querySelector('{name}').offsetHeight" for name in (".bs-treepane", ".bs-inspector")]
    assert stage.evaluate(heights[0]) == stage.evaluate(heights[1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_way_of_showing_is_accessible(open_page, address, recorded_run, scheme):
    page = open_page(f"{address}/?run={recorded_run}&node=7&__theme={scheme}", color_scheme=scheme)
    finish(page)
    for view in ({"table": True}, {"table": False, "labels": True, "tidy": True}, *({"mode": mode} for mode in MODES)):
        page.evaluate("(view) => beamscope.setView(view)", view)
        assert findings(page) == [], view
