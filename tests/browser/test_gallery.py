"""The user's own videos: listed, paged, filtered, played, and nobody else's."""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import Visit
from tests.browser.media import make_picture
from tests.browser.mesh import PRICE

MANY = 15
CARDS = "document.querySelectorAll('.card').length"


async def test_pages_and_filters(visit: Visit) -> None:
    page, mesh = visit.page, visit.mesh
    for number in range(MANY):
        job = mesh.add(visit.user, f"clip number {number}", age_s=60 * (MANY - number))
        job.fail("INFERENCE_FAILED", "it broke") if number == 3 else job.complete()
    await visit.open()
    await page.shows("1 to 12 of 15")
    assert await page.evaluate(CARDS) == 12
    assert (await page.text()).index("clip number 14") < (await page.text()).index("clip number 13")
    await page.click("button", "Older")
    await page.shows("13 to 15 of 15")
    await page.shows("clip number 0")
    await page.click("button", "Newer")
    await page.shows("1 to 12 of 15")
    await visit.choose("Show", "FAILED")
    await page.until(f"{CARDS} === 1")
    await page.shows("clip number 3")


async def test_a_video_plays_in_its_card(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    prompts = ("a blue square moving left", "a yellow star growing in the night sky", "rain over a grey sea")
    for age, prompt in enumerate(prompts):
        visit.mesh.add(visit.user, prompt, age_s=age * 600).complete()
    visit.mesh.add(visit.user, "a green triangle turning on sand", age_s=3).draw(4)
    visit.mesh.add(visit.user, "a slow river", age_s=2).draw(2, make_picture(112, 64))
    visit.mesh.add(visit.user, "a lantern in falling snow", age_s=9000).fail("CANCELLED", "cancelled")
    await visit.open()
    await page.shows("40%")
    await page.until("document.querySelector('.card img')?.complete")
    await page.until("getComputedStyle(document.querySelector('.card .drawn')).opacity === '1'")
    await page.shows(f"{PRICE} credits")
    await page.screenshot(screenshots / "gallery.png")
    await page.click("button", "Play a blue square moving left")
    await page.until("document.querySelector('.card video')?.currentTime > 0.1")


async def test_progress_in_the_gallery_is_live_and_ends_with_a_picture(visit: Visit) -> None:
    job = visit.mesh.add(visit.user, "a kite")
    await visit.open()
    await visit.page.shows("Reading the prompt")
    job.draw(4)
    await visit.page.shows("40%")
    await visit.page.shows("about 9 s left")
    job.complete()
    await visit.page.find("button", "Play a kite")


async def test_a_prompt_is_text_and_never_markup(visit: Visit) -> None:
    prompt = "<img src=x onerror='document.title=1'><b>bold</b>"
    job = visit.mesh.add(visit.user, prompt)
    job.complete()
    await visit.open()
    await visit.page.shows(prompt)
    await visit.page.evaluate(f"location.hash = '/videos/{job.id}'")
    await visit.page.find("heading", prompt)
    assert await visit.page.evaluate("document.title") == "Kinemesh Studio"


async def test_what_is_another_s_looks_missing(visit: Visit) -> None:
    job = visit.mesh.add("somebody else", "a secret")
    job.complete()
    await visit.open(f"/videos/{job.id}")
    await visit.page.shows("There is no such video")
    await visit.page.hides("a secret")


async def test_a_video_is_deleted_after_a_question(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    job = visit.mesh.add(visit.user, "a mistake")
    job.complete()
    await visit.open(f"/videos/{job.id}")
    await page.click("button", "Delete")
    await page.shows("Delete this video?")
    await page.screenshot(screenshots / "question.png")
    await page.press("Escape")
    await page.hides("Delete this video?")
    assert await page.evaluate("document.activeElement.innerText") == "Delete"
    assert job.id in visit.mesh.jobs
    await page.press("Enter")
    await page.click("button", "Delete it")
    await page.shows("Nothing here yet")
    assert job.id not in visit.mesh.jobs
