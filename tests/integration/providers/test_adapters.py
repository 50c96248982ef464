"""What every provider's adapter makes of what its provider says."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from services.worker.providers.protocol import (
    ContentRefusedError,
    KeyRefusedError,
    LostAnswerError,
    OperationFailedError,
    Poll,
    RejectedError,
    RetryLaterError,
)
from tests.integration.providers.conftest import Bench, driving
from tests.support.providers.fake import busy, garbage, serving
from tests.support.providers.openai import FakeOpenAI
from tests.support.providers.veo import FakeVeo

pytestmark = pytest.mark.integration


async def finish(bench: Bench, operation_id: str) -> Poll:
    """Looks until it is done."""
    while not (poll := await bench.provider.poll(operation_id)).done:
        pass
    return poll


async def test_a_video_is_ordered_waited_for_and_fetched(bench: Bench) -> None:
    bench.fake.looks_needed = 3
    operation_id = await bench.provider.submit(bench.order())
    first = await bench.provider.poll(operation_id)
    assert first == Poll(done=False, fraction=None if bench.model == "VEO3" else 0.4)
    done = await finish(bench, operation_id)
    assert done.credits == (Decimal(96) if bench.model == "GEN4" else None)
    await bench.provider.fetch(operation_id, bench.folder / "video")
    assert (bench.folder / "video").read_bytes() == bench.fake.video


async def test_the_order_says_what_the_job_says(bench: Bench) -> None:
    await bench.provider.submit(bench.order(negative_prompt="rain" if bench.model == "VEO3" else ""))
    (operation,) = bench.fake.operations.values()
    expected = {
        "VEO3": {
            "instances": [{"prompt": "a lake"}],
            "parameters": {
                "sampleCount": 1,
                "durationSeconds": 8,
                "aspectRatio": "16:9",
                "resolution": "1080p",
                "generateAudio": True,
                "seed": (2**40 + 7) % 2**32,
                "negativePrompt": "rain",
            },
        },
        "SORA": {"model": "sora-2", "prompt": "a lake", "seconds": "8", "size": "1280x720"},
        "GEN4": {"model": "gen4.5", "promptText": "a lake", "ratio": "1280:720", "duration": 8, "seed": 7},
    }
    assert operation.order == expected[bench.model]


async def test_a_first_frame_travels_with_the_order(bench: Bench) -> None:
    picture = b"\x89PNG and so on"
    await bench.provider.submit(bench.order(first_frame=picture))
    (operation,) = bench.fake.operations.values()
    encoded = base64.b64encode(picture).decode()
    if bench.model == "VEO3":
        image = {"bytesBase64Encoded": encoded, "mimeType": "image/png"}
        assert operation.order["instances"] == [{"prompt": "a lake", "image": image}]
    elif bench.model == "SORA":
        assert operation.order["input_reference"] == picture
    else:
        assert operation.order["promptImage"] == [{"uri": f"data:image/png;base64,{encoded}", "position": "first"}]


async def test_a_failed_operation_may_be_followed_by_another(bench: Bench) -> None:
    bench.fake.outcome, bench.fake.looks_needed = "failure", 1
    with pytest.raises(OperationFailedError) as failed:
        await bench.provider.poll(await bench.provider.submit(bench.order()))
    assert failed.value.credits == (Decimal(3) if bench.model == "GEN4" else None)


async def test_refused_content_is_no_failure(bench: Bench) -> None:
    bench.fake.outcome, bench.fake.looks_needed = "refusal", 1
    with pytest.raises(ContentRefusedError):
        await bench.provider.poll(await bench.provider.submit(bench.order()))


async def test_a_busy_provider_says_when_to_come_again(bench: Bench) -> None:
    bench.fake.in_the_way.append(lambda: busy("7"))
    with pytest.raises(RetryLaterError) as later:
        await bench.provider.submit(bench.order())
    assert later.value.retry_after_s == 7
    assert not isinstance(later.value, LostAnswerError)
    assert not bench.fake.operations


async def test_garbage_is_no_answer(bench: Bench) -> None:
    bench.fake.in_the_way.append(garbage)
    with pytest.raises(LostAnswerError):
        await bench.provider.submit(bench.order())
    bench.fake.in_the_way.append(garbage)
    with pytest.raises(LostAnswerError):
        await bench.provider.poll("operation-1")


async def test_a_wrong_key_is_told_from_a_wrong_order(bench: Bench) -> None:
    async with driving(bench.model, bench.fake, bench.folder, key="wrong") as stranger:
        with pytest.raises(KeyRefusedError) as refused:
            await stranger.provider.submit(bench.order())
    assert "wrong" not in str(refused.value)
    with pytest.raises(RejectedError):
        async with driving(bench.model, bench.fake, bench.folder) as again:
            await again.provider.submit(bench.order(width=64, height=48, aspect_ratio="4:3"))


async def test_a_provider_that_is_down_has_begun_nothing(bench: Bench) -> None:
    bench.fake.down = True
    with pytest.raises(RetryLaterError):
        await bench.provider.submit(bench.order())


async def test_a_forgotten_operation_has_failed(bench: Bench) -> None:
    with pytest.raises(OperationFailedError):
        await bench.provider.poll("operation-of-last-year")


async def test_cancelling_reaches_the_providers_that_can(bench: Bench) -> None:
    operation_id = await bench.provider.submit(bench.order())
    await bench.provider.cancel(operation_id)
    assert bench.fake.operations[operation_id].cancelled == (bench.model != "VEO3")


async def test_a_result_that_is_too_large_is_not_taken(bench: Bench) -> None:
    bench.fake.looks_needed, bench.fake.video = 1, bytes(2 * 1024 * 1024 + 1)
    async with driving(bench.model, bench.fake, bench.folder, provider_result_mb=1) as capped:
        operation_id = await capped.provider.submit(bench.order())
        with pytest.raises((OperationFailedError, LostAnswerError)):
            await capped.provider.fetch(operation_id, bench.folder / "video")


async def test_nobody_listens(tmp_path: Path) -> None:
    async with serving(FakeOpenAI()) as fake:
        pass
    async with driving("SORA", fake, tmp_path) as bench:
        with pytest.raises(RetryLaterError) as refused:
            await bench.provider.submit(bench.order())
    assert not isinstance(refused.value, LostAnswerError)


async def test_the_key_stays_with_the_provider_when_its_files_are_elsewhere(tmp_path: Path, clip: bytes) -> None:
    async with (
        serving(FakeOpenAI(video=clip)) as files,
        serving(FakeOpenAI(elsewhere=f"{files.url}/public/x.mp4")) as fake,
        driving("SORA", fake, tmp_path) as bench,
    ):
        operation_id = await bench.provider.submit(bench.order())
        await bench.provider.fetch(operation_id, tmp_path / "video")
        assert (tmp_path / "video").read_bytes() == clip
        assert (files.calls, files.keys_seen) == (["GET /public/x.mp4"], {""})


@pytest.mark.parametrize("outcome", ["success", "failure", "refusal"])
async def test_engines_may_take_their_liberties(tmp_path: Path, clip: bytes, outcome: str) -> None:
    async with serving(FakeOpenAI(video=clip, loose=True)) as fake, driving("SORA", fake, tmp_path) as bench:
        fake.outcome = outcome  # type: ignore[assignment]
        operation_id = await bench.provider.submit(bench.order())
        if outcome == "success":
            await finish(bench, operation_id)
            await bench.provider.fetch(operation_id, tmp_path / "video")
            assert (tmp_path / "video").read_bytes() == clip
            assert fake.calls[-1] == f"GET /public/{operation_id}.mp4"
        else:
            with pytest.raises(OperationFailedError if outcome == "failure" else ContentRefusedError):
                await finish(bench, operation_id)


async def test_an_engine_may_answer_with_the_finished_video(tmp_path: Path, clip: bytes) -> None:
    async with serving(FakeOpenAI(video=clip, synchronous=True)) as fake, driving("SORA", fake, tmp_path) as bench:
        operation_id = await bench.provider.submit(bench.order())
        assert (await bench.provider.poll(operation_id)).done
        await bench.provider.fetch(operation_id, tmp_path / "video")
        assert (tmp_path / "video").read_bytes() == clip


async def test_the_same_order_again_is_the_same_operation(tmp_path: Path) -> None:
    async with serving(FakeOpenAI()) as fake, driving("SORA", fake, tmp_path) as bench:
        first = await bench.provider.submit(bench.order())
        assert await bench.provider.submit(bench.order()) == first
        assert await bench.provider.submit(bench.order(key="job-1")) != first


async def test_a_service_account_gets_its_token_once(tmp_path: Path) -> None:
    async with serving(FakeVeo()) as served:
        fake = cast(FakeVeo, served)
        account = fake.write_account(tmp_path / "account.json")
        settings: dict[str, Any] = {"vertex_access_token_file": None, "vertex_service_account_file": account}
        async with driving("VEO3", fake, tmp_path, **settings) as bench:
            for _ in range(2):
                await bench.provider.submit(bench.order())
        (assertion,) = fake.assertions
        assert assertion["iss"] == "worker@our-project.iam.gserviceaccount.com"
        assert assertion["scope"].endswith("/cloud-platform")


async def test_a_renewed_token_counts_at_once(tmp_path: Path) -> None:
    async with serving(FakeVeo()) as fake, driving("VEO3", fake, tmp_path) as bench:
        good = (tmp_path / "token").read_text()
        (tmp_path / "token").write_text("expired")
        with pytest.raises(KeyRefusedError):
            await bench.provider.submit(bench.order())
        (tmp_path / "token").write_text(good)
        assert await bench.provider.submit(bench.order())
