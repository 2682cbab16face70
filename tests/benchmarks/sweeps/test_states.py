"""The state machine of runs and attempts, played at random against a model of it in a few lines of Python."""

from collections import Counter

import pytest
import sqlalchemy
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from benchmarks.runs.config import RunConfig
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.importing import bring_in
from benchmarks.sweeps.store.mending import check
from benchmarks.sweeps.store.schema import attempts, checkpoints, members, runs
from benchmarks.sweeps.store.states import ATTEMPT_MOVES, DECIDED, ENDINGS, KILLED, RUN_MOVES, RUNNING, STATUSES
from tests.benchmarks.sweeps.conftest import TABLES

SMALL = SweepConfig(datasets="coloured-digits", algorithms="erm", seeds=1, settings={"rollouts": 2})
LARGE = SMALL.model_copy(update={"algorithms": ("erm", "pgrad")})
"""Three runs, and the same three with three more."""
MAX_ATTEMPTS = 2
LIKE = {"result": "finished", "divergence": "diverged", "failure": "failed"}


def outcome(config: RunConfig, event: str):
    """What a run tells that came to this."""
    point = {"step": [1], "loss": [0.5], "validation": [0.7], "held_out": [0.6]}
    found = {
        "key": config.key(),
        "config": config.config(),
        "timings": {"wall_seconds": 1.0},
        "peak_memory": {"resident_bytes": 1, "cuda_bytes": None},
        "curves": point,
        "domain_curves": {"10%": [0.7]},
        "measures": {},
    }
    if event == "result":
        chosen = {"training-domain": {"step": 1, "validation": 0.7, "held_out": 0.6}}
        return {**found, "status": "finished", "selections": chosen, "diagnostics": {}}
    kind = "diverged" if event == "divergence" else "error"
    return {**found, "status": "failed", "failure": kind, "error": "E", "traceback": ""}


class Machine(RuleBasedStateMachine):
    """Workers, coordinators and users do what they like, in any order, early, late and twice."""

    address = "sqlite://"
    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.store = Store(self.address)
        if self.address != "sqlite://":
            with self.store.database.write() as connection:
                connection.execute(sqlalchemy.text(f"TRUNCATE {TABLES}"))
        self.results = {}  # run key -> the status that was said to count, until it is asked for again

    def teardown(self):
        self.store.close()

    @initialize()
    def begin(self):
        self.sweeps = [self.store.enter(SMALL), self.store.enter(LARGE)]
        self.worker = self.store.new_worker("test", self.sweeps[0])

    @rule(target=claims, which=st.sampled_from([0, 1]))
    def claim(self, which):
        return self.store.claim(self.sweeps[which], self.worker)

    @rule(claim=claims)
    def beat(self, claim):
        if claim is not None:
            self.store.beat(claim.attempt_id)

    @rule(claim=claims, status=st.sampled_from(["lost", "interrupted"]))
    def give_up(self, claim, status):
        if claim is not None:
            given = self.store.give_up(claim.attempt_id, status, "gone", MAX_ATTEMPTS)
            assert not self.store.give_up(claim.attempt_id, status, "gone", MAX_ATTEMPTS)
            if given and self.state(claim.config.key()) == "failed":
                self.results.setdefault(claim.config.key(), "killed")

    @rule(claim=claims, event=st.sampled_from(sorted(LIKE)))
    def finish(self, claim, event):
        if claim is None:
            return
        key = claim.config.key()
        if self.store.finish(claim, outcome(claim.config, event), {"code": claim.code}):
            # The first result counts; only a failure that was none of the run's own gives way.
            assert self.results.get(key, "killed") in ("killed", LIKE[event])
            self.results[key] = LIKE[event]

    @rule(claim=consumes(claims), event=st.sampled_from(sorted(LIKE)))
    def finish_twice(self, claim, event):
        if claim is not None:
            self.finish(claim, event)
            before = self.store.records()
            self.finish(claim, event)
            assert self.store.records() == before

    @rule(number=st.integers(0, 5), event=st.sampled_from(sorted(LIKE)), tries=st.integers(0, 2))
    def bring(self, number, event, tries):
        config = LARGE.runs()[number]
        found = outcome(config, event)
        ended = [{"number": each + 1, "status": "lost"} for each in range(tries)]
        last = {"number": tries + 1, "status": found["status"], "failure": found.get("failure")}
        code = self.code()
        record = {**found, "environment": {"code": code}, "attempts": [*ended, last], "evaluations": 6}
        if bring_in(self.store, [record]).new:
            assert config.key() not in self.results
            self.results[config.key()] = LIKE[event]

    @rule(which=st.sampled_from([0, 1]), statuses=st.sets(st.sampled_from(DECIDED), min_size=1))
    def redo(self, which, statuses):
        before = {record["key"]: record["status"] for record in self.store.records(self.sweeps[which])}
        asked = {key for key, status in before.items() if status in statuses}
        assert self.store.redo(self.sweeps[which], statuses) == len(asked)
        for key in asked:
            del self.results[key]

    @rule(which=st.sampled_from([0, 1]))
    def delete_and_enter_again(self, which):
        self.store.delete(self.sweeps[which])
        self.sweeps[which] = self.store.enter((SMALL, LARGE)[which])
        if which == 1:  # what the smaller one has too is kept
            kept = {config.key() for config in SMALL.runs()}
            self.results = {key: status for key, status in self.results.items() if key in kept}

    def code(self):
        with self.store.database.read() as connection:
            query = sqlalchemy.select(runs.c.code).where(runs.c.algorithm == "erm").limit(1)
            return connection.execute(query).scalar_one()

    def state(self, key):
        with self.store.database.read() as connection:
            return connection.execute(sqlalchemy.select(runs.c.status).where(runs.c.key == key)).scalar_one()

    @invariant()
    def every_run_is_what_its_attempts_say(self):
        with self.store.database.read() as connection:
            status = dict(connection.execute(sqlalchemy.select(runs.c.id, runs.c.status)).all())
            keys = dict(connection.execute(sqlalchemy.select(runs.c.id, runs.c.key)).all())
            tries = connection.execute(sqlalchemy.select(attempts)).all()
            places = connection.execute(sqlalchemy.select(members)).all()
            points = connection.execute(sqlalchemy.select(checkpoints.c.attempt_id)).scalars().all()
        assert set(status.values()) <= set(STATUSES)
        assert {attempt.status for attempt in tries} <= {RUNNING, *ENDINGS}
        for run_id, now in status.items():
            own = Counter(attempt.status for attempt in tries if attempt.run_id == run_id)
            assert own["finished"] == (now == "finished")
            assert own[RUNNING] <= 1
            if now in DECIDED:
                assert own[now] >= 1
                said = self.results[keys[run_id]]
                assert now == ("failed" if said == "killed" else said)
            else:
                assert own[RUNNING] == (now == RUNNING)
                assert keys[run_id] not in self.results
        assert all(place.status == status[place.run_id] for place in places)
        counted = {attempt.id for attempt in tries if attempt.status in DECIDED and attempt.failure != KILLED}
        assert set(points) <= counted

    @invariant()
    def sums_and_records_agree(self):
        for sweep_id, sweep in zip(self.sweeps, (SMALL, LARGE), strict=True):
            keys = {config.key() for config in sweep.runs()}
            records = self.store.records(sweep_id)
            counts = self.store.counts(sweep_id)
            assert sum(counts.values()) == sweep.size()
            told = Counter(record["status"] for record in records)
            assert {name: counts[name] for name in DECIDED} == {name: told[name] for name in DECIDED}
            assert {record["key"] for record in records} == keys & set(self.results)
            progress = self.store.progress(sweep_id)
            assert progress.counts == counts
            assert sum(runs for runs, _ in progress.ahead.values()) == counts["pending"] + counts["running"]
            assert bool(progress.best) == bool(counts["finished"])
        assert check(self.store.database, mend=False) == []


class OnSQLite(Machine):
    """The machine in memory."""


TestOnSQLite = OnSQLite.TestCase
TestOnSQLite.settings = settings(max_examples=25, stateful_step_count=20)
TestOnSQLite.pytestmark = [pytest.mark.slow]


@pytest.mark.slow
def test_on_postgresql(postgresql):
    class OnPostgreSQL(Machine):
        address = postgresql

    case = OnPostgreSQL.TestCase
    case.settings = settings(max_examples=5, stateful_step_count=20, suppress_health_check=list(HealthCheck))
    case().runTest()


def test_every_move_is_between_states_that_exist():
    for moves, states in ((RUN_MOVES, STATUSES), (ATTEMPT_MOVES, (RUNNING, *ENDINGS))):
        for event, pairs in moves.items():
            assert set(pairs) <= {*states, KILLED}, event
            assert set(pairs.values()) <= set(states), event
    assert not any("finished" in RUN_MOVES[event] for event in RUN_MOVES if event != "redo")


def test_the_claim_of_a_deleted_attempt_is_no_later_one(tmp_path):
    with Store(tmp_path / "store.sqlite") as store:
        number = store.enter(SMALL)
        worker = store.new_worker("test", number)
        old = store.claim(number, worker)
        store.delete(number)
        number = store.enter(LARGE)
        new = store.claim(number, worker)
        assert new.attempt_id != old.attempt_id
        assert not store.beat(old.attempt_id)
        assert not store.give_up(old.attempt_id, "lost", "killed", 3)
        assert store.beat(new.attempt_id)
