"""State machines as tables: what holds for each of them, and for the step that follows one."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from mcpc import listener_states, tasks
from mcpc.machine import step
from mcpc.server import reader
from mcpc_transports.websocket import ending

TABLES: dict[str, tuple[Mapping[Any, Mapping[Any, Any]], type[StrEnum], type[StrEnum]]] = {
    "task": (tasks.TRANSITIONS, tasks.Status, tasks.Move),
    "stream": (reader.TRANSITIONS, reader.ReaderState, reader.ReaderEvent),
    "listener": (listener_states.TRANSITIONS, listener_states.ListenerState, listener_states.ListenerEvent),
    "websocket": (ending.TRANSITIONS, ending.EndState, ending.EndEvent),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_every_state_and_every_event_and_each_state_can_be_reached(name: str) -> None:
    table, states, events = TABLES[name]
    assert set(table) == set(states)
    assert {event for moves in table.values() for event in moves} == set(events)
    reached, new = set[Any](), {next(iter(states))}
    while new:
        reached |= new
        new = {target for state in new for target in table[state].values()} - reached
    assert reached == set(states)


@pytest.mark.parametrize("name", TABLES)
def test_a_step_leads_where_the_table_says_and_an_event_that_is_not_there_is_an_error(name: str) -> None:
    table, states, events = TABLES[name]
    for state in states:
        for event in events:
            if event in table[state]:
                assert step(table, state, event) is table[state][event]
            else:
                with pytest.raises(RuntimeError, match=f"is {state}, where {event} cannot happen"):
                    step(table, state, event)
