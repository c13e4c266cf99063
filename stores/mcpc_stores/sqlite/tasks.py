"""Tasks in SQLite: who may run one, what is signalled to it, its one end. Runs inside somebody else's transaction."""

import sqlite3
from collections.abc import Callable, Collection, Iterable
from typing import Any

from mcpc.errors import DuplicateTask, StoreRefused, TooManyTasks
from mcpc.stored import (
    Appended,
    Claim,
    Ended,
    Entered,
    Entry,
    Fenced,
    NewTask,
    Receipt,
    Refused,
    StoredTask,
    StoreLimits,
)
from mcpc_stores.refusals import principal_full, queue_full
from mcpc_stores.sqlite.log import Channels, Place

__all__ = ["Tasks"]

_TASK = (
    "SELECT t.task_id, c.channel, t.tool_name, t.session_id, c.principal, t.status, t.state, t.on_interrupt, t.token,"
    " t.attempt, t.created_at, t.updated_at, t.expires_at, t.end_number, t.was_interrupted, t.arguments, t.checkpoint,"
    " t.taken FROM tasks t JOIN channels c ON c.id = t.channel "
)
_ENDED = ("complete", "failed")


def _task(row: Any) -> StoredTask:
    return StoredTask(*row[:14], was_interrupted=bool(row[14]), arguments=row[15], checkpoint=row[16], taken=row[17])


def _check_queue(db: sqlite3.Connection, tool: str, most: int) -> None:
    (waiting,) = db.execute("SELECT count(*) FROM tasks WHERE status = 'queued' AND tool_name = ?", (tool,)).fetchone()
    if waiting >= most:
        raise queue_full(most)


def _check_principal(db: sqlite3.Connection, channel: int, most: int | None) -> None:
    if most is None:
        return
    (open_now,) = db.execute(
        "SELECT count(*) FROM tasks t JOIN channels c ON c.id = t.channel WHERE t.expires_at IS NULL"
        " AND c.principal = (SELECT principal FROM channels WHERE id = ?)",  # which nothing equals where it is NULL
        (channel,),
    ).fetchone()
    if open_now >= most:
        raise principal_full(most)


class Tasks:
    """The tasks of one file.

    Args:
        db: The connection.
        channels: The channels of the same file.
        limits: The bounds.
        changed: Told of each task or signal that others may want to look at: a kind of bell, and the task's id.
    """

    def __init__(
        self, db: sqlite3.Connection, channels: Channels, limits: StoreLimits, changed: Callable[[Any, str], None]
    ) -> None:
        self._db = db
        self._channels = channels
        self._limits = limits
        self._changed = changed

    # --- beginning ---

    def enter(self, task: NewTask, runner: str | None, now: float) -> Entered:
        """See `Store.enter`."""
        place = self._channels.find(task.channel)
        if place is None:
            raise StoreRefused("there is no such channel in the store")
        if task.key is not None and (known := self._keyed(place.id, task.key)) is not None:
            return Entered(known, None, is_new=False)
        self._check_room(place, task.task_id)
        _check_principal(self._db, place.id, self._limits.max_tasks_per_principal)
        if runner is None:
            _check_queue(self._db, task.tool_name, self._limits.max_queued)
        token = 0 if runner is None else 1
        self._db.execute(
            "INSERT INTO tasks (task_id, channel, tool_name, session_id, status, state, on_interrupt, max_attempts,"
            " token, runner, attempt, created_at, updated_at, interrupted, start_key, arguments)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(task.task_id, place.id, task.tool_name, task.session_id),
                *("queued" if runner is None else "running", task.state, task.on_interrupt, task.max_attempts),
                *(token, runner, token, now, now, task.interrupted, task.key, task.arguments),
            ),
        )
        self._changed("task", task.task_id)
        claim = None if runner is None else Claim(task.task_id, task.channel, token)
        return Entered(task.task_id, claim, is_new=True)

    def _keyed(self, channel: int, key: str) -> str | None:
        row = self._db.execute(
            "SELECT task_id FROM tasks WHERE channel = ? AND start_key = ?", (channel, key)
        ).fetchone()
        return None if row is None else row[0]

    def _check_room(self, place: Place, task_id: str) -> None:
        if self._db.execute("SELECT 1 FROM tasks WHERE task_id = ?", (task_id,)).fetchone():
            raise DuplicateTask("this task id is in use; make a new one for each call")
        (open_now,) = self._db.execute(
            "SELECT count(*) FROM tasks WHERE channel = ? AND expires_at IS NULL", (place.id,)
        ).fetchone()
        if open_now >= self._limits.max_tasks_per_channel:
            limit = self._limits.max_tasks_per_channel
            text = f"{limit} tasks of this client run, which is the limit; try again when one has ended"
            raise TooManyTasks(text, limit="max_tasks_per_channel", value=limit)
        if self._channels.crowded(place):
            raise TooManyTasks("too many results of this client wait to be read; it must listen before it starts more")

    def claim(self, runner: str, tools: Collection[str], now: float) -> tuple[Claim, StoredTask] | None:
        """See `Store.claim`."""
        marks = ", ".join("?" * len(tools))
        oldest = (
            "SELECT id FROM tasks WHERE status = 'queued' AND expires_at IS NULL"
            f" AND tool_name IN ({marks}) ORDER BY updated_at, id LIMIT 1"
        )
        return self._take(runner, now, oldest, *tools)

    def take(self, runner: str, task_id: str, now: float) -> tuple[Claim, StoredTask] | None:
        """See `Store.take`."""
        return self._take(
            runner, now, "SELECT id FROM tasks WHERE task_id = ? AND status IN ('queued', 'handed')", task_id
        )

    def _take(self, runner: str, now: float, which: str, *args: str) -> tuple[Claim, StoredTask] | None:
        """Take the task that a query finds."""
        row = self._db.execute(
            "UPDATE tasks SET status = 'running', token = token + 1, attempt = attempt + 1, runner = ?, updated_at = ?,"
            f" read = taken WHERE id = ({which}) RETURNING task_id",
            (runner, now, *args),
        ).fetchone()
        if row is None:
            return None
        self._changed("task", row[0])
        task = self.find(row[0])
        assert task is not None
        return Claim(task.task_id, task.channel, task.token), task

    def release(self, claim: Claim, now: float, *, handed: bool) -> None:
        """See `Store.release`."""
        released = self._db.execute(
            "UPDATE tasks SET status = ?, token = token + 1, runner = NULL, updated_at = ?"
            " WHERE task_id = ? AND token = ? AND status = 'running'",
            ("handed" if handed else "queued", now, claim.task_id, claim.token),
        )
        if released.rowcount:
            self._changed("task", claim.task_id)

    # --- looking ---

    def find(self, task_id: str) -> StoredTask | None:
        """See `Store.task`."""
        row = self._db.execute(_TASK + "WHERE t.task_id = ?", (task_id,)).fetchone()
        return None if row is None else _task(row)

    def of(self, channel: str, limit: int) -> list[StoredTask]:
        """See `Store.tasks`."""
        rows = self._db.execute(_TASK + "WHERE c.channel = ? ORDER BY t.id DESC LIMIT ?", (channel, limit))
        return [_task(row) for row in rows][::-1]

    def keyed(self, channel: str, key: str) -> StoredTask | None:
        """See `Store.keyed`."""
        row = self._db.execute(_TASK + "WHERE c.channel = ? AND t.start_key = ?", (channel, key)).fetchone()
        return None if row is None else _task(row)

    # --- appending ---

    def append(self, entry: Entry, now: float) -> Receipt:
        """Let one entry land."""
        place = self._channels.find(entry.channel)
        if place is None:
            return Refused("there is no such channel in the store")
        written = self._channels.written(place, entry.writer)
        if written is not None and entry.seq == written[0]:
            return Appended(written[1], place.cursor, place.listener is not None)
        if written is not None and entry.seq != written[0] + 1:
            return Refused(f"entry {entry.seq} is not the next of its writer after {written[0]}")
        if entry.claim is not None and (barred := self._barred(entry.claim, place)) is not None:
            return barred
        self._channels.jump(place, entry.known)
        first = self._channels.add(place, entry.messages, now)
        self._channels.wrote(place, entry.writer, entry.seq, first, now)
        if entry.claim is not None:
            self._apply(entry, entry.claim.task_id, place, now)
        if entry.messages:
            self._changed("channel", entry.channel)
        return Appended(first, place.cursor, place.listener is not None)

    def _barred(self, claim: Claim, place: Place) -> Fenced | Ended | None:
        """Why the holder of a claim may not append; None where it may."""
        row = self._db.execute(
            "SELECT token, status, channel FROM tasks WHERE task_id = ?", (claim.task_id,)
        ).fetchone()
        if row is None or row[2] != place.id:
            return Fenced()
        if row[1] in _ENDED:
            return Ended()
        return Fenced() if row[0] != claim.token or row[1] != "running" else None

    def _apply(self, entry: Entry, task_id: str, place: Place, now: float) -> None:
        """What an entry says of its task, beside the messages."""
        if entry.end is not None:
            data = entry.messages[-1] if entry.messages else b""
            self._end(task_id, place, entry.end, data, entry.state, now)
        elif entry.state is not None or entry.checkpoint is not None or entry.taken:
            checkpoint = entry.checkpoint
            self._db.execute(
                "UPDATE tasks SET state = coalesce(?, state), updated_at = ?, read = max(read, ?),"
                " checkpoint = coalesce(?, checkpoint), taken = CASE WHEN ? THEN max(read, ?) ELSE taken END"
                " WHERE task_id = ?",
                (entry.state, now, entry.taken, checkpoint, checkpoint is not None, entry.taken, task_id),
            )
            if checkpoint is not None:
                self._db.execute(
                    "DELETE FROM signals WHERE prompt_id IS NULL AND (task, number) IN (SELECT s.task, s.number FROM"
                    " signals s JOIN tasks t ON t.id = s.task WHERE t.task_id = ? AND s.number <= t.taken)",
                    (task_id,),
                )
            if entry.state is not None:
                self._changed("task", task_id)

    def _end(self, task_id: str, place: Place, end: str, data: bytes, state: bytes | None, now: float) -> None:
        """The task's one end. Its terminal message, if it has one, is the newest of the log."""
        expires = now + self._limits.task_ttl
        if data:
            self._channels.keep(place, place.head, data, expires)
        (row,) = self._db.execute(
            "UPDATE tasks SET status = ?, state = coalesce(?, state), updated_at = ?, expires_at = ?, end_number = ?,"
            " runner = NULL, arguments = NULL, checkpoint = NULL WHERE task_id = ? RETURNING id",
            (end, state, now, expires, place.head if data else 0, task_id),
        ).fetchone()
        self._db.execute("DELETE FROM signals WHERE task = ?", (row,))
        self._changed("task", task_id)

    # --- runners ---

    def held(self, runner: str, claims: Collection[Claim]) -> set[str]:
        """Those of the claims that are the newest of their tasks, and the runner's."""
        rows = self._db.execute("SELECT task_id, token FROM tasks WHERE runner = ? AND status = 'running'", (runner,))
        tokens: dict[str, int] = dict(rows.fetchall())
        return {claim.task_id for claim in claims if tokens.get(claim.task_id) == claim.token}

    def orphans_of(self, runners: Iterable[str], now: float) -> list[StoredTask]:
        """End or queue the running tasks of these runners, which are gone; those that ended."""
        ended: list[StoredTask] = []
        for runner in runners:
            rows = self._db.execute(
                "SELECT task_id, channel, on_interrupt, interruptions + 1 >= max_attempts, interrupted FROM tasks"
                " WHERE runner = ? AND status = 'running' ORDER BY id",
                (runner,),
            ).fetchall()
            for task_id, channel, on_interrupt, is_enough, interrupted in rows:
                if on_interrupt == "fail" or is_enough:
                    ended.append(self._interrupt(task_id, channel, interrupted, now))
                else:
                    self._queue_again(task_id, now)
        return ended

    def _interrupt(self, task_id: str, channel: int, interrupted: bytes, now: float) -> StoredTask:
        (name,) = self._db.execute("SELECT channel FROM channels WHERE id = ?", (channel,)).fetchone()
        place = self._channels.find(name)
        assert place is not None
        if interrupted:
            self._channels.add(place, [interrupted], now)
            self._changed("channel", name)
        self._db.execute("UPDATE tasks SET token = token + 1, was_interrupted = 1 WHERE task_id = ?", (task_id,))
        self._end(task_id, place, "failed", interrupted, None, now)
        task = self.find(task_id)
        assert task is not None
        return task

    def _queue_again(self, task_id: str, now: float) -> None:
        self._db.execute(
            "UPDATE tasks SET status = 'queued', token = token + 1, runner = NULL, updated_at = ?,"
            " interruptions = interruptions + 1 WHERE task_id = ?",
            (now, task_id),
        )
        self._changed("task", task_id)

    def sweep(self, now: float, chunk: int) -> int:
        """Forget ended tasks whose time is over, or that are too many; how many."""
        over = self._db.execute(
            "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE expires_at <= ? LIMIT ?)", (now, chunk)
        ).rowcount
        return (
            over
            + self._db.execute(
                "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE expires_at IS NOT NULL"
                " ORDER BY expires_at DESC LIMIT ? OFFSET ?)",
                (chunk, self._limits.max_ended_tasks),
            ).rowcount
        )
