"""What our client says to a server about callbacks: the handshake, listening, and steering tasks."""

import json
import logging
from collections.abc import Callable
from typing import Any, cast

import anyio
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    EmptyResult,
    Request,
    RequestParams,
    Result,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict, ValidationError

from mcpc.client.inbox import Inbox
from mcpc.errors import ConnectionLost
from mcpc.messages import MCPCInformation
from mcpc.wire.names import CALLBACKS_EXTENSION, INFO_METHOD, LISTEN_METHOD, SEND_METHOD, STOP_METHOD, TASK_METHOD
from mcpc.wire.originals import HANDSHAKE_TOOLS
from mcpc.wire.reasons import error_named

__all__ = [
    "Backoff",
    "Form",
    "ask_server",
    "keep_listening",
    "send_input",
    "shake_hands",
    "stop_task",
    "task_state",
    "typed",
]

logger = logging.getLogger("mcpc")

Form = str
"""How a server takes a call's metadata: `meta`, `0.2.6`, `0.2.1`; empty for a standard server."""

FOR_EVER = 10 * 365 * 24 * 3600.0
"""Seconds: a listen request has no answer until it ends, so the session's read timeout is not for it."""

MAX_REFUSALS = 4
"""How often in a row a listen stream may end before it began, on a connection that seems to stand."""


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _Answer(Result):
    model_config = ConfigDict(extra="allow")


async def ask_server(session: ClientSession, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """One `mcpc/*` request; the members of its result.

    Raises:
        MCPCError: the typed error that the server named; `ConnectionLost` where the connection went away.
        MCPError: any other error.
    """
    request: Any = Request[_Params, str](method=method, params=_Params.model_validate(params))
    try:
        answer = await session.send_request(request, _Answer)
    except MCPError as exc:
        raise typed(exc) from exc
    return {name: value for name, value in (answer.__pydantic_extra__ or {}).items() if name != "resultType"}


def typed(exc: MCPError) -> Exception:
    """The error of ours that one of the SDK's stands for, or itself."""
    if exc.code == CONNECTION_CLOSED:
        return ConnectionLost("the connection to the server went away")
    kind = error_named(exc.error.data)
    return exc if kind is None else kind(exc.message)


# --- the handshake ---


async def shake_hands(session: ClientSession, provider: str) -> tuple[Form, MCPCInformation | None]:
    """Find out whether the server speaks MCPC, and how; see protocol.md.

    A server that advertises the extension is asked by `mcpc/info`. Another one is asked by the originals' tools,
    and only in the older era: `mcp` 1.6, on which the originals run, dies of a method that it does not know.
    """
    info = MCPCInformation(mcpc_provider=provider).model_dump()
    capabilities = session.server_capabilities
    if CALLBACKS_EXTENSION in ((capabilities.extensions if capabilities is not None else None) or {}):
        return await _new_handshake(session, info)
    if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return "", None  # in this era who speaks it says so
    form, found = await _old_handshake(session, info)
    if found is not None and not found.mcpc_version.startswith("0."):
        return await _new_handshake(session, info)
    return form, found


async def _new_handshake(session: ClientSession, info: dict[str, Any]) -> tuple[Form, MCPCInformation | None]:
    try:
        answer = await ask_server(session, INFO_METHOD, {"mcpc_info": info})
        return "meta", MCPCInformation.model_validate(answer)
    except (MCPError, ValidationError) as exc:
        logger.warning("the server says that it speaks MCPC, but its answer to mcpc/info is no use: %s", exc)
        return "", None


async def _old_handshake(session: ClientSession, info: dict[str, Any]) -> tuple[Form, MCPCInformation | None]:
    for tool, form in HANDSHAKE_TOOLS.items():
        arguments: dict[str, Any] = {"mcpc_info": info} if form == "0.2.6" else {}
        try:
            params = CallToolRequestParams(name=tool, arguments=arguments)
            result = await session.send_request(CallToolRequest(params=params), CallToolResult)
        except MCPError as exc:
            if exc.code == CONNECTION_CLOSED:
                raise
            continue
        except (RuntimeError, ValidationError):
            continue
        found = None if result.is_error else _read_information(result.content)
        if found is not None and found.mcpc_enabled:
            return form, found
    return "", None


def _read_information(content: Any) -> MCPCInformation | None:
    for block in content:
        if isinstance(block, TextContent):
            try:
                decoded: Any = json.loads(block.text)
                # 0.2.6 under MCPServer wraps its answer once more, as the text of a content block.
                if isinstance(decoded, dict) and "text" in decoded:
                    decoded = json.loads(cast("dict[str, str]", decoded)["text"])
                return MCPCInformation.model_validate(decoded)
            except ValueError:
                continue
    return None


# --- listening ---


class Backoff:
    """Waits that grow, with full jitter: each at random between nothing and a bound that doubles.

    Args:
        first: Seconds of the first wait, at the most.
        maximum: Seconds of any wait, at the most.
        random: Gives a number from 0 to 1.
    """

    def __init__(self, first: float = 0.1, maximum: float = 5.0, random: Callable[[], float] | None = None) -> None:
        import random as module

        self.first = first
        self.maximum = maximum
        self.failures = 0
        self._random = random or module.random

    def succeeded(self) -> None:
        """Begin again with the first wait."""
        self.failures = 0

    async def wait(self) -> None:
        """Wait after a failure: at random between nothing and the bound, which doubles each time."""
        bound = min(self.maximum, self.first * 2 ** min(self.failures, 30))
        self.failures += 1
        await anyio.sleep(bound * self._random())


async def keep_listening(
    session: ClientSession,
    inbox: Inbox,
    channel: str,
    *,
    running: Callable[[anyio.CancelScope], None],
    room: Callable[[], anyio.Event],
) -> None:
    """Listen, and listen again after the last number when the stream ends, until the connection is gone.

    Args:
        session: The session.
        inbox: Where the messages go.
        channel: The channel's key.
        running: Told the scope of each listen request, so that it can be cut short (`Inbox` has no room).
        room: Gives an event to wait for before listening again after that.

    Raises:
        MCPCError, MCPError: the server refused.
    """
    backoff = Backoff()
    while True:
        while inbox.paused:
            await room().wait()
            inbox.resume()
        with anyio.CancelScope() as scope:
            running(scope)
            try:
                await _listen_once(session, inbox, channel)
            except MCPError as exc:
                if exc.code != CONNECTION_CLOSED:
                    raise
                logger.debug("the listen stream was cut: %s", exc)
        if inbox.listening.is_set():
            backoff.succeeded()
        elif backoff.failures > MAX_REFUSALS:
            raise ConnectionLost("the server no longer lets us listen")
        inbox.stopped_listening()
        if not inbox.paused:
            await backoff.wait()


async def _listen_once(session: ClientSession, inbox: Inbox, channel: str) -> None:
    params: dict[str, Any] = {"channel": channel, "after": inbox.last}
    if inbox.epoch is not None:
        params["epoch"] = inbox.epoch
    request: Any = Request[_Params, str](method=LISTEN_METHOD, params=_Params.model_validate(params))
    await session.send_request(request, EmptyResult, request_read_timeout_seconds=FOR_EVER)


# --- steering ---


async def send_input(session: ClientSession, channel: str, task_id: str, value: Any, prompt_id: str | None) -> None:
    """Send a value to a running task, or answer one of its prompts."""
    params: dict[str, Any] = {"channel": channel, "taskId": task_id, "input": value}
    if prompt_id is not None:
        params["promptId"] = prompt_id
    await ask_server(session, SEND_METHOD, params)


async def stop_task(session: ClientSession, channel: str, task_id: str) -> None:
    """Ask a task to stop."""
    await ask_server(session, STOP_METHOD, {"channel": channel, "taskId": task_id})


async def task_state(session: ClientSession, channel: str, task_id: str) -> dict[str, Any]:
    """A task's state."""
    return await ask_server(session, TASK_METHOD, {"channel": channel, "taskId": task_id})
