"""The studio before the whole mesh: what the page shows is what the services did."""

from __future__ import annotations

from pathlib import Path

from tests.support.chromium import Page
from tests.support.mesh import RunningMesh

READY_S = 180
PREVIEWED = "(seen => seen && getComputedStyle(seen).opacity === '1')(document.querySelector('.screen .drawn'))"
PLAYING = "(video => video && video.currentTime > 0.5)(document.querySelector('video'))"


async def test_a_prompt_becomes_a_video_that_plays(mesh: RunningMesh, page: Page, screenshots: Path) -> None:
    await page.goto(f"{mesh.url}/#token={mesh.token('mary')}")
    await page.shows("Nothing here yet")
    await page.evaluate("document.querySelector('details:last-of-type').open = true")
    await page.fill("Steps", "4")
    await page.fill("Prompt", "a red ball bouncing on green grass")
    await page.shows("4 steps")
    await page.click("button", "Create video")
    await page.shows("Drawing", timeout_s=READY_S)
    await page.until(PREVIEWED, timeout_s=READY_S)
    await page.screenshot(screenshots / "mesh-drawing.png")
    await page.shows("Made by a trained model", timeout_s=READY_S)
    await page.evaluate("document.querySelector('video').play()")
    await page.until(PLAYING)
    await page.screenshot(screenshots / "mesh-ready.png")
