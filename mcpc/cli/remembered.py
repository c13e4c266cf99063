"""Tasks that were left running, remembered in the user's state directory: where each is, and the key of its channel.

One file a task, which only the user can read (0600): the key lets whoever has it steer
the task. A token is never kept, only the name of the variable that holds it.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mcpc.cli.mistakes import UserMistake
from mcpc.cli.state_directory import state_directory

__all__ = ["Remembered", "find", "recall"]

KEPT = 30 * 24 * 3600.0
"""Seconds after which a task is forgotten, however it ended."""


@dataclass(frozen=True)
class Remembered:
    """A task that was left running."""

    task_id: str
    tool_name: str
    session_id: str
    uri: str
    token_env: str | None
    channel: str | None
    """The key of its channel; None where the server has none."""
    config: str | None = None
    """The configuration in which `uri` is a server's name; None where it is an address."""

    def save(self) -> None:
        """Keep it.

        Raises:
            UserMistake: it cannot be written.
        """
        directory = _directory()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _forget_old(directory)
            opened = os.open(directory / f"{self.task_id}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(opened, "w", encoding="utf-8") as file:
                json.dump(asdict(self), file)
        except OSError as exc:
            raise UserMistake(f"the task runs, but cannot be remembered in {directory}: {exc.strerror}") from exc

    def forget(self) -> None:
        """It has ended: there is nothing left to do with it."""
        with suppress(OSError):
            (_directory() / f"{self.task_id}.json").unlink()


def find(task_id: str) -> Remembered | None:
    """The task of that id, or of the only id that begins so; None where none is known.

    Raises:
        UserMistake: several begin so.
    """
    if not task_id or "/" in task_id:
        return None
    names = {path.stem for path in _directory().glob("*.json") if path.stem.startswith(task_id)}
    if len(names) > 1 and task_id not in names:
        raise UserMistake(f"{len(names)} tasks begin with {task_id!r}; give more of the id")
    name = task_id if task_id in names else next(iter(names), None)
    if name is None:
        return None
    try:
        return Remembered(**json.loads((_directory() / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # of another version, or torn


def recall(task_id: str, uri: str | None, token_env: str | None, config: str | None = None) -> Remembered:
    """The task of that id; where it is not remembered, as much as the command line says of it.

    Raises:
        UserMistake: it is not known where the task is.
    """
    found = find(task_id)
    if found is None and uri is None:
        raise UserMistake(f"no task {task_id!r} was left here by mcpc call --no-follow; say where it is: --server URI")
    if found is None:
        return Remembered(task_id, "", "", uri or "", token_env, None, config)
    if uri:
        found = replace(found, uri=uri, config=config)
    return replace(found, token_env=token_env) if token_env else found


def _directory() -> Path:
    return state_directory() / "tasks"


def _forget_old(directory: Path) -> None:
    for path in directory.glob("*.json"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT:
                path.unlink()
