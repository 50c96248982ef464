"""Makes the adapters of the providers that this worker has keys for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from services.common.catalogue import Catalogue, ProviderModel
from services.worker.providers.google_tokens import FileTokens, ServiceAccountTokens, Tokens
from services.worker.providers.http import Api, Caps
from services.worker.providers.offers import Served
from services.worker.providers.openai_videos import OpenAIVideos
from services.worker.providers.protocol import Provider
from services.worker.providers.runway import VERSION, Runway
from services.worker.providers.settings import ProviderSettings
from services.worker.providers.vertex_veo import VertexVeo

_MIB = 1024 * 1024

logger = logging.getLogger(__name__)


def make_served(
    settings: ProviderSettings, catalogue: Catalogue, session: aiohttp.ClientSession
) -> Mapping[str, Served]:
    """The catalogue's models behind providers that the settings have a key for, by name; the others are logged."""
    served = {}
    for name, entry in catalogue.provider_models.items():
        if missing := settings.missing_for(entry.provider):
            logger.warning("model is not offered", extra={"model": name, "missing_setting": missing})
        else:
            served[name] = Served(entry, _MAKERS[entry.provider](settings, entry, session))
    return served


def _caps(settings: ProviderSettings) -> Caps:
    return Caps(
        request_s=settings.provider_request_s,
        download_s=settings.provider_download_s,
        result_bytes=settings.provider_result_mb * _MIB,
    )


def _bearer(token: Callable[[], Awaitable[str]], **more: str) -> Callable[[], Awaitable[Mapping[str, str]]]:
    async def headers() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {await token()}", **more}

    return headers


def _vertex_veo(settings: ProviderSettings, entry: ProviderModel, session: aiohttp.ClientSession) -> Provider:
    location = settings.vertex_location
    base_url = settings.vertex_base_url or f"https://{location}-aiplatform.googleapis.com"
    api = Api(session, base_url, _bearer(_google_tokens(settings, session).token), _caps(settings))
    return VertexVeo(api, settings.vertex_project or "", location, entry.provider_model)


def _google_tokens(settings: ProviderSettings, session: aiohttp.ClientSession) -> Tokens:
    if settings.vertex_access_token_file is not None:
        return FileTokens(settings.vertex_access_token_file)
    assert settings.vertex_service_account_file is not None  # noqa: S101 - one of them is there, or nothing is made
    return ServiceAccountTokens(session, settings.vertex_service_account_file)


def _openai_videos(settings: ProviderSettings, entry: ProviderModel, session: aiohttp.ClientSession) -> Provider:  # noqa: ARG001 - as its siblings
    key = settings.openai_videos_api_key

    async def headers() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    return OpenAIVideos(Api(session, settings.openai_videos_base_url or "", headers, _caps(settings)))


def _runway(settings: ProviderSettings, entry: ProviderModel, session: aiohttp.ClientSession) -> Provider:  # noqa: ARG001 - as its siblings
    async def secret() -> str:
        assert settings.runway_api_secret is not None  # noqa: S101 - or nothing is made
        return settings.runway_api_secret.get_secret_value()

    return Runway(Api(session, settings.runway_base_url, _bearer(secret, **VERSION), _caps(settings)))


_MAKERS: Mapping[str, Callable[[ProviderSettings, ProviderModel, aiohttp.ClientSession], Provider]] = {
    "vertex_veo": _vertex_veo,
    "openai_videos": _openai_videos,
    "runway": _runway,
}
