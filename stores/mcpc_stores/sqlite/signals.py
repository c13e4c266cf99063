"""What is said to tasks, in SQLite. Runs inside somebody else's transaction."""

import sqlite3
from collections.abc import Mapping

from mcpc.errors import InputRefused, PromptError, TaskEnded, UnknownTask
from mcpc.stored import Claim, Signal, StoreLimits

__all__ = ["Signals"]


class Signals:
    """The signals of one file.

    Args:
        db: The connection.
        limits: The bounds.
    """

    def __init__(self, db: sqlite3.Connection, limits: StoreLimits) -> None:
        self._db = db
        self._limits = limits

    def add(self, task_id: str, signal: Signal) -> int:
        """See `Store.signal`."""
        row = self._db.execute("SELECT id, status, signalled, read FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        if row is None:
            raise UnknownTask("unknown task")
        task, status, signalled, read = row
        if status in ("complete", "failed"):
            if signal.kind == "stop":
                return signalled
            raise TaskEnded(f"the task is {status}: it takes no {signal.kind}")
        if not self._is_wanted(task, signal, read):
            return signalled
        number = signalled + 1
        self._db.execute(
            "INSERT INTO signals VALUES (?, ?, ?, ?, ?)", (task, number, signal.kind, signal.prompt_id, signal.value)
        )
        self._db.execute("UPDATE tasks SET signalled = ? WHERE id = ?", (number, task))
        self._trim(task, read)
        return number

    def _is_wanted(self, task: int, signal: Signal, read: int) -> bool:
        """Whether a signal adds anything.

        Raises:
            InputRefused, PromptError: it cannot be taken.
        """
        if signal.kind == "stop":
            told = self._db.execute("SELECT 1 FROM signals WHERE task = ? AND kind = 'stop'", (task,)).fetchone()
            return told is None
        if signal.prompt_id is not None:
            query = "SELECT 1 FROM signals WHERE task = ? AND prompt_id = ?"
            if self._db.execute(query, (task, signal.prompt_id)).fetchone():
                raise PromptError("this prompt has been answered", closed=True)
            return True
        (waiting,) = self._db.execute(
            "SELECT count(*) FROM signals WHERE task = ? AND number > ? AND kind = 'input'", (task, read)
        ).fetchone()
        if waiting >= self._limits.max_inputs:
            raise InputRefused(f"{self._limits.max_inputs} inputs wait already, which is the limit")
        return True

    def _trim(self, task: int, read: int) -> None:
        """Inputs that a worker has taken are kept for the next one, up to the same bound."""
        self._db.execute(
            "DELETE FROM signals WHERE task = ? AND kind = 'input' AND number <= ? AND number IN (SELECT number FROM"
            " signals WHERE task = ? AND kind = 'input' ORDER BY number DESC LIMIT -1 OFFSET ?)",
            (task, read, task, 2 * self._limits.max_inputs),
        )

    def after(self, heard: Mapping[Claim, int]) -> dict[Claim, list[Signal]]:
        """See `Store.signals`."""
        found = {claim: self._after(claim, number) for claim, number in heard.items()}
        return {claim: signals for claim, signals in found.items() if signals}

    def _after(self, claim: Claim, after: int) -> list[Signal]:
        rows = self._db.execute(
            "SELECT s.kind, s.value, s.prompt_id, s.number FROM signals s JOIN tasks t ON t.id = s.task"
            " WHERE t.task_id = ? AND t.token = ? AND t.status = 'running' AND s.number > ? ORDER BY s.number",
            (claim.task_id, claim.token, after),
        )
        return [Signal(*row) for row in rows]

    def sweep(self) -> None:
        """Forget what was said to tasks that have ended."""
        self._db.execute("DELETE FROM signals WHERE task NOT IN (SELECT id FROM tasks WHERE expires_at IS NULL)")
