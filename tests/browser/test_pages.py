"""What a visitor does on the pages beside Explore, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from demo import lesson_strings, script_strings, strings
from tests.browser.test_page import finish, search

TEXT = script_strings.JS


def own_run(page, address):
    """Search on Explore; the id of the run that is now this visitor's."""
    search(page)
    page.wait_for_url(re.compile("run="))
    finish(page)
    return re.search(r"run=([\w-]+)", page.url)[1]


def card(page, run):
    return page.locator(".bs-run", has=page.locator(f"a[href='/?run={run}']"))


@pytest.fixture
def gallery(open_page, address):
    def opened(**options):
        return open_page(f"{address}/gallery", ready=".bs-run", **options)

    return opened


def test_the_bar_leads_to_every_page_and_marks_where_one_is(open_page, address):
    page = open_page(f"{address}/gallery", ready=".bs-run")
    ways = {"About": ".bs-fold", "Learn": ".bs-lesson", "Gallery": ".bs-run", "Explore": ".bs-plot"}
    for name, ready in ways.items():
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        page.wait_for_selector(ready)
        expect(page.locator(".bs-top [aria-current=page]")).to_have_text(name)
        expect(page.locator("h1")).to_have_count(1)


def test_a_run_of_mine_is_found_pinned_and_deleted(open_page, address):
    page = open_page(address)
    run = own_run(page, address)
    page.goto(f"{address}/gallery")
    page.get_by_role("button", name=TEXT["gallery"]["own"], exact=True).click()
    mine = card(page, run)
    mine.get_by_role("button", name=TEXT["gallery"]["pin"]).click()
    expect(mine.get_by_role("button", name=TEXT["gallery"]["unpin"])).to_have_attribute("aria-pressed", "true")
    page.reload()
    page.get_by_role("button", name=TEXT["gallery"]["pinned"], exact=True).click()
    expect(mine).to_have_count(1)
    mine.get_by_role("button", name=TEXT["gallery"]["delete"]).click()
    mine.get_by_role("button", name=TEXT["gallery"]["keep"]).click()
    mine.get_by_role("button", name=TEXT["gallery"]["delete"]).click()
    mine.get_by_role("button", name=TEXT["gallery"]["delete"]).click()
    expect(mine).to_have_count(0)
    page.goto(f"{address}/?run={run}")
    expect(page.locator("body")).to_contain_text(strings.UNKNOWN_RUN)


def test_words_find_runs_and_the_count_is_said(gallery):
    page = gallery()
    expect(page.locator(".bs-run")).not_to_have_count(0)
    page.fill(".bs-search", "green apple beam")
    expect(page.locator("[role=status]")).to_contain_text(re.compile(r"^\d+ runs?$"))
    expect(page.locator(".bs-run").filter(has_not_text="green apple")).to_have_count(0)
    assert page.locator(".bs-run").count() > 0
    page.fill(".bs-search", "${7*7} <img src=x onerror=alert(1)>")
    expect(page.locator("[role=status]")).to_have_text(TEXT["gallery"]["none"])


def test_the_settings_of_a_run_come_back(gallery):
    page = gallery()
    chosen = page.locator(".bs-run").first
    prompt = chosen.locator("h2").inner_text()
    chosen.get_by_role("link", name=TEXT["gallery"]["restore"]).click()
    page.wait_for_selector(".bs-plot")
    expect(page.locator("#bs-prompt input, #bs-prompt textarea")).to_have_value(prompt)


def test_up_to_four_runs_are_compared(gallery):
    page = gallery()
    page.get_by_role("button", name=TEXT["gallery"]["lessons"], exact=True).click()  # there are enough of them
    boxes = page.locator(".bs-choice input")
    for index in range(4):
        boxes.nth(index).check()
    expect(boxes.nth(4)).to_be_disabled()
    page.get_by_role("link", name="Compare 4").click()
    page.wait_for_selector(".bs-overlay-chart .main-svg")
    expect(page.locator(".bs-versus li")).to_have_count(4)
    named = page.evaluate("() => document.querySelector('.bs-overlay-chart').data.map((t) => t.name).filter(Boolean)")
    assert sorted(named) == ["A", "B", "C", "D"]
    page.get_by_role("button", name="NFE").click()
    expect(page.locator(".bs-verdict")).to_contain_text("NFE")


def test_runs_that_are_not_there_are_said_so(open_page, address):
    page = open_page(f"{address}/compare?runs=nothing,<b>", ready="[role=alert]")
    expect(page.locator("[role=alert]")).to_have_text(strings.UNKNOWN_RUN)


# -- learn ------------------------------------------------------------------------------------------------------------

SHOWN = """() => { const { comparison, selected } = window.beamscope;
  return comparison && [comparison.run, comparison.lanes[0].shown - 1, selected]; }"""


def test_every_scene_of_every_lesson_drives_the_stage(open_page, address):
    page = open_page(f"{address}/learn", ready=".bs-plot .main-svg")
    lessons = page.request.get(f"{address}/data/lessons").json()["lessons"]
    assert len(lessons) == 6
    for lesson in lessons:
        expect(page.locator(".bs-lesson-card h2")).to_have_text(lesson["title"])
        for scene in lesson["scenes"]:
            expect(page.locator(".bs-lesson-text")).to_have_text(scene["text"])
            page.wait_for_function(f"(wanted) => JSON.stringify(({SHOWN})()) === JSON.stringify(wanted)",
                                   arg=[scene["run"], scene["seq"], scene["node"]])
            page.locator(".bs-lesson-buttons .bs-primary").click()
    page.wait_for_url(f"{address}/")


def test_a_teacher_can_send_a_link_to_a_scene(open_page, address):
    page = open_page(f"{address}/learn?lesson=3&scene=2", ready=".bs-plot .main-svg")
    title, scenes = lesson_strings.LESSONS["greedy"]
    expect(page.locator(".bs-lesson-card h2")).to_have_text(title)
    expect(page.locator(".bs-scene[aria-current=step]")).to_have_text(scenes[1][0])
    page.get_by_role("button", name=TEXT["learn"]["next"], exact=True).click()
    assert page.url.endswith("lesson=3&scene=3")


def test_a_lesson_is_taken_with_the_keyboard_alone(open_page, address):
    page = open_page(f"{address}/learn", ready=".bs-plot .main-svg")
    page.locator(".bs-lesson").nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".bs-lesson-card h2")).to_have_text(lesson_strings.LESSONS["best_of_n"][0])
    page.locator(".bs-lesson-buttons .bs-primary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(".bs-scene[aria-current=step]")).to_have_text("Keep the best")


def test_a_click_on_the_stage_between_scenes_is_welcome(open_page, address):
    page = open_page(f"{address}/learn?lesson=4&scene=2", ready=".bs-plot .main-svg")
    page.wait_for_function(f"() => ({SHOWN})() && ({SHOWN})()[2] !== null")
    page.evaluate("() => window.beamscope.pick(2, 0, true)")
    expect(page.locator(".bs-inspector")).to_contain_text("Node 2")
    page.get_by_role("button", name=TEXT["learn"]["next"], exact=True).click()
    page.wait_for_function(f"() => ({SHOWN})()[2] !== 2")


def test_about_opens_the_card_that_a_link_names(open_page, address):
    page = open_page(f"{address}/about#card-judge", ready=".bs-fold")
    expect(page.locator("#card-judge")).to_have_attribute("open", "")
    expect(page.locator("#card-flow")).not_to_have_attribute("open", "")
    expect(page.locator("#flops")).to_contain_text("total FLOPs")


def test_lessons_are_behind_a_chip_and_a_recorded_run_can_be_pinned_by_a_visitor(gallery):
    page, words = gallery(), TEXT["gallery"]
    chip = {name: page.get_by_role("button", name=words[name], exact=True) for name in ("all", "lessons", "pinned")}
    expect(page.locator(".bs-badge", has_text=words["lesson"])).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text("more belong to the lessons")
    chip["lessons"].click()
    expect(page.locator(".bs-run").filter(has_not=page.locator(".bs-badge", has_text=words["lesson"]))).to_have_count(0)
    chip["all"].click()
    recorded = page.locator(".bs-run", has_text="green apple").first
    recorded.get_by_role("button", name=words["pin"], exact=True).click()
    page.reload()
    chip["pinned"].click()
    expect(page.locator(".bs-run h2")).to_have_text(["a red car to the left of a green apple"])
    page.get_by_role("button", name=words["unpin"]).click()
    page.reload()
    chip["pinned"].click()
    expect(page.get_by_role("status")).to_have_text(words["nonePinned"])
