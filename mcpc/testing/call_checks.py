"""The clauses that are checked with MCP itself: for streams the main ones, for frames the last word."""

import anyio
import mcp_types as types
from mcp.client import Client

from mcpc.testing.loads import make_frame
from mcpc.testing.subject import LIMIT, Clauses, NotApplicable, Subject, expect, promptly

__all__ = ["CLAUSES"]

CLAUSES: Clauses = Clauses()
_check = CLAUSES.check

BOTH = ("frames", "streams")


async def _call(client: Client, tool: str, **arguments: object) -> str:
    result = await client.call_tool(tool, arguments)
    content = result.content[0]
    expect(isinstance(content, types.TextContent), f"{tool} answered {content!r}")
    return content.text if isinstance(content, types.TextContent) else ""


async def _echo(client: Client, text: str) -> None:
    answer = await _call(client, "echo", text=text)
    expect(answer == text, f"of {len(text)} characters sent {len(answer)} came back, or others")


@_check(BOTH)
async def requests_are_answered_in_both_eras(subject: Subject) -> None:
    """Requests are answered, with the handshake of 2025-11-25 and without it."""
    for mode in ("legacy", "auto"):
        async with subject.serving() as uri, subject.client(uri, mode=mode) as client:
            for index in range(20):
                await _echo(client, f"request {index}")


@_check(BOTH)
async def large_messages_pass(subject: Subject) -> None:
    """Requests and answers of a megabyte pass, whatever characters they hold."""
    text = make_frame(0, 1024 * 1024).decode()
    async with subject.serving() as uri, subject.client(uri) as client:
        await _echo(client, text)


@_check(BOTH)
async def calls_run_side_by_side(subject: Subject) -> None:
    """Thirty calls on one connection run at the same time, and each gets its own answer."""
    count = 30

    async def meet(number: int) -> None:
        answer = await _call(client, "meet", count=count, text=f"call {number}")
        expect(answer == f"call {number}", f"call {number} was answered {answer!r}")

    async with subject.serving() as uri, subject.client(uri) as client:
        with promptly(f"{count} calls that wait for each other", 60):
            async with anyio.create_task_group() as tasks:
                for number in range(count):
                    tasks.start_soon(meet, number)


@_check(BOTH)
async def a_cancelled_call_is_cancelled_at_the_server(subject: Subject) -> None:
    """A call that the client cancels ends at the server too, and the connection goes on."""
    async with subject.serving() as uri, subject.client(uri) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_call, client, "hang")
            await _seen(client, "1 0")
            tasks.cancel_scope.cancel()
        await _seen(client, "1 1")
        await _echo(client, "still here")


async def _seen(client: Client, wanted: str) -> None:
    with promptly(f"{wanted!r} (calls begun, and ended)", 60):
        while await _call(client, "seen") != wanted:
            pass  # each question is a round trip


@_check(BOTH, places=("here",))
async def clients_are_isolated(subject: Subject) -> None:
    """Many clients at once: each gets its own answers."""

    async def use(number: int) -> None:
        async with subject.client(uri) as client:
            for index in range(5):
                await _echo(client, f"client {number}, request {index}")

    async with subject.serving() as uri, anyio.create_task_group() as tasks:
        for number in range(max(2, subject.connections // 3)):
            tasks.start_soon(use, number)


@_check(("streams",))
async def a_message_over_the_limit_is_refused(subject: Subject) -> None:
    """A request over `max_message_size` is refused: its sender gets an error, and a new connection works."""
    if not subject.limits:
        raise NotApplicable("the transport has no option max_message_size")
    async with subject.serving(subject.limits) as uri:
        try:
            with promptly("the refusal", 60):
                async with subject.client(uri, subject.limits) as client:
                    await _call(client, "echo", text="x" * LIMIT)
        except AssertionError:
            raise
        except Exception:  # what the refusal is called is the transport's affair; the next client shows what counts
            pass
        else:
            raise AssertionError(f"a request of more than {LIMIT} bytes was answered")
        async with subject.client(uri, subject.limits) as client:
            await _echo(client, "x" * (LIMIT // 2))


@_check(("streams",), places=("here",))
async def the_listeners_end_ends_its_calls(subject: Subject) -> None:
    """When a listener ends, a call that waits for its answer fails soon."""
    async with anyio.create_task_group() as tasks:
        ready, leave = anyio.Event(), anyio.Event()
        uris: list[str] = []

        async def serve() -> None:
            async with subject.serving() as uri:
                uris.append(uri)
                ready.set()
                await leave.wait()

        tasks.start_soon(serve)
        await ready.wait()
        await _call_until_the_end(subject, uris[0], leave)


async def _call_until_the_end(subject: Subject, uri: str, leave: anyio.Event) -> None:
    failures: list[Exception] = []

    async def hang() -> None:
        try:
            await _call(client, "hang")
        except Exception as exc:
            failures.append(exc)

    async with subject.client(uri) as client:
        with promptly("the waiting call's failure", 60):
            async with anyio.create_task_group() as calls:
                calls.start_soon(hang)
                await _seen(client, "1 0")
                leave.set()
    expect(failures, "the call that waited was answered")
