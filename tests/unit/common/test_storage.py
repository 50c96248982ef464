"""Object locations and presigned URLs, which need no server."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from services.common.settings import S3Settings
from services.common.storage import ObjectRef, open_object_store


def test_a_location_survives_its_text() -> None:
    ref = ObjectRef("media", "videos/a b/ü.mp4")
    assert ObjectRef.parse(ref.uri) == ref


@pytest.mark.parametrize(
    "uri", ["", "media/key", "s3://", "s3://media", "s3://media/", "s3:///key", "http://media/key"]
)
def test_other_locations_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key"):
        ObjectRef.parse(uri)


async def test_a_presigned_url_leads_to_the_public_endpoint() -> None:
    settings = S3Settings(
        s3_endpoint_url="http://127.0.0.1:8333",
        s3_public_endpoint_url="https://media.example.com",
        s3_access_key=SecretStr("access"),
        s3_secret_key=SecretStr("secret"),
    )
    async with open_object_store(settings) as store:
        url = urlsplit(store.presign_get(ObjectRef("media", "videos/x.mp4"), expires_s=600, filename="x.mp4"))
    assert (url.scheme, url.netloc, url.path) == ("https", "media.example.com", "/media/videos/x.mp4")
    query = parse_qs(url.query)
    assert query["X-Amz-Expires"] == ["600"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert query["response-content-disposition"] == ['attachment; filename="x.mp4"']
