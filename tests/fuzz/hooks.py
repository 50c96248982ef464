"""What an OpenAPI document cannot say, and so Schemathesis cannot know. Everything else it finds is a failure."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

RULES = (
    "negative_prompt: has no effect",
    "audio_config: needs enable_audio",
    "tier: contradicts the tier given as model",
    "reference_strength: needs reference_video",
    "webhook_secret: needs webhook_url",
    "offset: must be 0 with page_token",
    "page_token: must be a next_page_token",
)
"""How findings begin that are between fields, or about a value that only an earlier answer can give."""
OF_THE_INSTALLATION = (
    "model",
    "allow_fallback",
    "webhook_url",
    "first_frame_image",
    "reference_video",
    "style_preset",
    "audio_config.include_speech",
)
"""Fields whose values only the installation can judge: what is deployed, and what an address or a file holds."""


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Gives QUERY, which no route has, the content type that it needs to be understood at all (RFC 10008)."""
    if case.method.upper() == "QUERY":
        case.headers.setdefault("Content-Type", "application/json")


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Keeps a failure unless a request was refused for such a rule, and for nothing else."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    findings = response.json()["reason"].split("; ")
    return not all(
        finding.startswith(RULES) or finding.partition(": ")[0] in OF_THE_INSTALLATION for finding in findings
    )
