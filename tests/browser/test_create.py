"""From a prompt to a video that plays, and every way in which that can be refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.browser.conftest import Visit
from tests.browser.job import STEPS, WORKER
from tests.browser.media import make_picture
from tests.browser.mesh import PRICE

FLOOD = """(async headers => {
    const ask = () => fetch('/v1/account', {headers})
    while ((await Promise.all(Array.from({length: 50}, ask))).every(answer => answer.status === 200)) {}
})"""
SEEN = "getComputedStyle(document.querySelector('.drawn')).opacity === '1'"
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
    job.draw(1)
    job.draw(3, make_picture(64, 112))
    await page.shows(f"Drawing, step 3 of {STEPS}")
    await page.find("image", "Preview: what the video looks like so far")
    await page.until("document.querySelector('.screen .drawn')?.height === 112")
    job.draw(3)
    await page.shows("about 9 s left")
    await page.shows(f"On {WORKER}")
    assert await page.evaluate("document.querySelector('.screen .drawn').height") == 112
    assert await page.evaluate("document.querySelector('[role=progressbar]').ariaValueNow") == str(5 + 70 * 3 // STEPS)
    await page.until(SEEN)
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


async def test_what_has_ended_meanwhile_is_not_cancelled_but_shown(visit: Visit) -> None:
    job = visit.mesh.add(visit.user, "a fast hare")
    job.draw(2)
    await visit.open(f"/videos/{job.id}")
    await visit.page.shows(f"step 2 of {STEPS}")
    job.status = "COMPLETED"  # and nobody has told the page yet
    await visit.page.click("button", "Cancel")
    await visit.page.shows("The video has already ended")
    await visit.page.shows("Content credentials")


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
    if code == "RATE_LIMITED":
        await visit.page.shows("Again in")
        assert await visit.page.evaluate("document.querySelector('[type=submit]').disabled")
    await visit.page.screenshot(screenshots / f"refused-{code.lower()}.png")


async def test_the_gateway_s_own_limit_says_when_it_ends(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await page.fill("Prompt", "one too many")
    await page.evaluate(f"{FLOOD}({json.dumps(visit.gateway.headers(visit.user))})")
    await page.click("button", "Create video")
    await page.shows("Too many requests for now")
    await page.shows("Again in")


async def test_a_wrong_option_is_told_where_it_is(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open()
    await visit.open_section("More options")
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
    await page.find("textbox", "Steps")  # and what was opened for it stays open
    await page.click("button", "Create video")
    await page.until("document.activeElement.matches('textarea[aria-invalid]')")


async def test_a_remix_asks_for_the_same_again(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    asked: dict[str, Any] = {"model": "reference", "tier": "standard", "negative_prompt": "rain"}
    shape: dict[str, Any] = {"duration_seconds": 8, "aspect_ratio": "1:1", "num_inference_steps": 20, "seed": 7}
    first = visit.mesh.add(visit.user, "a kite", style_preset="night", **asked, **shape)
    first.moved_to = "WAN"
    first.complete()
    await visit.open(f"/videos/{first.id}")
    await page.shows("REFERENCE, which could not make it")
    await page.screenshot(screenshots / "moved.png", whole=True)
    await page.click("button", "Remix")
    await page.until("document.activeElement.matches('textarea')")
    await page.shows("After this video, with its settings")
    await page.screenshot(screenshots / "remix.png")
    await page.click("button", "Create video")
    await page.shows("Reading the prompt")
    again = visit.mesh.newest(visit.user)
    assert (again.spec.remix_of, again.spec.prompt) == (UUID(first.id), "a kite")
    assert replace(again.spec, remix_of=None) == first.spec


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
