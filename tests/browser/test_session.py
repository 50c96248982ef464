"""Who one is: the token's way into the page, its end, and the mesh going away and coming back."""

from __future__ import annotations

import time
from pathlib import Path

from tests.browser.conftest import Visit


async def test_a_token_in_the_address_is_taken_out_of_it_and_outlives_a_reload(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    assert await page.evaluate("location.href") == f"{visit.gateway.url}/"
    await page.shows(visit.user)
    await page.call("Page.reload")
    await page.shows("Nothing here yet")


async def test_without_a_token_the_studio_asks_for_one(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await page.goto(visit.gateway.url)
    await page.shows("Sign in")
    await page.screenshot(screenshots / "sign-in.png")
    await page.fill("Access token", visit.gateway.token(visit.user))
    await page.press("Enter")
    await page.shows("100 credits")
    await page.click("button", "Sign out")
    await page.shows("Access token")
    assert await page.evaluate("sessionStorage.getItem('kinemesh.token')") is None


async def test_an_expired_token_is_replaced_where_one_was(visit: Visit, screenshots: Path) -> None:
    page, now = visit.page, int(time.time())
    expired = visit.gateway.token(visit.user, iat=now - 700, exp=now - 100)
    await page.goto(f"{visit.gateway.url}/#token={expired}")
    await page.shows("Your token is no longer accepted")
    await page.screenshot(screenshots / "expired.png")
    await page.fill("Access token", visit.gateway.token(visit.user))
    await page.click("button", "Continue")
    await page.shows("100 credits")
    await page.shows("Nothing here yet")


async def test_an_expiry_does_not_lose_what_was_typed(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await page.fill("Prompt", "half a thought")
    await page.evaluate("sessionStorage.setItem('kinemesh.token', 'garbage')")
    await page.call("Page.reload")
    await page.fill("Access token", visit.gateway.token(visit.user))
    await page.press("Enter")
    await page.shows("New video")
    assert await page.evaluate("document.querySelector('textarea').value") == "half a thought"


async def test_a_broken_stream_goes_on_where_it_was(visit: Visit, screenshots: Path) -> None:
    page, mesh = visit.page, visit.mesh
    job = mesh.add(visit.user, "a patient tortoise")
    await visit.open(f"/videos/{job.id}")
    await page.shows("Reading the prompt")
    job.draw(1)
    await page.shows("step 1 of 8")
    await page.offline(True)
    mesh.cut_streams()
    await page.shows("The mesh cannot be reached")
    await page.screenshot(screenshots / "away.png")
    job.draw(2)
    mesh.streams_stand = True
    await page.offline(False)
    await page.shows("step 2 of 8")
    await page.hides("The mesh cannot be reached")
    assert mesh.resumed[-1] == "2"
    job.complete()
    await page.shows("Content credentials")
