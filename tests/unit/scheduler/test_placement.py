"""Placement: order, fair share, ageing, affinity, preemption; nothing is ever given twice."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler.domain.jobs import QueuedJob, Tier
from services.scheduler.domain.placement import (
    Assign,
    LoadModel,
    Policy,
    Preempt,
    RunningJob,
    Situation,
    Worker,
    in_order,
    place,
)

_NOW = datetime(2026, 1, 28, 10, 30, tzinfo=UTC)
_POLICY = Policy(ageing_s=300, preempt_below_fraction=0.9)


def _job(
    user: str = "ada", tier: Tier = Tier.STANDARD, *, priority: int = 100, model: str = "A", age_s: float = 0
) -> QueuedJob:
    return QueuedJob(
        request_id=uuid4(),
        user_id=user,
        tier=tier,
        priority=priority,
        model=model,
        prompt_embedding_path="s3://embeddings/x",
        duration_seconds=5,
        resolution="480P",
        num_steps=50,
        enable_audio=False,
        enqueued_at=_NOW - timedelta(seconds=age_s),
    )


def _running(
    user: str = "bob",
    tier: Tier = Tier.STANDARD,
    *,
    priority: int = 100,
    step: int = 5,
    denoising: bool = True,
    preempting: bool = False,
    age_s: float = 0,
) -> RunningJob:
    enqueued_at = _NOW - timedelta(seconds=age_s)
    return RunningJob(uuid4(), 1, user, tier, priority, enqueued_at, step, 50, denoising, preempting)


def _worker(
    name: str,
    *,
    loaded: str = "A",
    loading: str = "",
    models: str = "AB",
    accepting: bool = True,
    running: RunningJob | None = None,
) -> Worker:
    return Worker(name, frozenset(models), loaded, loading, accepting and running is None, running)


def _situation(
    queue: list[QueuedJob],
    workers: list[Worker] | None = None,
    served: dict[tuple[str, Tier], datetime] | None = None,
) -> Situation:
    return Situation(queue, workers or [], served or {}, _NOW)


def _order(queue: list[QueuedJob], workers: list[Worker] | None = None, **served_s: float) -> list[QueuedJob]:
    served = {(user, Tier.STANDARD): _NOW - timedelta(seconds=ago) for user, ago in served_s.items()}
    return in_order(_situation(queue, workers, served), _POLICY)


def test_tiers_come_first_then_priority_then_time() -> None:
    cinema = _job("a", Tier.CINEMA, priority=0, age_s=90)
    late, early = _job("b", age_s=1), _job("c", age_s=2)
    urgent, realtime = _job("d", priority=0), _job("e", Tier.REALTIME, priority=1000)
    assert _order([cinema, late, early, urgent, realtime]) == [realtime, urgent, early, late, cinema]


def test_users_of_a_tier_take_turns_however_many_jobs_each_has() -> None:
    many = [_job("ada", age_s=100 - n) for n in range(4)]
    few = [_job("bob", age_s=10 - n) for n in range(2)]
    assert [job.user_id for job in _order([*many, *few])] == ["ada", "bob", "ada", "bob", "ada", "ada"]


def test_what_a_user_has_running_counts_as_his_share() -> None:
    ada, bob = _job("ada", age_s=100), _job("bob", age_s=1)
    busy = [_worker("w1", running=_running("ada"))]
    assert _order([ada, bob], busy) == [bob, ada]
    other_tier = [_worker("w1", running=_running("ada", Tier.CINEMA))]
    assert _order([ada, bob], other_tier) == [ada, bob]


def test_of_equal_shares_the_user_served_longest_ago_comes_first() -> None:
    ada, bob, cleo = _job("ada", age_s=100), _job("bob", age_s=50), _job("cleo", age_s=1)
    assert _order([ada, bob, cleo], ada=5, bob=60) == [cleo, bob, ada]


def test_one_worker_alternates_between_two_users() -> None:
    queue = [_job("ada", age_s=100 - n) for n in range(3)] + [_job("bob", age_s=5 - n) for n in range(3)]
    served: dict[tuple[str, Tier], datetime] = {}
    seen = []
    for turn in range(6):
        [decision] = place(_situation(queue, [_worker("w1")], served), _POLICY)
        assert isinstance(decision, Assign)
        queue.remove(decision.job)
        served[decision.job.user_id, decision.job.tier] = _NOW + timedelta(seconds=turn)
        seen.append(decision.job.user_id)
    assert seen == ["ada", "bob", "ada", "bob", "ada", "bob"]


def test_waiting_lifts_a_job_tier_by_tier_and_beyond_the_most_urgent() -> None:
    cinema = _job("a", Tier.CINEMA, age_s=299)
    fresh = _job("b", Tier.STANDARD, priority=500)
    assert _order([cinema, fresh]) == [fresh, cinema]
    aged = _job("a", Tier.CINEMA, age_s=300)
    assert _order([aged, fresh]) == [aged, fresh]
    ancient, realtime = _job("a", Tier.CINEMA, age_s=900), _job("b", Tier.REALTIME, priority=0)
    assert _order([realtime, ancient]) == [ancient, realtime]


def test_nothing_starves_under_an_endless_stream_of_more_urgent_jobs() -> None:
    patient = _job("ada", Tier.CINEMA, priority=1000)
    for minute in range(60):
        now = _NOW + timedelta(minutes=minute)
        rival = QueuedJob(**{**vars(_job("bob", Tier.REALTIME, priority=0)), "enqueued_at": now})
        [decision] = place(Situation([patient, rival], [_worker("w1")], {}, now), _POLICY)
        assert isinstance(decision, Assign)
        if decision.job is patient:
            return
    pytest.fail("the job never got its turn")


def test_a_worker_that_holds_the_model_is_preferred() -> None:
    job = _job(model="B")
    assert place(_situation([job], [_worker("w1"), _worker("w2", loaded="B")]), _POLICY) == [Assign(job, "w2")]


def test_without_a_holder_an_empty_worker_loads_the_model() -> None:
    workers = [_worker("w1", loaded="A"), _worker("w2", loaded="")]
    assert place(_situation([_job(model="B")], workers), _POLICY) == [LoadModel("w2", "B")]


def test_without_an_empty_worker_the_least_wanted_model_goes() -> None:
    workers = [_worker("w1", loaded="A", models="ABC"), _worker("w2", loaded="C", models="ABC")]
    queue = [_job(model="B", age_s=9), _job(model="A")]
    assert place(_situation(queue, workers), _POLICY) == [LoadModel("w2", "B"), Assign(queue[1], "w1")]


def test_a_job_waits_for_the_worker_that_is_loading_its_model() -> None:
    workers = [_worker("w1", loaded="", loading="B"), _worker("w2", loaded="A")]
    first, second = _job(model="B", age_s=9), _job(model="A")
    assert place(_situation([first, second], workers), _POLICY) == [Assign(second, "w2")]


def test_a_second_job_of_that_model_may_load_it_elsewhere() -> None:
    workers = [_worker("w1", loaded="", loading="B"), _worker("w2", loaded="A")]
    assert place(_situation([_job(model="B"), _job(model="B")], workers), _POLICY) == [LoadModel("w2", "B")]


def test_a_worker_that_cannot_load_the_model_is_left_alone() -> None:
    assert place(_situation([_job(model="C")], [_worker("w1")]), _POLICY) == []


@pytest.mark.parametrize("worker", [_worker("w1", accepting=False), _worker("w1", running=_running())])
def test_draining_and_busy_workers_get_nothing(worker: Worker) -> None:
    assert place(_situation([_job()], [worker]), _POLICY) == []


def test_idle_workers_without_a_model_load_the_default_one() -> None:
    warm = Policy(ageing_s=300, preempt_below_fraction=0.9, default_model="B")
    workers = [
        _worker("w1", loaded=""),
        _worker("w2", loaded="A"),
        _worker("w3", loaded="", models="A"),
        _worker("w4", loaded="", loading="B"),
        _worker("w5", loaded="", accepting=False),
    ]
    assert place(_situation([], workers), warm) == [LoadModel("w1", "B")]
    assert place(_situation([_job(model="A")], workers[:1]), warm) == [LoadModel("w1", "A")]


def test_a_job_nobody_can_run_does_not_hold_up_the_others() -> None:
    stuck, runnable = _job(model="C", age_s=100), _job(model="A")
    assert place(_situation([stuck, runnable], [_worker("w1")]), _POLICY) == [Assign(runnable, "w1")]


def test_a_waiting_realtime_job_preempts_the_least_urgent_with_the_least_progress() -> None:
    standard, begun, fresh = _running(step=1), _running(tier=Tier.CINEMA, step=40), _running(tier=Tier.CINEMA, step=3)
    workers = [_worker("w1", running=standard), _worker("w2", running=begun), _worker("w3", running=fresh)]
    job = _job(tier=Tier.REALTIME)
    assert place(_situation([job], workers), _POLICY) == [Preempt("w3", fresh, job)]


def test_lower_priority_is_preempted_first() -> None:
    high, low = _running(priority=0, step=1), _running(priority=900, step=30)
    workers = [_worker("w1", running=high), _worker("w2", running=low)]
    job = _job(tier=Tier.REALTIME)
    assert place(_situation([job], workers), _POLICY) == [Preempt("w2", low, job)]


def test_a_victim_that_holds_the_model_is_preferred() -> None:
    other, same = _running(step=1), _running(step=2)
    workers = [_worker("w1", loaded="B", running=other), _worker("w2", loaded="A", running=same)]
    job = _job(tier=Tier.REALTIME)
    assert place(_situation([job], workers), _POLICY) == [Preempt("w2", same, job)]


def test_nobody_is_preempted_while_a_worker_is_free_or_coming_free() -> None:
    busy = _worker("w1", running=_running())
    job = _job(tier=Tier.REALTIME)
    assert place(_situation([job], [busy, _worker("w2")]), _POLICY) == [Assign(job, "w2")]
    coming = _worker("w2", running=_running(preempting=True))
    assert place(_situation([job], [busy, coming]), _POLICY) == []
    assert len(place(_situation([job, _job(tier=Tier.REALTIME)], [busy, coming]), _POLICY)) == 1


@pytest.mark.parametrize("tier", [Tier.STANDARD, Tier.CINEMA])
def test_only_realtime_preempts(tier: Tier) -> None:
    worker = _worker("w1", running=_running(tier=Tier.CINEMA))
    assert place(_situation([_job(tier=tier, age_s=5000)], [worker]), _POLICY) == []


@pytest.mark.parametrize(
    "victim",
    [
        _running(tier=Tier.REALTIME),
        _running(denoising=False),
        _running(step=45),
        _running(age_s=300),
        _running(tier=Tier.CINEMA, age_s=600),
    ],
    ids=["realtime", "decoding", "nearly-done", "aged", "aged-cinema"],
)
def test_who_is_not_preempted(victim: RunningJob) -> None:
    assert place(_situation([_job(tier=Tier.REALTIME)], [_worker("w1", running=victim)]), _POLICY) == []


_jobs = st.builds(
    _job,
    st.sampled_from(["ada", "bob", "cleo"]),
    st.sampled_from(list(Tier)),
    priority=st.integers(0, 3),
    model=st.sampled_from("ABC"),
    age_s=st.integers(0, 2000),
)
_runs = st.builds(
    _running,
    st.sampled_from(["ada", "bob"]),
    st.sampled_from(list(Tier)),
    step=st.integers(0, 50),
    denoising=st.booleans(),
    preempting=st.booleans(),
)
_workers = st.lists(
    st.builds(
        _worker,
        st.sampled_from([f"w{number}" for number in range(8)]),
        loaded=st.sampled_from(["", "A"]),
        loading=st.sampled_from(["", "", "A", "?"]),
        models=st.sampled_from(["A", "AB", "ABC"]),
        accepting=st.booleans(),
        running=st.none() | _runs,
    ),
    max_size=5,
    unique_by=lambda worker: worker.worker_id,
)


def _worker_of(decision: Assign | LoadModel | Preempt) -> str:
    return decision.worker_id


@settings(max_examples=60, deadline=None)
@given(st.lists(_jobs, max_size=12), _workers)
def test_no_job_and_no_worker_is_ever_in_two_decisions(queue: list[QueuedJob], workers: list[Worker]) -> None:
    situation = _situation(queue, workers)
    decisions = place(situation, _POLICY)
    jobs = Counter(d.job.request_id for d in decisions if isinstance(d, Assign))
    assert all(count == 1 for count in jobs.values())
    assert all(count == 1 for count in Counter(map(_worker_of, decisions)).values())
    known = {worker.worker_id: worker for worker in workers}
    for decision in decisions:
        worker = known[decision.worker_id]
        if isinstance(decision, Assign):
            assert worker.free and worker.loaded == decision.job.model
        elif isinstance(decision, LoadModel):
            assert worker.free and decision.model in worker.models
        else:
            assert worker.running is decision.victim and decision.victim.tier is not Tier.REALTIME


@settings(max_examples=60, deadline=None)
@given(st.lists(_jobs, max_size=12).flatmap(lambda jobs: st.tuples(st.just(jobs), st.permutations(jobs))), _workers)
def test_the_order_does_not_depend_on_that_of_the_input(
    queues: tuple[list[QueuedJob], list[QueuedJob]], workers: list[Worker]
) -> None:
    one, other = (in_order(_situation(queue, workers), _POLICY) for queue in queues)
    assert one == other
    assert sorted(job.request_id for job in one) == sorted(job.request_id for job in queues[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(_jobs, min_size=1, max_size=12), _workers)
def test_a_free_worker_is_idle_only_if_no_other_job_could_use_it(queue: list[QueuedJob], workers: list[Worker]) -> None:
    decisions = place(_situation(queue, workers), _POLICY)
    spoken_for = {decision.worker_id for decision in decisions}
    idle = [worker for worker in workers if worker.free and worker.worker_id not in spoken_for]
    assigned = {decision.job.request_id for decision in decisions if isinstance(decision, Assign)}
    loading = Counter(worker.loading for worker in workers if worker.accepting and worker.loading)
    loading += Counter(decision.model for decision in decisions if isinstance(decision, LoadModel))
    waiting = Counter(job.model for job in queue if job.request_id not in assigned)
    for worker in idle:
        # Every job it could run has another worker that is loading its model.
        assert all(waiting[model] <= loading[model] for model in worker.models)
