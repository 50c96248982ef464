"""Accepted videos survive the death of everything."""

from __future__ import annotations

import asyncio
import os
import signal

from deploy.local import background
from tests.support.mesh import Json, RunningMesh, User, runner


async def test_twenty_videos_of_two_users_survive_a_kill_of_the_whole_mesh(mesh: RunningMesh) -> None:
    async with mesh.user("linus") as linus, mesh.user("margaret") as margaret:
        videos = [(owner, await owner.accepted(seed=seed)) for seed in range(10) for owner in (linus, margaret)]
        await videos[0][0].completed(videos[0][1])
        await asyncio.to_thread(kill_everything, mesh)
        restarted = await asyncio.to_thread(runner, mesh.home.directory, "up")
        assert restarted.returncode == 0, restarted.stdout + restarted.stderr
        bodies = await asyncio.gather(*(owner.completed(video, within_s=400) for owner, video in videos))
        assert len({body["request_id"] for body in bodies}) == 20
        for owner in (linus, margaret):
            await assert_paid_for_ten(owner, bodies)


async def assert_paid_for_ten(owner: User, bodies: list[Json]) -> None:
    """Ten prices were captured, and nothing is held."""
    account = await owner.settled_account()
    assert account["spent_credits"] == 10 * bodies[0]["credits_used"]


def kill_everything(mesh: RunningMesh) -> None:
    """kill -9 of the supervisor first, so that it restarts nothing, then of every process."""
    supervisor = background.supervisor_pid(mesh.home)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    for pid in mesh.processes().values():
        os.killpg(pid, signal.SIGKILL)
    background.kill_strays(mesh.home)
