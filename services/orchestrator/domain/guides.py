"""What guides a clip besides its prompt: a style, what to steer away from, a first frame, a video to be made after."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from services.common.addresses import url_problem
from services.common.catalogue import Catalogue, ModelEntry, TritonModel
from services.orchestrator.domain.findings import Findings, Request, read_number, read_text, to_cents
from services.orchestrator.pictures.header import picture_problem

DEFAULT_STRENGTH = 0.7
_LEAST_STRENGTH = 0.01


def read_negative_prompt(findings: Findings, request: Request, entry: ModelEntry, guidance: float) -> str:
    """What to steer away from; refused where it would have no effect."""
    text = read_text(findings, "negative_prompt", request.negative_prompt)
    if text.strip() and isinstance(entry, TritonModel) and guidance <= 1:
        problem = "has no effect at a guidance_scale of 1, which is this tier's own unless another is given"
        findings.add("negative_prompt", problem, "UNSUPPORTED_FIELD")
    return text


def read_style(findings: Findings, request: Request, catalogue: Catalogue) -> str:
    """A style of the catalogue; empty for none."""
    known = catalogue.style_presets
    if not request.style_preset or request.style_preset in known:
        return request.style_preset
    findings.add("style_preset", f"must be one of {', '.join(known)}" if known else "there are none here")
    return ""


def read_first_frame(findings: Findings, request: Request, entry: ModelEntry, catalogue: Catalogue) -> bytes:
    """The picture, as far as its header tells; empty for none."""
    picture: bytes = request.first_frame_image
    if picture and not entry.first_frame:
        takers = [name for name, other in catalogue.models.items() if other.first_frame]
        findings.add("first_frame_image", _not_taken(takers), "UNSUPPORTED_FIELD")
    elif picture and (problem := picture_problem(picture)):
        findings.add("first_frame_image", problem)
    return picture


def read_reference_video(findings: Findings, request: Request, entry: ModelEntry, catalogue: Catalogue) -> str:
    """The address, as far as it tells itself; empty for none."""
    url = request.reference_video
    if url and not entry.reference_video:
        takers = [name for name, other in catalogue.models.items() if other.reference_video]
        findings.add("reference_video", _not_taken(takers), "UNSUPPORTED_FIELD")
    elif url and (problem := url_problem(url)):
        findings.add("reference_video", problem, "REFERENCE_VIDEO_REFUSED")
    return url


def _not_taken(takers: Collection[str]) -> str:
    deployed = f"of the deployed ones {', '.join(sorted(takers))} do" if takers else "nor does any other deployed one"
    return f"the model does not take one; {deployed}"


def read_reference_strength(findings: Findings, request: Request) -> Decimal | None:
    """How far the clip may depart from its reference; None without one."""
    strength = read_number(findings, request, "reference_strength", DEFAULT_STRENGTH, _LEAST_STRENGTH, 1.0)
    if request.HasField("reference_strength") and not request.reference_video:
        findings.add("reference_strength", "needs reference_video")
    return to_cents(strength) if request.reference_video else None
