"""A first frame, a reference video, a style: chosen, judged in the page, sent, and refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.browser.conftest import MAX_BODY_BYTES, Visit
from tests.browser.media import make_picture

DRAWN = "getComputedStyle(document.querySelector('.file .drawn')).opacity === '1'"
SECTION = "Begin with a picture or a video"
IN_SIGHT = (
    "(edge => edge('.file ~ .error').bottom <= edge('.submit').top)"
    "(each => document.querySelector(each).getBoundingClientRect())"
)
GIVEN = """((event, {name, type, data}) => {
    const files = new DataTransfer()
    files.items.add(new File([Uint8Array.from(atob(data), each => each.charCodeAt(0))], name, {type}))
    document.querySelector('textarea').dispatchEvent(event === 'paste'
        ? new ClipboardEvent('paste', {clipboardData: files, bubbles: true})
        : new DragEvent('drop', {dataTransfer: files, bubbles: true}))
})"""


async def test_a_picture_is_chosen_shown_removed_and_sent(visit: Visit, screenshots: Path, tmp_path: Path) -> None:
    page, picture = visit.page, tmp_path / "meadow.png"
    picture.write_bytes(make_picture(320, 180, "PNG"))
    await visit.open()
    await visit.open_section(SECTION)
    await page.evaluate("document.querySelector('.file').scrollIntoView({block: 'center'})")
    await page.screenshot(screenshots / "first-frame-none.png")
    await _choose(visit, picture)
    await page.find("image", "First frame: meadow.png")
    await page.until(DRAWN)  # and nothing moves any more
    await page.click("button", "Remove: First frame")
    await page.hides("meadow.png")
    assert await page.evaluate("document.activeElement.type") == "file"
    await _choose(visit, picture)
    await page.until("document.querySelector('.file .drawn')?.width === 320")
    await page.until(DRAWN)
    await page.screenshot(screenshots / "first-frame.png")
    await page.fill("Prompt", "a meadow in the wind")
    await page.click("button", "Create video")
    await page.shows("A picture that was given")
    assert visit.mesh.requests[-1].first_frame_image == picture.read_bytes()


@pytest.mark.parametrize("event", ["paste", "drop"])
async def test_a_picture_may_be_pasted_and_dropped(visit: Visit, event: str) -> None:
    await visit.open()
    await visit.page.shows(SECTION)
    await _give(visit, event, "found.jpg", "image/jpeg", make_picture(64, 64))
    await visit.page.find("image", "First frame: found.jpg")


async def test_what_is_no_picture_is_refused_in_the_page(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open()
    await page.shows(SECTION)
    await _give(visit, "drop", "notes.txt", "text/plain", b"not a picture")
    await page.shows("Must be a PNG, JPEG or WebP picture.")
    await page.until(IN_SIGHT)
    await page.screenshot(screenshots / "first-frame-refused.png")
    await _give(visit, "drop", "broken.png", "image/png", b"not a picture")
    await page.shows("Is not a picture that can be read.")
    await _give(visit, "drop", "good.png", "image/png", make_picture(32, 32, "PNG"))
    await page.hides("Is not a picture")


async def test_what_the_gateway_finds_too_large_is_told(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open()
    await page.shows(SECTION)
    # What follows the picture in its file does not keep it from being one.
    await _give(visit, "drop", "huge.jpg", "image/jpeg", make_picture(64, 64) + bytes(MAX_BODY_BYTES))
    await page.find("image", "First frame: huge.jpg")
    await page.fill("Prompt", "a large meadow")
    await page.click("button", "Create video")
    await page.shows("That is too large to be sent")
    assert await page.evaluate("document.querySelector('[role=alert]').dataset.code") == "PAYLOAD_TOO_LARGE"
    await page.screenshot(screenshots / "refused-too-large.png")


async def test_a_reference_and_a_style_are_sent_and_shown(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open()
    await page.click("radio", "Night")
    await page.shows("At night, under a dark sky.")
    await visit.open_section(SECTION)
    await page.fill("Reference video", "ftp://example.com/clip.mp4")
    await page.shows("Must be an https URL.")
    await page.fill("Reference video", "https://example.com/clip.mp4")
    await page.hides("Must be an https URL.")
    await page.shows("70 %")
    await page.screenshot(screenshots / "reference.png")
    await page.fill("Prompt", "a quiet street")
    await page.click("button", "Create video")
    await page.shows("https://example.com/clip.mp4, departed from by 70 %")
    asked = visit.mesh.newest(visit.user).spec
    assert (asked.style_preset, asked.reference_video) == ("night", "https://example.com/clip.mp4")


async def _choose(visit: Visit, file: Path) -> None:
    node = (await visit.page.call("Runtime.evaluate", expression="document.querySelector('[type=file]')"))["result"]
    await visit.page.call("DOM.setFileInputFiles", files=[str(file)], objectId=node["objectId"])


async def _give(visit: Visit, event: str, name: str, kind: str, data: bytes) -> None:
    file = {"name": name, "type": kind, "data": base64.b64encode(data).decode()}
    await visit.page.evaluate(f"{GIVEN}({json.dumps(event)}, {json.dumps(file)})")
