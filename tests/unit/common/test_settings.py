"""Settings: read from the environment, frozen, documented, and without secrets in their text."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.common.settings import NatsSettings, PostgresSettings, S3Settings, ServiceSettings


class Everything(PostgresSettings, NatsSettings, S3Settings, ServiceSettings):
    """All mix-ins at once, as the orchestrator has them."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("KINEMESH_POSTGRES_DSN", "postgresql://u:very-secret@h/d")
    monkeypatch.setenv("KINEMESH_S3_ENDPOINT_URL", "http://h:1")
    monkeypatch.setenv("KINEMESH_S3_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("KINEMESH_S3_SECRET_KEY", "very-secret")
    return monkeypatch


def test_mixins_combine_and_read_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("KINEMESH_GRPC_ADDRESS", "127.0.0.1:7001")
    environment.setenv("KINEMESH_OF_ANOTHER_SERVICE", "x")
    environment.setenv("KINEMESH_OTLP_ENDPOINT", "")
    settings = Everything()
    assert settings.grpc_address == "127.0.0.1:7001"
    assert settings.otlp_endpoint is None
    assert settings.s3_buckets == ("embeddings", "checkpoints", "mezzanine", "media")


@pytest.mark.usefixtures("environment")
def test_no_secret_shows_when_printed() -> None:
    assert "very-secret" not in repr(Everything())


@pytest.mark.usefixtures("environment")
def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Everything().log_level = "DEBUG"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"), [("GRPC_ADDRESS", "7001"), ("METRICS_PORT", "70000"), ("LOG_LEVEL", "LOUD")]
)
def test_wrong_values_are_refused(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(f"KINEMESH_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Everything()


def test_every_field_is_described() -> None:
    assert [name for name, field in Everything.model_fields.items() if not field.description] == []
