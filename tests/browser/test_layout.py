"""The page on small and large screens, in light and dark, for the keyboard and for those who listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visit

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNNAMED = """[...document.querySelectorAll('a, button, input, select, textarea, video')].filter(element =>
    !(element.innerText || element.title || element.ariaLabel || element.labels?.length)).map(e => e.outerHTML)"""


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (820, "dark"), (1440, "light")])
async def test_nothing_is_cut_off_or_unnamed(visit: Visit, screenshots: Path, width: int, scheme: str) -> None:
    page, mesh = visit.page, visit.mesh
    await page.resize(width, 800, scheme=scheme)
    finished = mesh.add(visit.user, "a red ball bouncing on green grass while it snows", age_s=40)
    finished.complete()
    running = mesh.add(visit.user, "averyveryverylongwordthatwillnotfitonanyphonescreenwhatever")
    running.draw(3)
    views = {
        "/": "Your videos",
        "/workers": "worker-2",
        f"/videos/{finished.id}": "Made by a trained model",
        f"/videos/{running.id}": "step 3 of 8",
    }
    await visit.open()
    for name, (address, ready) in zip(("home", "workers", "ready", "running"), views.items(), strict=True):
        await page.evaluate(f"location.hash = '{address}'")
        await page.shows(ready)
        await page.evaluate("scrollTo(0, 0)")
        await page.screenshot(screenshots / f"{name}-{width}-{scheme}.png", whole=True)
        assert await page.evaluate(OVERFLOW) == 0
        assert await page.evaluate(UNNAMED) == []


async def test_a_video_is_made_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await page.shows("0.375 credits")
    await _tab_to(visit, "Skip to the content")
    await page.press("Enter")
    await page.press("Tab")
    assert await page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    await page.call("Input.insertText", text="a kite over dunes")
    await page.press("Tab")
    await page.press("ArrowRight")
    await page.shows("50 steps")
    await _tab_to(visit, "Create video")
    await page.press("Enter")
    await page.shows("Reading the prompt")
    assert (visit.mesh.requests[-1].prompt, visit.mesh.requests[-1].tier) == ("a kite over dunes", "standard")
    await page.until("document.activeElement.tagName === 'H1'")


async def test_the_workers_are_shown(visit: Visit) -> None:
    await visit.open("/workers")
    await visit.page.shows("3.1 of 24.0 GiB")
    await visit.page.shows("a video, step 5")
    await visit.page.shows("12 done, 0 failed")
    await visit.page.find("heading", "worker-2")


async def _tab_to(visit: Visit, name: str) -> None:
    for _ in range(30):
        await visit.page.press("Tab")
        if await visit.page.evaluate("document.activeElement.innerText") == name:
            return
    raise AssertionError(f"no way to {name!r} by Tab")
