"""What a visitor sees when something is missing, slow or at an end, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from core.store.runs import RunStore
from demo import strings
from demo.series import SERIES
from tests.browser.serve import NARROW, REPEATED, SHORT

FIELD = "#bs-prompt textarea, #bs-prompt input"


@pytest.fixture(scope="module")
def short_run(address, folder):
    """The id of a recorded run that memory was too small for."""
    return next(info.run for info in RunStore(folder / "rec").list() if info.title == SHORT)


def test_a_run_out_of_memory_keeps_its_tree_and_offers_a_smaller_one(address, open_page, short_run):
    page = open_page(f"{address}/?run={short_run}")
    expect(page.locator(".bs-state")).to_have_text("out of memory at scale 6x6")
    expect(page.locator(".bs-notice")).to_contain_text("the tree so far is kept")
    expect(page.locator(".bs-nodes")).to_contain_text("61 nodes: 12 kept")
    page.get_by_role("button", name="Retry with width 2").click()
    page.wait_for_url(re.compile(r"run=(?!" + short_run + ")"))
    expect(page.locator(".bs-title")).to_contain_text(re.compile(SHORT + ".*width 2, branch 5.*seed 7"))
    page.get_by_role("button", name="Verifier decides the rest").click()
    expect(page.locator(".bs-state")).to_have_text("done")
    expect(page.locator(".bs-notice")).to_be_hidden()
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()


def test_a_search_too_wide_for_memory_says_that_it_began_anew_and_is_done(address, open_page, folder):
    run = next(info.run for info in RunStore(folder / "rec").list() if info.title == NARROW)
    page = open_page(f"{address}/?run={run}")
    expect(page.locator(".bs-notice")).to_have_text("Out of memory at scale 6x6: the search begins anew with width 2")
    expect(page.locator(".bs-state")).to_have_text("done")
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()


def test_search_waits_for_a_prompt_and_says_so_while_it_is_typed(address, open_page):
    page = open_page(address)
    button, field, why = page.locator("#bs-search"), page.locator(FIELD), page.locator("#bs-why-not")
    expect(button).to_be_disabled()
    expect(why).to_have_text(strings.EMPTY_PROMPT)
    field.press_sequentially("a")
    expect(button).to_be_enabled()
    expect(why).to_be_hidden()
    for blank in ("", "   ", "\u200b \u00a0"):
        field.fill(blank)
        expect(button).to_be_disabled()
        field.press("Control+Enter")
        expect(why).to_have_class(re.compile("bs-urged"))
    page.wait_for_timeout(500)  # a search that began would be in the address by now
    assert "run=" not in page.url
    page.click("#bs-examples button >> nth=1")
    expect(button).to_be_enabled()
    expect(why).to_be_hidden()


def test_while_models_load_search_says_so_and_then_enables_itself(address, open_page):
    page = open_page(f"{address}/about", ready=".bs-fold")
    loading = {"ready": False, "problem": None, "loading": "ImageReward", "done": 2, "of": 6, "seconds": 3.4}
    page.route("**/data/models", lambda route: route.fulfill(json=loading))
    page.goto(address)
    page.wait_for_selector(".bs-plot")
    page.fill(FIELD, "a dog")
    why, button = page.locator("#bs-why-not"), page.locator("#bs-search")
    expect(why).to_have_text("Loading models: ImageReward, 3 of 6, 3 s")
    expect(button).to_be_disabled()
    page.wait_for_function("document.querySelector('.bs-plot').data?.at(-1).x.length > 0")  # the recorded run plays
    page.unroute("**/data/models")
    expect(button).to_be_enabled()
    expect(why).to_be_hidden()
    page.route("**/data/models", lambda route: route.fulfill(json={**loading, "problem": "X is missing: fetch it."}))
    page.reload()
    expect(why).to_have_text("X is missing: fetch it.")
    page.fill(FIELD, "a dog")
    expect(button).to_be_disabled()
    page.unroute("**/data/models")


def test_a_visitor_in_line_sees_their_place_and_can_leave(address, open_page, short_run):
    page, told = open_page(f"{address}/about", ready=".bs-fold"), []

    def waiting(route):
        reply = route.fetch().json()
        lanes = [{**lane, "frames": []} for lane in reply["lanes"]]
        queue = {"place": 2, "seconds": 33.2}
        left = bool(told)
        route.fulfill(json={**reply, "lanes": lanes, "live": not left, "own": True, "queue": None if left else queue})

    page.route("**/data/control", lambda route: (told.append(route.request.post_data_json), route.fulfill(json={})))
    page.route("**/data/frames*", waiting)
    page.goto(f"{address}/?run={short_run}")
    expect(page.locator(".bs-queue")).to_have_text("place 2 in line, about 33 s")
    page.get_by_role("button", name="Leave queue").click()
    expect(page.get_by_role("button", name="Leave queue")).to_be_hidden()
    assert told == [{"run": short_run, "action": "stop"}]
    page.unroute_all(behavior="ignoreErrors")


def test_a_lost_connection_is_told_and_the_page_catches_up(address, open_page):
    page = open_page(address)
    page.fill(FIELD, "a red car")
    page.click("#bs-search")
    page.wait_for_url("**/?run=*")
    page.context.set_offline(True)
    expect(page.locator(".bs-notice")).to_contain_text("Reconnecting … The run continues on the server")
    page.context.set_offline(False)
    expect(page.locator(".bs-notice")).to_be_hidden()
    expect(page.locator(".bs-state")).to_have_text("done")
    expect(page.locator(".bs-nodes")).to_contain_text("91 nodes")


def test_a_link_whose_run_is_gone_offers_its_settings(address, open_page):
    page = open_page(f"{address}/?run=20200101-000000-00000000&p=a+red+car&width=2&seed=11")
    expect(page.locator(".bs-notice")).to_have_text(strings.GONE)
    expect(page.locator("#bs-hint")).to_contain_text("knows: red, car")
    expect(page.locator(FIELD)).to_have_value("a red car")
    expect(page.locator("#bs-search")).to_be_enabled()


def test_a_comparison_is_repeated_with_eight_seeds_and_stays_so(address, open_page, folder):
    """A series that an earlier server left is shown; the button goes on with it, up to the band and what it says."""
    store = RunStore(folder / "runs")
    all_seeds = [info.run for info in store.list() if info.title == REPEATED and info.beside]
    [run] = [run for run in all_seeds if SERIES not in store.meta(run)]
    page = open_page(f"{address}/?run={run}")
    begin, said = page.get_by_role("button", name="Repeat with 8 seeds"), page.locator(".bs-series")
    bands = "document.querySelector('.bs-chart').data?.filter((trace) => trace.fill === 'tonexty').length"
    expect(said).to_contain_text("Over 7 seeds:")
    begin.click()
    expect(page.get_by_text("7 of 8 seeds done")).to_be_visible()
    expect(said).to_contain_text(re.compile("Over 8 seeds: .*(is ahead on this prompt|does not tell them apart)"),
                                 timeout=20_000)  # fmt: skip
    expect(begin).to_be_hidden()
    page.wait_for_function(f"{bands} === 2")
    sentence = said.text_content()
    page.reload()
    expect(said).to_have_text(sentence)
    expect(begin).to_be_hidden()


def test_a_model_whose_weights_are_not_here_is_grey_says_why_and_stops_nothing(address, open_page):
    page = open_page(address)
    box = page.locator("#bs-model input")
    box.click()
    grey, usual = (page.get_by_role("option", name=name) for name in ("giant · download 13.9 GB", "painter"))
    colours = [one.evaluate("(one) => getComputedStyle(one).color") for one in (grey, usual)]
    assert colours[0] != colours[1]
    grey.click()
    told = page.locator("#bs-estimate")
    expect(told).to_contain_text("python -m core.cli download giant")
    page.fill(FIELD, "a dog")
    page.click("#bs-search")
    expect(page.locator("#bs-hint")).to_contain_text("about 13.9 GB to fetch, licence CreativeML OpenRAIL++-M")
    assert "run=" not in page.url
    box.click()
    usual.click()
    expect(told).to_contain_text("Predicted")
    page.goto(f"{address}/?p=a+dog&m=giant")
    expect(page.locator("#bs-hint")).to_contain_text("is not on this machine yet")
