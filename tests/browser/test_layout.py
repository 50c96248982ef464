"""The page on small and large screens, in light and dark, for the keyboard and for those who listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visit
from tests.browser.media import make_picture
from tests.browser.mesh import PRICE

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOADED = """[...document.images].every(each => { each.loading = 'eager'; return each.complete }) &&
    [...document.querySelectorAll('canvas')].every(each => getComputedStyle(each).opacity === '1')"""
STILL = "[...document.querySelectorAll('*')].every(each => getComputedStyle(each).transitionDuration === '0s')"
UNNAMED = """[...document.querySelectorAll('a, button, input, select, textarea, video')].filter(element =>
    !(element.innerText || element.title || element.ariaLabel || element.labels?.length)).map(e => e.outerHTML)"""


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (820, "dark"), (1440, "light")])
async def test_nothing_is_cut_off_or_unnamed(visit: Visit, screenshots: Path, width: int, scheme: str) -> None:
    page, mesh = visit.page, visit.mesh
    await page.resize(width, 800, scheme=scheme)
    finished = mesh.add(visit.user, "a red ball bouncing on green grass while it snows", age_s=40)
    finished.complete()
    running = mesh.add(visit.user, "averyveryverylongwordthatwillnotfitonanyphonescreenwhatever")
    running.draw(3, make_picture(112, 64))
    views = {
        "/": PRICE,
        "/models": "Up to 60 s",
        "/workers": "worker-2",
        f"/videos/{finished.id}": "Made by a trained model",
        f"/videos/{running.id}": "step 3 of 8",
    }
    await visit.open()
    for name, (address, ready) in zip(("home", "models", "workers", "ready", "running"), views.items(), strict=True):
        await page.evaluate(f"location.hash = '{address}'")
        await page.shows(ready)
        await page.evaluate("scrollTo(0, 0)")
        await page.until(LOADED)
        await page.screenshot(screenshots / f"{name}-{width}-{scheme}.png", whole=True)
        assert await page.evaluate(OVERFLOW) == 0
        assert await page.evaluate(UNNAMED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_option_fits_on_a_phone(visit: Visit, screenshots: Path, scheme: str) -> None:
    page = visit.page
    await page.resize(360, 800, scheme=scheme)
    await visit.open()
    await visit.choose("Model", "VEO3")
    await page.shows("Another model may stand in")
    await visit.choose("Model", "REFERENCE")
    await visit.open_section("Begin with a picture or a video")
    await page.fill("Reference video", "https://example.com/a/long/way/to/the/reference/clip.mp4")
    await visit.open_section("More options")
    await page.fill("Webhook", "https://example.com/told")
    await page.fill("Seed", "not a number")
    await page.shows("Must be a whole number.")
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(screenshots / f"options-360-{scheme}.png", whole=True)
    assert await page.evaluate(OVERFLOW) == 0
    assert await page.evaluate(UNNAMED) == []


async def test_nothing_moves_for_those_who_want_no_motion(visit: Visit) -> None:
    visit.mesh.add(visit.user, "a slow river").draw(2, make_picture(112, 64))
    await visit.page.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}]
    )
    await visit.open()
    await visit.page.find("image", "Preview of a slow river")
    assert await visit.page.evaluate(STILL)


async def test_a_video_is_made_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await page.shows("0.375 credits")
    await _tab_to(visit, "document.activeElement.innerText === 'Skip to the content'")
    await page.press("Enter")
    await page.press("Tab")
    assert await page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    await page.call("Input.insertText", text="a kite over dunes")
    await _tab_to(visit, "document.activeElement.value === 'REALTIME'")
    await page.press("ArrowRight")
    await page.shows("50 steps")
    await _tab_to(visit, "document.activeElement.innerText === 'Create video'")
    await page.press("Enter")
    await page.shows("Reading the prompt")
    assert (visit.mesh.requests[-1].prompt, visit.mesh.requests[-1].tier) == ("a kite over dunes", "standard")
    await page.until("document.activeElement.tagName === 'H1'")


async def test_the_workers_are_shown(visit: Visit) -> None:
    await visit.open("/workers")
    await visit.page.shows("3.1 of 24.0 GiB")
    await visit.page.shows("a video, step 5")
    await visit.page.shows("12 done, 0 failed")
    await visit.page.shows("REFERENCE, WAN")
    await visit.page.find("heading", "worker-2")


async def _tab_to(visit: Visit, condition: str) -> None:
    for _ in range(30):
        await visit.page.press("Tab")
        if await visit.page.evaluate(condition):
            return
    raise AssertionError(f"no way by Tab to where {condition}")
