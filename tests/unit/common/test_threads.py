"""The pool whose threads may hang."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from services.common.threads import DaemonExecutor

HANGING = """
import threading
from services.common.threads import DaemonExecutor
started = threading.Event()
pool = DaemonExecutor(2, "s3")
pool.submit(lambda: (started.set(), threading.Event().wait()))
started.wait()
pool.shutdown(wait=False, cancel_futures=True)
"""


def test_results_and_errors_arrive() -> None:
    with DaemonExecutor(2, "test") as pool:
        assert [pool.submit(divmod, 7, n).result(5) for n in (2, 3)] == [(3, 1), (2, 1)]
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result(5)


def test_what_has_not_begun_can_be_cancelled() -> None:
    began, go_on = threading.Event(), threading.Event()
    pool = DaemonExecutor(1, "test")

    def work() -> bool:
        began.set()
        return go_on.wait(5)

    first = pool.submit(work)
    assert began.wait(5)
    second = pool.submit(divmod, 7, 2)
    pool.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    assert first.result(5)
    assert second.cancelled()


def test_a_hanging_call_does_not_keep_the_process() -> None:
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=30)
