"""Writes `docs/states.md`, and the picture in `docs/tasks.md`, from the tables of the state machines: `make docs`.

A table is `TRANSITIONS` of its module: from each state, the events that can happen there and where they lead.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from mcpc import listener_states, tasks
from mcpc.server import reader
from mcpc_transports.websocket import ending

__all__ = ["MACHINES", "PAGE", "PAGES_WITH_PICTURES", "Machine", "page", "picture", "with_pictures"]

PAGE = Path(__file__).with_name("states.md")
PAGES_WITH_PICTURES = (Path(__file__).with_name("tasks.md"),)
"""Pages of which only a picture is made here, between two comments."""

Table = Mapping[Any, Mapping[Any, Any]]


@dataclass(frozen=True)
class Machine:
    """One machine: what it is the states of, and its table."""

    title: str
    about: str
    table: Table
    start: StrEnum


MACHINES: Mapping[str, Machine] = {
    "task": Machine(
        "A task",
        "Of `mcpc.tasks`. See [tasks](tasks.md).",
        tasks.TRANSITIONS,
        tasks.Status.RUNNING,
    ),
    "stream": Machine(
        "A listen stream",
        "What a listener is sent of its channel's log, on the server; of `mcpc.server.reader`. See "
        "[delivery](delivery.md).",
        reader.TRANSITIONS,
        reader.ReaderState.BEHIND,
    ),
    "listener": Machine(
        "A listener's registration",
        "What `add_event_listener` returns, on the client; of `mcpc.dispatcher`. "
        "See [a first client](first-client.md).",
        listener_states.TRANSITIONS,
        listener_states.ListenerState.IDLE,
    ),
    "websocket": Machine(
        "The end of a WebSocket connection",
        "The same for both sides; of `mcpc_transports.websocket.ending`. See "
        "[writing a transport](writing-a-transport.md).",
        ending.TRANSITIONS,
        ending.EndState.OPEN,
    ),
}

HEAD = """# State machines

What has states has a table of them in the code: from each state, the events that can happen there, and where they lead.
The code follows the table, and an event that is not in it is refused, or is a fault of ours. The pictures and the lists
on this page are made from the tables by `make docs`; a test compares. What changes nothing is in the lists, but not in
the pictures.
"""

MARKS = re.compile(r"(<!-- states: (\w+) -->\n).*?(\n<!-- /states -->)", re.DOTALL)


def page() -> str:
    """The whole page."""
    return "\n".join((HEAD, *(line for name in MACHINES for line in _section(MACHINES[name]))))


def with_pictures(text: str) -> str:
    """A page with its pictures as they are now."""
    return MARKS.sub(lambda found: f"{found[1]}{picture(MACHINES[found[2]])}{found[3]}", text)


def picture(machine: Machine) -> str:
    """The machine as a state diagram in Mermaid."""
    return "\n".join(("```mermaid", *_diagram(machine), "```"))


def _section(machine: Machine) -> Iterator[str]:
    yield f"## {machine.title}\n"
    yield f"{machine.about}\n"
    yield f"{picture(machine)}\n"
    states, events = _meanings(type(machine.start)), _meanings(_events(machine.table))
    yield from _described("State", states)
    yield from _described("Event", events)
    yield "| In | happens | then |\n|---|---|---|"
    for state, moves in machine.table.items():
        for target, names in _by_target(moves).items():
            yield f"| {state} | {', '.join(names)} | {'no change' if target is state else target} |"
    yield ""


def _described(kind: str, meanings: Mapping[str, str]) -> Iterator[str]:
    if any(meanings.values()):
        yield f"| {kind} | Meaning |\n|---|---|"
        yield from (f"| {name} | {meaning} |" for name, meaning in meanings.items())
        yield ""


def _events(table: Table) -> type[StrEnum]:
    return type(next(event for moves in table.values() for event in moves))


def _by_target(moves: Mapping[Any, Any]) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {}
    for event, target in moves.items():
        found.setdefault(target, []).append(str(event))
    return found


def _diagram(machine: Machine) -> Iterator[str]:
    yield "stateDiagram-v2"
    yield from (f'    state "{state}" as {_id(state)}' for state in machine.table if str(state) != _id(state))
    yield f"    [*] --> {_id(machine.start)}"
    for state, moves in machine.table.items():
        for target, names in _by_target(moves).items():
            if target is not state:
                yield f"    {_id(state)} --> {_id(target)}: {', '.join(names)}"
    yield from (f"    {_id(state)} --> [*]" for state, moves in machine.table.items() if set(moves.values()) <= {state})


def _id(state: Any) -> str:
    return str(state.name).lower()


def _meanings(kind: type[StrEnum]) -> dict[str, str]:
    """The members of an enumeration, each with the docstring that stands below it."""
    body = next(node for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef)).body
    found: dict[str, str] = {}
    for line, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            told = below.value.value if is_text else ""  # type: ignore[union-attr]
            found[str(kind[line.targets[0].id])] = str(told)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    for other in PAGES_WITH_PICTURES:
        other.write_text(with_pictures(other.read_text(encoding="utf-8")), encoding="utf-8")
