"""The one thread that writes, with group commit.

What a loop turn submits is handed over as one list; lists that wait while a commit runs go into the
next transaction together (no timer). Results go back by one call into the loop for each commit, in
the order of submission.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw

from server.kernel.errors import AppError
from server.kernel.ids import RoomId
from server.kernel.logs import get_logger
from storage.api import Batch
from storage.sqlite.checkpoints import Checkpoints
from storage.sqlite.commits import Commits
from storage.sqlite.connection import CANNOT_SERVE, unavailable
from storage.sqlite.transaction import NoLog, Transaction

log = get_logger(__name__)
_T = TypeVar("_T")

GROUP_JOBS = 512
"""A transaction takes no further list above this; the first list is always taken whole."""
WAITING_JOBS = 50_000
IDLE_S = 0.25
"""Nothing to write for so long: time for a checkpoint."""

JOB_ERRORS = (AppError, LookupError, ValueError, TypeError, apsw.Error)


@dataclass(slots=True, eq=False)
class Job:
    """`run` gets the transaction. `batch`: of an append. `alone`: rolled back alone if it fails."""

    run: Callable[[Transaction], Any]
    future: asyncio.Future[Any]
    room_id: RoomId | None = None
    batch: Batch | None = None
    alone: bool = True
    outcome: Any = None
    error: BaseException | None = None


class Writer:
    """Runs jobs on its thread. All methods belong to the loop that was running when it was made."""

    def __init__(self, connection: apsw.Connection, path: Path | None) -> None:
        """`path`: of the database, for checkpoints beside the writer; None: only its own."""
        self._loop = asyncio.get_running_loop()
        self.commits = Commits()
        self._tx = Transaction(connection)
        self._checkpoints = Checkpoints(connection, path)
        self._turn: list[Job] = []
        self._lists: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._waiting: set[Job] = set()
        self._ended = False
        self._thread = threading.Thread(target=self._main, name="hubbub-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        run: Callable[[Transaction], _T],
        *,
        room_id: RoomId | None = None,
        batch: Batch | None = None,
        alone: bool = True,
    ) -> asyncio.Future[_T]:
        """Takes its place in the order now; the future resolves once the commit is on disk.

        Raises:
            Unavailable: the writer has ended, or too much waits for it.
        """
        if self._ended or len(self._waiting) >= WAITING_JOBS:
            raise unavailable()
        future: asyncio.Future[_T] = self._loop.create_future()
        job = Job(run, future, room_id, batch, alone)
        self._waiting.add(job)
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append(job)
        return future

    def this_turns(self, future: asyncio.Future[Any]) -> Job | None:
        """The job behind it, if it was submitted in this loop turn: what is submitted now runs
        after it in the same transaction, and may look at its outcome there.
        """
        return next((job for job in reversed(self._turn) if job.future is future), None)

    async def close(self) -> None:
        """Finish what was submitted, then end the thread and close the connection."""
        self._hand_over()
        self._lists.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._stop()

    def _hand_over(self) -> None:
        if self._turn:
            turn, self._turn = self._turn, []
            self._lists.put(turn)

    def _resolve(self, jobs: list[Job]) -> None:
        self._waiting.difference_update(jobs)
        for job in jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.outcome)

    def _stop(self) -> None:
        """The thread is gone: whoever waits is told, nobody is let in."""
        self._ended = True
        for job in tuple(self._waiting):
            if not job.future.done():
                job.future.set_exception(unavailable())
        self._waiting.clear()

    # ---- on the thread ----------------------------------------------------------------------

    def _main(self) -> None:
        try:
            while (group := self._next_group()) is not None:
                started = time.monotonic()
                self._run(group)
                self.commits.commit_s.observe(time.monotonic() - started)
                self.commits.commit_jobs.observe(len(group))
                self._tell(self._resolve, group)
                self._checkpoints.wrote(*self._tx.take_weight())
        finally:
            self._tell(self._stop)
            self._checkpoints.close()
            self._close_connection()

    def _next_group(self) -> list[Job] | None:
        """All that waits, or None at the end."""
        group = self._wait()
        while group is not None and len(group) < GROUP_JOBS:
            try:
                more = self._lists.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._lists.put(None)
                break
            group += more
        return group

    def _wait(self) -> list[Job] | None:
        if self._checkpoints.needed:
            try:
                return self._lists.get(timeout=IDLE_S)
            except queue.Empty:
                self._checkpoints.idle()
        return self._lists.get()

    def _run(self, group: list[Job]) -> None:
        try:
            self._commit(group)
        except CANNOT_SERVE as error:
            self._undo(group)
            self.commits.commits_failed += 1
            log.warning("store.failed", error=type(error).__name__, jobs=len(group))
            for job in group:
                job.outcome, job.error = None, unavailable()
        except JOB_ERRORS as error:
            self._undo(group)
            if len(group) == 1:
                group[0].error = error
                return
            for job in group:  # one of them spoils the rest: each by itself
                self._run([job])

    def _commit(self, group: list[Job]) -> None:
        tx = self._tx
        tx.connection.execute("BEGIN IMMEDIATE")
        rooms = {job.room_id for job in group if job.room_id is not None}
        tx.prepare(rooms, [job.batch for job in group if job.batch is not None])
        for job in group:
            if job.alone:
                self._run_alone(job)
            else:
                self._run_gathered(job)
        tx.flush()
        tx.connection.execute("COMMIT")
        tx.trim()

    def _run_gathered(self, job: Job) -> None:
        """A job that decides before it writes. Any other fault is for the whole group to undo."""
        try:
            job.outcome = job.run(self._tx)
        except NoLog as error:
            job.error = error

    def _run_alone(self, job: Job) -> None:
        tx = self._tx
        tx.flush()
        tx.connection.execute("SAVEPOINT job")
        try:
            job.outcome = job.run(tx)
            tx.flush()
        except CANNOT_SERVE:
            raise
        except JOB_ERRORS as error:
            job.error = error
            tx.forget()
            tx.connection.execute("ROLLBACK TO job")
        tx.connection.execute("RELEASE job")

    def _undo(self, group: list[Job]) -> None:
        self._tx.forget()
        for job in group:
            job.outcome = job.error = None
        try:
            if self._tx.connection.in_transaction:
                self._tx.connection.execute("ROLLBACK")
        except apsw.Error as error:
            log.warning("store.rollback_failed", error=type(error).__name__)

    def _close_connection(self) -> None:
        try:
            self._tx.connection.close()
        except apsw.Error as error:
            log.warning("store.close_failed", error=type(error).__name__)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.debug("store.nobody_waits")
