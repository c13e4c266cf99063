"""What a worker raised, as its client is told: never a traceback, whatever it was."""

import asyncio
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

import mcpc
from mcpc.server.failures import MAX_CAUSES, MAX_TEXT, STOPPED, failure_of, holds_cancellation

pytestmark = pytest.mark.anyio


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


async def test_an_exception_is_its_type_and_its_text() -> None:
    assert failure_of(ValueError("no such row")).result == {"error": "ValueError", "message": "no such row"}
    assert failure_of(SystemExit(3)).result == {"error": "SystemExit", "message": "3"}


async def test_an_error_of_the_protocol_is_kept_as_one_beside() -> None:
    failure = failure_of(MCPError(-32000, "teapot", {"why": 1}))
    assert failure.result == {"error": "MCPError", "message": "teapot"}
    assert failure.error == {"code": -32000, "message": "teapot", "data": {"why": 1}}
    assert failure_of(ValueError("x")).error is None


async def test_a_group_of_one_fails_as_that_one_and_a_larger_one_with_all() -> None:
    one = ExceptionGroup("of one", [ExceptionGroup("inner", [KeyError("k")])])
    assert failure_of(one).result == {"error": "KeyError", "message": "'k'"}
    two = ExceptionGroup("of two", [KeyError("k"), ValueError("v")])
    assert failure_of(two).result == {"error": "ExceptionGroup", "message": "KeyError: 'k'; ValueError: v"}


async def test_a_stop_anywhere_in_it_is_a_stop() -> None:
    stop = mcpc.TaskStopped("the task was stopped", task_id="t")
    assert failure_of(stop).result == STOPPED
    assert failure_of(ExceptionGroup("g", [ValueError("v"), stop])).result == STOPPED


def test_a_cancellation_beside_an_error_is_left_out() -> None:
    async def main() -> Any:
        return failure_of(BaseExceptionGroup("g", [asyncio.CancelledError(), ValueError("v")])).result

    assert asyncio.run(main()) == {"error": "ValueError", "message": "v"}


async def test_a_cancellation_is_found_however_deep() -> None:
    cancelled = anyio.get_cancelled_exc_class()
    if cancelled is asyncio.CancelledError:
        assert holds_cancellation(BaseExceptionGroup("g", [BaseExceptionGroup("h", [cancelled()])]))
    assert not holds_cancellation(ExceptionGroup("g", [ValueError("v")]))


async def test_what_cannot_be_said_or_is_too_long_is_still_told() -> None:
    assert "cannot be printed" in failure_of(Speechless()).result["message"]
    assert len(failure_of(ValueError("x" * (MAX_TEXT + 1))).result["message"]) == MAX_TEXT
    assert failure_of(ValueError("\ud800")).result["message"] == "?"
    many = ExceptionGroup("many", [ValueError(f"<{n}>") for n in range(MAX_CAUSES + 1)])
    assert f"<{MAX_CAUSES - 1}>" in failure_of(many).result["message"]
    assert f"<{MAX_CAUSES}>" not in failure_of(many).result["message"]
