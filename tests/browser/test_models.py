"""The catalogue of models, and a form that offers what the chosen one can do."""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import Visit
from tests.browser.job import CATALOGUE

SHAPES = "[...document.querySelectorAll('fieldset')].find(each => each.innerText.startsWith('Shape')).innerText"


async def test_every_deployed_model_is_shown_and_can_be_chosen(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open("/models")
    for name in CATALOGUE.models:
        await page.find("heading", name)
    await page.shows("Up to 8 s, made as 4, 6, 8")
    await page.shows("SORA, GEN4, LTX2, REFERENCE")
    await page.screenshot(screenshots / "models.png", whole=True)
    await page.click("button", "Use VEO3")
    await page.shows("New video")
    await page.shows("Draws 1920 × 1080 at 24 fps, up to 8 s; price × 10.")
    await page.shows("VEO3 makes 6 s, of which this much is kept")
    await page.click("checkbox", "Another model may stand in")
    await page.shows("SORA, GEN4, LTX2, REFERENCE: the first that can, if VEO3 cannot be reached.")
    await page.fill("Prompt", "a sailing ship")
    await page.shows("0.375 credits")
    await page.screenshot(screenshots / "provider.png")
    await page.click("button", "Create video")
    await page.shows("Reading the prompt")
    request = visit.mesh.requests[-1]
    assert (request.model, request.tier, request.allow_fallback) == ("VEO3", "standard", True)
    assert not request.HasField("guidance_scale")


async def test_the_options_follow_the_model_and_come_back(visit: Visit, screenshots: Path) -> None:
    page = visit.page
    await visit.open()
    await page.click("radio", "9:16")
    await visit.choose("Model", "MOCHI1")
    await page.shows("MOCHI1 makes no sound.")
    assert (await page.evaluate(SHAPES)).split() == ["Shape", "16:9"]
    await page.screenshot(screenshots / "silent-model.png")
    await page.fill("Prompt", "a paper boat")
    await page.click("button", "Create video")
    await page.shows("Reading the prompt")
    asked = visit.mesh.newest(visit.user).spec
    assert (asked.model, asked.aspect_ratio, asked.enable_audio) == ("MOCHI1", "16:9", False)
    await visit.choose("Model", "REFERENCE")
    await page.hides("MOCHI1 makes no sound.")
    assert await page.evaluate("document.querySelector('input[value=\"9:16\"]').checked")


async def test_what_has_no_effect_cannot_be_asked_for(visit: Visit) -> None:
    page = visit.page
    await visit.open()
    await visit.open_section("More options")
    await page.shows("Has no effect at guidance 1")
    await page.click("radio", "Standard")
    await page.hides("Has no effect at guidance 1")
    await page.fill("Negative prompt", "rain")
    await page.click("radio", "Realtime")
    await page.fill("Prompt", "a paper boat")
    await page.click("button", "Create video")
    await page.shows("Reading the prompt")
    assert visit.mesh.requests[-1].negative_prompt == ""
