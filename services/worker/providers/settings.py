"""Keys and limits of the providers. Environment names are KINEMESH_ and the field's name in capitals."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from services.common.settings import ServiceSettings

_URL = r"^https?://\S+$"


class ProviderSettings(ServiceSettings):
    """A model without its key is not offered; it is no error."""

    vertex_project: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]+$")
    """Google Cloud project that pays for Veo; needed for it."""
    vertex_location: str = Field(default="us-central1", pattern=r"^[a-z0-9-]+$")
    """Region of Vertex AI."""
    vertex_service_account_file: Path | None = None
    """JSON key of a service account; this or vertex_access_token_file is needed for Veo."""
    vertex_access_token_file: Path | None = None
    """File with an access token that something else renews; it is read for every call."""
    vertex_base_url: str | None = Field(default=None, pattern=_URL)
    """Vertex AI itself; absent means the region's."""
    openai_videos_base_url: str | None = Field(default=None, pattern=_URL)
    """Endpoint of OpenAI's shape up to and with /v1, e.g. http://sglang:30000/v1; needed for SORA."""
    openai_videos_api_key: SecretStr | None = None
    """Its key; absent for an engine that asks for none."""
    runway_api_secret: SecretStr | None = None
    """Runway's secret; needed for GEN4."""
    runway_base_url: str = Field(default="https://api.dev.runwayml.com", pattern=_URL)
    """Runway itself."""

    provider_slots: int = Field(default=4, ge=1, le=64)
    """Jobs at once; each slot is a worker of its own to the scheduler."""
    provider_poll_s: float = Field(default=5.0, gt=0)
    """Seconds between two looks at an operation."""
    provider_request_s: float = Field(default=60.0, gt=0)
    """Seconds a provider may take to answer a call."""
    provider_patience_s: float = Field(default=120.0, gt=0)
    """Seconds a provider may be busy or away before its job goes back to the queue and the model is not offered."""
    provider_download_s: float = Field(default=600.0, gt=0)
    """Seconds a video may take to come."""
    provider_result_mb: int = Field(default=512, ge=1)
    """Largest video taken from a provider, MiB."""
    provider_decode_s: int = Field(default=600, ge=1)
    """Seconds of processor time, and of time, to read a video."""
    provider_decode_memory_mb: int = Field(default=4096, ge=256)
    """Address space for reading a video, MiB."""
    provider_decode_file_mb: int = Field(default=8192, ge=1)
    """Largest lossless video, MiB."""

    def missing_for(self, provider: str) -> str | None:
        """Names the setting that a provider lacks; None when it has all."""
        has_token = self.vertex_service_account_file or self.vertex_access_token_file
        needed: dict[str, dict[str, object]] = {
            "vertex_veo": {
                "vertex_project": self.vertex_project,
                "vertex_service_account_file or vertex_access_token_file": has_token,
            },
            "openai_videos": {"openai_videos_base_url": self.openai_videos_base_url},
            "runway": {"runway_api_secret": self.runway_api_secret},
        }
        return next((name for name, value in needed[provider].items() if value is None), None)
