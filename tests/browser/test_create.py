"""From a prompt to a video that plays, and every way in which that can be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visit
from tests.browser.mesh import PRICE, STEPS, WORKER

PLAYING = "(video => video && video.currentTime > 0.2 && video.videoWidth === 854)(document.querySelector('video'))"


async def test_create_watch_play(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open()
    await page.shows(f"{PRICE} credits")
    await page.fill("Prompt", "a red ball bouncing on green grass")
    await page.click("radio", "480p")
    await page.click("radio", "9:16")
    await page.click("checkbox", "Music")
    await page.click("button", "Create video")
    await page.shows("Reading the prompt")

    request = visit.mesh.requests[-1]
    assert (request.prompt, request.resolution) == ("a red ball bouncing on green grass", "480p")
    assert (request.aspect_ratio, request.tier, request.fps) == ("9:16", "realtime", 24)
    assert request.enable_audio
    assert request.audio_config.include_music
    assert not request.HasField("seed")

    job = visit.mesh.newest(visit.user)
    job.move("QUEUED")
    await page.shows("Waiting for a worker")
    for step in (1, 3):
        job.draw(step)
    await page.shows(f"Drawing, step 3 of {STEPS}")
    await page.shows("about 9 s left")
    await page.shows(f"On {WORKER}")
    assert await page.evaluate("document.querySelector('[role=progressbar]').ariaValueNow") == str(5 + 70 * 3 // STEPS)
    await page.screenshot(screenshots / "drawing.png")
    for status in ("VAE_DECODING", "AUDIO_GENERATING", "SAFETY_CHECKING", "TRANSCODING", "UPLOADING"):
        job.move(status)
    await page.shows("Storing")
    job.complete()
    await page.shows("854 × 480, 2 s at 24 fps")
    await page.shows("99.625 credits")
    await page.shows("Made by a trained model")
    await page.shows("Kinemesh local signer")
    await page.evaluate("document.querySelector('video').play()")
    await page.until(PLAYING)
    await page.screenshot(screenshots / "completed.png", whole=True)


async def test_a_running_video_is_cancelled(visit: Visit, screenshots: Path) -> None:
    job = visit.mesh.add(visit.user, "a slow snail")
    job.draw(2)
    await visit.open(f"/videos/{job.id}")
    await visit.page.shows(f"step 2 of {STEPS}")
    await visit.page.click("button", "Cancel")
    await visit.page.shows(f"{PRICE} credits were given back.")
    assert job.status == "CANCELLED"
    await visit.page.screenshot(screenshots / "cancelled.png")


async def test_a_video_that_fails_says_why(visit: Visit) -> None:
    job = visit.mesh.add(visit.user, "an unlucky star")
    await visit.open(f"/videos/{job.id}")
    await visit.page.shows("Reading the prompt")
    job.fail("GENERATION_TIMEOUT", "the video took longer than its tier allows")
    await visit.page.shows("The video could not be made")
    await visit.page.shows("The video took longer than its tier allows.")


@pytest.mark.parametrize(
    ("prompt", "code", "told"),
    [
        ("too expensive", "INSUFFICIENT_CREDITS", f"This video costs {PRICE} credits; 0.1 are free."),
        ("forbidden", "CONTENT_BLOCKED", "This prompt goes against the content policy"),
        ("too many", "RATE_LIMITED", "Try again in 7 s."),
        ("safety is down", "DEPENDENCY_UNAVAILABLE", "A part of the mesh does not answer"),
    ],
)
async def test_a_refusal_is_told_and_the_form_keeps_what_was_typed(
    visit: Visit, screenshots: Path, prompt: str, code: str, told: str
) -> None:
    await visit.open()
    await visit.page.fill("Prompt", prompt)
    await visit.page.press("Enter", control=True)
    await visit.page.shows(told)
    assert await visit.page.evaluate("document.querySelector('[role=alert]').dataset.code") == code
    assert await visit.page.evaluate("document.querySelector('textarea').value") == prompt
    await visit.page.screenshot(screenshots / f"refused-{code.lower()}.png")


async def test_a_wrong_option_is_told_where_it_is(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open()
    await page.evaluate("document.querySelector('details').open = true")
    await page.fill("Steps", "3")
    await page.shows("Must be between 4 and 100.")
    await page.fill("Seed", "many")
    await page.shows("Must be a whole number")
    await page.click("button", "Create video")
    await page.until("document.activeElement.matches('[aria-invalid]')")
    description = "document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText"
    assert "whole number" in await page.evaluate(description)
    await page.screenshot(screenshots / "invalid.png")
    await page.fill("Seed", "")
    await page.fill("Steps", "12")
    await page.hides("Must be")
    await page.click("button", "Create video")
    await page.until("document.activeElement.matches('textarea[aria-invalid]')")


async def test_an_answer_that_was_lost_does_not_cost_a_second_video(visit: Visit) -> None:
    visit.mesh.lose_answers = 1
    await visit.open()
    await visit.page.fill("Prompt", "once only")
    await visit.page.click("button", "Create video")
    await visit.page.shows("A part of the mesh does not answer")
    await visit.page.click("button", "Create video")
    await visit.page.shows("Reading the prompt")
    assert visit.mesh.keys[-1] == visit.mesh.keys[-2]
    assert [job.prompt for job in visit.mesh.jobs.values() if job.user == visit.user] == ["once only"]
