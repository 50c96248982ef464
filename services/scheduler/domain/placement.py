"""Which job goes to which worker: a pure function of the queue, the workers and the time.

Order: aged tier, priority, fair share between the users of a tier, time in the queue. A user's share is what he has
running in the tier plus his jobs ahead; users with equal shares take turns, the one served longest ago first. Waiting
lifts a job tier by tier and beyond the most urgent one, so every job is at some time ahead of all newcomers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from uuid import UUID

from services.scheduler.domain.jobs import QueuedJob, Tier

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Policy:
    """The knobs."""

    ageing_s: float
    """Seconds of waiting that lift a job by one tier."""
    preempt_below_fraction: float
    """Share of steps done from which a job is left alone."""
    default_model: str = ""
    """Model that a worker without any loads while nobody waits; empty for none."""


@dataclass(frozen=True)
class RunningJob:
    """What a worker has been given."""

    request_id: UUID
    epoch: int
    user_id: str
    tier: Tier
    priority: int
    enqueued_at: datetime
    step: int
    total_steps: int
    denoising: bool
    """Whether it can be given back at a step boundary."""
    preempting: bool
    """Whether it was ordered back already."""


@dataclass(frozen=True)
class Worker:
    """A connected worker."""

    worker_id: str
    models: frozenset[str]
    """Models it can load."""
    loaded: str
    """Model in its memory; empty for none."""
    loading: str
    """Model it is loading; empty for none."""
    accepting: bool
    """Whether it takes jobs: neither draining nor busy in a way we did not order."""
    running: RunningJob | None

    @property
    def free(self) -> bool:
        """Whether it can begin something now."""
        return self.accepting and self.running is None and not self.loading


@dataclass(frozen=True)
class Situation:
    """Everything a decision depends on."""

    queue: Sequence[QueuedJob]
    workers: Sequence[Worker]
    last_served: Mapping[tuple[str, Tier], datetime]
    """When a user last got a worker in a tier."""
    now: datetime


@dataclass(frozen=True)
class Assign:
    """Give the job to the worker."""

    job: QueuedJob
    worker_id: str


@dataclass(frozen=True)
class LoadModel:
    """Let the worker load a model, for a job that waits."""

    worker_id: str
    model: str


@dataclass(frozen=True)
class Preempt:
    """Take the worker's job back, for a more urgent one."""

    worker_id: str
    victim: RunningJob
    waiting: QueuedJob
    """The more urgent job."""


Decision = Assign | LoadModel | Preempt


def in_order(situation: Situation, policy: Policy) -> list[QueuedJob]:
    """Sorts the queue as it would be served."""
    ranked = [(_aged_rank(job, situation.now, policy), job) for job in situation.queue]
    ranked.sort(key=lambda pair: (pair[0], pair[1].priority, pair[1].enqueued_at, pair[1].request_id))
    running = [worker.running for worker in situation.workers if worker.running is not None]
    shares = Counter((job.user_id, job.tier) for job in running)
    keyed = []
    for rank, job in ranked:
        share = (job.user_id, job.tier)
        served = situation.last_served.get(share, _NEVER)
        keyed.append(((rank, job.priority, shares[share], served, job.enqueued_at, job.request_id), job))
        shares[share] += 1
    return [job for _, job in sorted(keyed, key=itemgetter(0))]


def place(situation: Situation, policy: Policy) -> list[Decision]:
    """Decides what to do now; every job and every worker is in at most one decision."""
    round_ = _Round.of(situation, policy)
    for job in in_order(situation, policy):
        if round_.exhausted:
            break
        round_.serve(job)
    round_.warm_up(policy.default_model)
    return round_.decisions


@dataclass
class _Round:
    """Workers not yet spoken for, and what was decided."""

    free: list[Worker]
    loading: list[Worker]
    preempting: list[Worker]
    victims: list[tuple[Worker, RunningJob]]
    demand: Counter[str]
    decisions: list[Decision] = field(default_factory=list)

    @classmethod
    def of(cls, situation: Situation, policy: Policy) -> _Round:
        workers = sorted(situation.workers, key=lambda worker: worker.worker_id)
        return cls(
            free=[w for w in workers if w.free],
            loading=[w for w in workers if w.accepting and w.running is None and w.loading],
            preempting=[w for w in workers if w.running is not None and w.running.preempting],
            victims=[
                (w, w.running) for w in workers if w.running and _may_be_preempted(w.running, situation.now, policy)
            ],
            demand=Counter(job.model for job in situation.queue),
        )

    @property
    def exhausted(self) -> bool:
        return not (self.free or self.loading or self.preempting or self.victims)

    def serve(self, job: QueuedJob) -> None:
        able = [worker for worker in self.free if job.model in worker.models]
        holder = next((worker for worker in able if worker.loaded == job.model), None)
        if holder is not None:
            self.free.remove(holder)
            self.decisions.append(Assign(job, holder.worker_id))
        elif _take(self.loading, [worker for worker in self.loading if worker.loading == job.model]):
            return  # The job waits for that worker.
        elif able:
            self._load(job.model, able)
        elif job.tier is Tier.REALTIME:
            self._preempt_for(job)

    def warm_up(self, model: str) -> None:
        """Lets workers that hold nothing and have nothing to do load a model, so that the next job need not wait."""
        for worker in self.free:
            if not worker.loaded and model in worker.models:
                self.decisions.append(LoadModel(worker.worker_id, model))

    def _load(self, model: str, able: list[Worker]) -> None:
        """Prefers an empty worker, then one whose model few jobs wait for."""
        chosen = min(able, key=lambda w: (bool(w.loaded), self.demand[w.loaded], w.worker_id))
        self.free.remove(chosen)
        self.decisions.append(LoadModel(chosen.worker_id, model))

    def _preempt_for(self, job: QueuedJob) -> None:
        """Takes the least urgent job, then the one with the least progress; one victim a waiting job."""
        if _take(self.preempting, [worker for worker in self.preempting if job.model in worker.models]):
            return
        able = [victim for victim in self.victims if job.model in victim[0].models]
        if able:
            chosen = min(able, key=lambda victim: _victim_key(victim[0], victim[1], job.model))
            self.victims.remove(chosen)
            self.decisions.append(Preempt(chosen[0].worker_id, chosen[1], job))


def _aged_rank(job: QueuedJob | RunningJob, now: datetime, policy: Policy) -> int:
    waited_s = max(0.0, (now - job.enqueued_at).total_seconds())
    return job.tier.rank - int(waited_s // policy.ageing_s)


def _may_be_preempted(job: RunningJob, now: datetime, policy: Policy) -> bool:
    if job.preempting or not job.denoising:
        return False
    # A job that has waited long enough to be as urgent as REALTIME keeps its worker, else it would never end.
    urgent = _aged_rank(job, now, policy) <= Tier.REALTIME.rank
    return not urgent and job.step < policy.preempt_below_fraction * max(1, job.total_steps)


def _victim_key(worker: Worker, job: RunningJob, model: str) -> tuple[int, int, bool, int, str]:
    return -job.tier.rank, -job.priority, worker.loaded != model, job.step, worker.worker_id


def _take(pool: list[Worker], matching: list[Worker]) -> bool:
    if matching:
        pool.remove(matching[0])
    return bool(matching)
