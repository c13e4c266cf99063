"""How a task is reached: over its channel, as a call, or not at all."""

from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, METHOD_NOT_FOUND, Result

import mcpc
from mcpc.client.repeater import Repeater
from mcpc.client.steering import CallSteering, ChannelSteering, Unsteered

pytestmark = pytest.mark.anyio


class Asked:
    """A session that keeps what is asked, and answers with what it was given."""

    def __init__(self, *answers: dict[str, Any] | MCPError) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._answers = list(answers)

    async def send_request(self, request: Any, answer: type[Result], **_: Any) -> Result:
        self.requests.append((request.method, request.params.model_dump(by_alias=True, exclude_none=True)))
        found = self._answers.pop(0) if self._answers else {}
        if isinstance(found, MCPError):
            raise found
        return answer.model_validate(found)


def reached(session: Any) -> ChannelSteering:
    server = Repeater(lambda: session)
    server.closed(mcpc.ConnectionLost("there is one connection only"))
    return ChannelSteering(server, "the-channel", "t")


async def test_a_task_on_a_channel_is_given_inputs_and_answers_stopped_and_asked_about() -> None:
    session = Asked({}, {}, {}, {"status": "running", "taskId": "t", "resultType": "complete"})
    task = reached(session)
    await task.send_input({"focus": 1})
    await task.send_input("yes", "p")
    await task.stop()
    assert await task.state() == {"status": "running", "taskId": "t"}
    about = {"channel": "the-channel", "taskId": "t"}
    assert len(session.requests[0][1].pop("key")) == 16
    assert session.requests == [
        ("mcpc/send", {**about, "input": {"focus": 1}}),
        ("mcpc/send", {**about, "input": "yes", "promptId": "p"}),
        ("mcpc/stop", about),
        ("mcpc/task", about),
    ]
    assert task.on_channel


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MCPError(INVALID_PARAMS, "it has ended", {"reason": "task_ended"}), mcpc.TaskEnded),
        (MCPError(INVALID_PARAMS, "too many", {"reason": "input_refused"}), mcpc.InputRefused),
        (MCPError(INVALID_PARAMS, "none such", {"reason": "prompt"}), mcpc.PromptError),
        (MCPError(INVALID_PARAMS, "unknown task", {"reason": "unknown_task"}), mcpc.UnknownTask),
        (MCPError(METHOD_NOT_FOUND, "no such method"), mcpc.UnknownTask),
        (MCPError(CONNECTION_CLOSED, "closed"), mcpc.ConnectionLost),
        (MCPError(INVALID_PARAMS, "something else"), MCPError),
    ],
)
async def test_what_a_server_refuses_is_the_error_that_it_names(error: MCPError, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        await reached(Asked(error)).send_input(1)
    assert type(raised.value) is kind


async def test_the_session_is_that_of_the_present_connection() -> None:
    sessions = [Asked(), Asked()]
    present: list[Any] = [sessions[0]]
    task = ChannelSteering(Repeater(lambda: present[0]), "c", "t")
    await task.stop()
    present[0] = sessions[1]
    await task.stop()
    assert [len(session.requests) for session in sessions] == [1, 1]


async def test_a_task_that_its_server_has_no_words_for_is_not_reached() -> None:
    task = Unsteered("work")
    for reach in (task.stop(), task.state(), task.send_input(1), task.send_input(1, "p")):
        with pytest.raises(mcpc.UnknownTask, match=r"\(work\)"):
            await reach
    assert not task.on_channel


async def test_an_ordinary_call_is_stopped_by_cancelling_it_and_cannot_be_reached_otherwise() -> None:
    task = CallSteering("work")
    with pytest.raises(mcpc.UnknownTask):
        await task.send_input(1)
    with anyio.fail_after(60), task.scope:
        await task.stop()
        await anyio.sleep_forever()
    assert task.scope.cancelled_caught
