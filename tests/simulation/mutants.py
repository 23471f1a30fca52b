"""Faults put back into the engine on purpose: a simulator that finds nothing must show that it would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any
from unittest import mock

from tests.simulation import faulty
from wrangler_py.engine.instance.replay import RUN

_INSTANCE = "wrangler_py.engine.instance"
_SQLITE = "wrangler_py.storage.sqlite"
_COMMITS = "wrangler_py.engine.commits"
_CONTROL = "wrangler_py.engine.control.Control"
_ATTEMPTS = f"{_INSTANCE}.attempts.Attempts"
_RUNNER = f"{_INSTANCE}.runner.Runner"
_CONTEXT = f"{_INSTANCE}.context.InstanceContext"


@dataclass(frozen=True)
class Mutant:
    """A fault, and how to put it back: attributes of modules or classes, and what stands there instead."""

    name: str
    what: str
    patches: tuple[tuple[str, Callable[[Any], Any]], ...]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the fault in the engine for a while; each patch is given what it takes the place of."""
        with ExitStack() as stack:
            for target, make in self.patches:
                stack.enter_context(mock.patch(target, make(resolve_name(target))))
            yield


def _one(name: str, what: str, target: str, make: Callable[[Any], Any]) -> Mutant:
    return Mutant(name, what, ((target, make),))


#: Faults that were mended.
MENDED = (
    # An end that is never written, or that something follows.
    Mutant(
        "output-not-stored",
        "run() returns what cannot be stored: it never ends",
        ((f"{_RUNNER}._live", faulty.live_without_net), (f"{_RUNNER}._completed", faulty.completed_naively)),
    ),
    Mutant(
        "error-not-stored",
        "run() raises an error without text: it never ends",
        (
            (f"{_RUNNER}._live", faulty.live_without_net),
            (f"{_INSTANCE}.runner.capture", faulty.captured_naively),
        ),
    ),
    Mutant(
        "tasks-outlive-run",
        "tasks go on, and write, after run() has ended",
        (
            (f"{_CONTEXT}.quiet", faulty.awaits()),
            (f"{_CONTEXT}.may_write", faulty.may_always_write),
            (f"{_CONTEXT}.log", faulty.logs_behind_the_end),
        ),
    ),
    _one(
        "group-behind-the-end",
        "a group of results is recorded behind the end",
        f"{_COMMITS}._record_groups",
        faulty.groups_behind_the_end,
    ),
    # An end that is overwritten.
    _one(
        "commands-on-stale-reads",
        "a command writes what it decided before it waited",
        f"{_CONTROL}._carry_out",
        faulty.decided_once,
    ),
    _one(
        "change-without-condition",
        "the store carries a command out on any status",
        f"{_SQLITE}.SqliteStore.change",
        faulty.changed_whatever_happened,
    ),
    _one(
        "reused-row-numbers",
        "a command hits the instance that got its row number",
        f"{_CONTROL}._carry_out",
        faulty.held_by_row,
    ),
    _one(
        "commands-beside-a-driver",
        "a command writes while a driver holds the instance",
        f"{_CONTROL}._is_free",
        faulty.awaits(True),
    ),
    _one(
        "old-life-runs-on",
        "restart, terminate, delete leave the old run going",
        f"{_CONTROL}._steer",
        faulty.steer_without_stopping,
    ),
    _one(
        "newer-run-released",
        "an older request releases an instance driven anew",
        f"{_CONTROL}._is_newer",
        faulty.returns(False),
    ),
    _one(
        "last-words-overtaken",
        "a command overtakes the last writes of a run",
        f"{_COMMITS}.GroupCommit.writes_for",
        faulty.returns(False),
    ),
    _one(
        "runner-cancelled",
        "a cancellation of run() hits what stores its end",
        f"{_INSTANCE}.code.UserCode.cancel",
        faulty.cancels_the_runner_too,
    ),
    _one(
        "next-life-forgotten",
        "the old run's end removes the new one from memory",
        "wrangler_py.engine.scheduler.Scheduler._ended",
        faulty.ended_whoever_runs,
    ),
    _one(
        "steered-by-itself",
        "a command is cancelled with the step that gives it",
        f"{_CONTROL}._command",
        faulty.command_in_its_callers_task,
    ),
    # No process has lines of an instance that it does not drive, since it does not release a newer run any more.
    Mutant(
        "lines-of-others",
        "lines are written for an instance driven elsewhere",
        (
            (f"{_SQLITE}.store.write_batch", faulty.checks_changes_only),
            (f"{_CONTROL}._is_newer", faulty.returns(False)),
        ),
    ),
    # An instance that nobody drives.
    _one(
        "halted-and-forgotten",
        "a command fails, the run it stopped is not resumed",
        f"{_CONTROL}._set_going",
        faulty.returns(None),
    ),
    _one(
        "released-for-nobody",
        "who asked for an instance dies: nobody takes it up",
        f"{_SQLITE}.SqliteStore.let_go",
        faulty.let_go_for_nobody,
    ),
    _one(
        "lost-claim-forgiven",
        "the answer of a claim is lost: nobody drives those",
        "wrangler_py.engine.scheduler.Scheduler._claim",
        faulty.claim_forgiven,
    ),
    # A commit that fails.
    _one(
        "refused-batch-forgiven",
        "after a refused batch the same lease writes on",
        f"{_COMMITS}.GroupCommit.poison",
        faulty.returns(None),
    ),
    _one(
        "flush-overtakes-a-batch",
        "a flush does not wait for the batch under way",
        f"{_COMMITS}.GroupCommit.flush",
        faulty.flush_that_overtakes,
    ),
    Mutant(
        "store-felt-by-user-code",
        "a refused batch raises the store's error in run()",
        (
            (f"{_COMMITS}.Abort", faulty.store_error),
            ("wrangler_py.engine.engine.Engine._lease_lost", faulty.lost_a_turn_later),
        ),
    ),
    _one(
        "result-after-lost-lease",
        "a result reaches run() after the lease is lost",
        f"{_CONTEXT}.hand_over",
        faulty.handed_over_unchecked,
    ),
    Mutant(
        "rollback-cut-off",
        "a refused batch in a rollback ends the instance",
        (
            (f"{_INSTANCE}.runner.Phase", faulty.without_undoing),
            (f"{_COMMITS}.GroupCommit._refuse", faulty.told_and_kept),
        ),
    ),
    _one(
        "lease-kept-by-the-told",
        "a run is told of a refused batch, its lease stays",
        f"{_COMMITS}.GroupCommit._refuse",
        faulty.told_and_kept,
    ),
    # Attempts that do not count.
    _one(
        "deaths-not-counted",
        "a step that kills its process at once is not counted",
        f"{_SQLITE}.SqliteStore.claim",
        faulty.claim_without_deaths,
    ),
    _one(
        "killers-beside-others",
        "a known killer is tried beside other instances",
        "wrangler_py.engine.trials.Trials.admits",
        faulty.admits_all,
    ),
    _one(
        "exit-ends-the-instance",
        "sys.exit() in a step is no failed attempt",
        f"{_ATTEMPTS}._is_asked_for",
        faulty.exit_too,
    ),
    _one(
        "cancelled-by-itself",
        "a CancelledError nobody asked for ends the instance",
        f"{_ATTEMPTS}._is_asked_for",
        faulty.any_cancellation,
    ),
    _one(
        "abandoned-step-again",
        "a step that run() gave up is called on each replay",
        f"{_ATTEMPTS}._abandon",
        faulty.tried_again,
    ),
    # Replays that swap.
    Mutant(
        "results-in-program-order",
        "a replay hands results out in the program's order",
        (
            (f"{_INSTANCE}.order.Order.recorded", faulty.awaits()),
            (f"{_INSTANCE}.order.Order.live", faulty.awaits()),
            (f"{_INSTANCE}.order.Order.rest", faulty.awaits()),
        ),
    ),
    Mutant(
        "steps-by-name-alone",
        "tasks with one step name get each other's result",
        (
            (f"{_INSTANCE}.replay.Recorded.scope", faulty.everywhere),
            (f"{_INSTANCE}.code.UserCode._scope", faulty.returns(RUN)),
        ),
    ),
    _one(
        "cancelled-before-begun",
        "a step cancelled before it began counts as forgotten",
        f"{_INSTANCE}.calls.Calls.names",
        faulty.names_of_closed_too,
    ),
    _one(
        "given-up-on-the-way",
        "a result given up on its way is handed to a replay",
        f"{_CONTEXT}.hand_over",
        faulty.handed_over_or_not,
    ),
    # Time.
    _one(
        "asleep-with-a-timer",
        "an instance with a timer of its own leaves memory",
        f"{_INSTANCE}.tasks.Tasks.next_timer_ms",
        faulty.returns(None),
    ),
    _one(
        "waits-by-the-wall-clock",
        "a clock that is set back stalls waits in memory",
        "wrangler_py.engine.timers.Timers._loop_ms",
        faulty.by_wall_only,
    ),
    _one(
        "timeout-swallowed",
        "a step that swallows its timeout goes on",
        f"{_INSTANCE}.executor._Drive._bound",
        faulty.returns(None),
    ),
    _one(
        "late-result-kept",
        "a result that comes after the timeout is stored",
        f"{_INSTANCE}.executor.AttemptExecutor._check",
        faulty.returns(None),
    ),
    _one(
        "stop-iteration-in-a-thread",
        "next() on an empty iterator hangs a def step",
        f"{_INSTANCE}.executor.AttemptExecutor._in_thread",
        faulty.result_as_it_is,
    ),
    # Events.
    _one(
        "events-lost-on-timeouts",
        "a wait times out though its event is stored",
        f"{_CONTEXT}.collect_events",
        faulty.awaits(),
    ),
    _one(
        "events-passed-over",
        "an event of another process is passed over",
        f"{_CONTROL}._collect",
        faulty.only_the_last_event,
    ),
)
#: Faults that were never there.
INVENTED = (
    _one(
        "result-before-commit",
        "a result reaches run() before it is on disk",
        f"{_COMMITS}.GroupCommit.durable",
        faulty.durable_at_once,
    ),
    _one(
        "batch-written-again",
        "a batch whose answer was lost is written again",
        f"{_COMMITS}.GroupCommit._write",
        faulty.written_again,
    ),
    _one(
        "event-kept",
        "a delivered event stays in the mailbox on disk",
        f"{_COMMITS}.GroupCommit.consume",
        faulty.returns(None),
    ),
    _one(
        "lost-wake-up",
        "an event that comes while a wait parks is not seen",
        f"{_SQLITE}.batches._Q",
        faulty.replaced("park", "signal <> :signal", ":signal IS NULL"),
    ),
    _one(
        "one-attempt-too-many",
        "a step is tried once more than its limit says",
        f"{_INSTANCE}.attempts.may_retry",
        faulty.one_more,
    ),
    _one(
        "no-fence",
        "a batch is written whoever drives the instance",
        f"{_SQLITE}.batches._not_driven",
        faulty.returns(frozenset()),
    ),
)
MUTANTS = (*MENDED, *INVENTED)
