"""Messages as values: what may travel, and what is a prompt."""

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpc.errors import MessageError
from mcpc.messages import (
    PROTOCOL,
    TASK_EVENTS,
    TERMINAL_EVENTS,
    VERSION,
    MCPCInformation,
    MCPCMessage,
    MCPCToolParameters,
    check_message,
    prompt_of,
)


def update(result: Any = None, **other: Any) -> MCPCMessage:
    members: dict[str, Any] = {"event": "update", "session_id": "s", "task_id": "t", "tool_name": "n", **other}
    return MCPCMessage(result=result, **members)


@pytest.mark.parametrize("event", sorted(TASK_EVENTS))
def test_a_task_message_with_one_of_the_four_events_may_travel(event: str) -> None:
    message = update(event=event)
    assert check_message(message) is message
    assert message.terminal == (event in TERMINAL_EVENTS)


def test_the_terminal_events_are_complete_and_failed() -> None:
    assert {"complete", "failed"} == TERMINAL_EVENTS
    assert TERMINAL_EVENTS < TASK_EVENTS


@given(st.text().filter(lambda event: event not in TASK_EVENTS))
@settings(max_examples=25, deadline=None, database=None)
def test_a_task_message_with_any_other_event_may_not_travel(event: str) -> None:
    with pytest.raises(MessageError, match="created, update, complete, failed"):
        check_message(update(event=event))


@pytest.mark.parametrize("name", ["session_id", "task_id", "tool_name"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_task_message_needs_its_session_task_and_tool(name: str, value: str | None) -> None:
    with pytest.raises(MessageError, match=name):
        check_message(update(**{name: value}))


def test_a_server_event_needs_an_event_and_a_session_only() -> None:
    event = MCPCMessage(type="server_event", event="anything", session_id="s")
    assert check_message(event) is event
    with pytest.raises(MessageError, match="event is required"):
        check_message(MCPCMessage(type="server_event", event="", session_id="s"))
    with pytest.raises(MessageError, match="session_id is required"):
        check_message(MCPCMessage(type="server_event", event="x"))


@pytest.mark.parametrize("event", ["complete", "failed"])
def test_a_server_event_ends_no_task_whatever_its_name(event: str) -> None:
    assert not MCPCMessage(type="server_event", event=event, session_id="s").terminal


def test_construction_is_lenient_and_the_gate_is_not() -> None:
    message = MCPCMessage(event="created")
    assert (message.type, message.protocol, message.result) == ("task", PROTOCOL, None)
    with pytest.raises(MessageError):
        check_message(message)


def test_one_side_says_of_itself_what_the_handshake_asks() -> None:
    assert MCPCInformation(mcpc_provider="p").model_dump(exclude_none=True) == {
        "mcpc_enabled": True,
        "mcpc_version": VERSION,
        "mcpc_provider": "p",
        "mcpc_direct_updates": True,
    }


def test_tool_parameters_have_a_new_task_id_each_time() -> None:
    first, second = MCPCToolParameters(), MCPCToolParameters()
    assert first.session_id == "default"
    assert uuid.UUID(first.task_id) != uuid.UUID(second.task_id)


# --- prompts ----------------------------------------------------------------------------------------------------


def test_a_prompt_is_read_with_the_task_that_asks() -> None:
    asked = {"id": "p1", "message": "Which?", "choices": ["a", 1], "schema": {"type": "string"}, "task_id": "other"}
    prompt = prompt_of(update({"prompt": asked}))
    assert prompt is not None
    assert (prompt.id, prompt.message, prompt.choices) == ("p1", "Which?", ["a", 1])
    assert prompt.schema_ == {"type": "string"}
    assert (prompt.task_id, prompt.session_id, prompt.tool_name) == ("t", "s", "n"), "the message's own say"


@pytest.mark.parametrize(
    "result",
    [
        None,
        "prompt",
        {},
        {"prompt": None},
        {"prompt": "Which?"},
        {"prompt": {"message": "no id"}},
        {"prompt": {"id": 1, "message": "no text as id"}},
        {"prompt": {"id": "p"}},
        {"prompt": {"id": "p", "message": None}},
        {"prompt": {"id": "p", "message": "m", "choices": "ab"}},
        {"prompt": {"id": "p", "message": "m", "schema": []}},
    ],
    ids=repr,
)
def test_an_update_that_only_looks_like_a_prompt_is_an_ordinary_update(result: Any) -> None:
    assert prompt_of(update(result)) is None


@pytest.mark.parametrize("event", ["created", "complete", "failed"])
def test_only_an_update_can_ask(event: str) -> None:
    assert prompt_of(update({"prompt": {"id": "p", "message": "m"}}, event=event)) is None


def test_a_server_event_cannot_ask() -> None:
    event = MCPCMessage(
        type="server_event", event="update", session_id="s", result={"prompt": {"id": "p", "message": "m"}}
    )
    assert prompt_of(event) is None
