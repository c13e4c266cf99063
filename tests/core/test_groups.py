"""What fails while it is cancelled is told of, and whoever cancelled it is not troubled with it."""

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import mcpc
from mcpc.groups import errors_told
from mcpc.server import serving
from mcpc.server.host import Host
from mcpc.transport import URI, FrameChannel, Traits
from mcpc.uri import TRANSPORTS
from mcpc_transports.memory import MemoryTransport
from support import make_server

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def failing_when_cancelled() -> AsyncGenerator[None]:
    """A task group of which one task fails, and another is merely cancelled, when it is cancelled from outside."""

    async def fail() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("cut")

    async with anyio.create_task_group() as group:
        group.start_soon(fail)
        group.start_soon(anyio.sleep_forever)
        await anyio.lowlevel.checkpoint()
        yield
        group.cancel_scope.cancel()


class Brittle(MemoryTransport):
    """`memory:`, of which a connection fails when it is cancelled."""

    traits: Traits = MemoryTransport.traits

    def connect(self, uri: URI, /, **options: Any) -> Any:
        return self._failing(super().connect(uri, **options))

    @asynccontextmanager
    async def _failing(self, opened: Any) -> AsyncGenerator[FrameChannel]:
        async with failing_when_cancelled(), opened as channel:
            yield channel


@pytest.fixture
def brittle() -> Generator[str]:
    with TRANSPORTS.restored():
        mcpc.register_transport("brittle", Brittle())
        yield "brittle://server"


async def test_what_fails_beside_a_cancellation_is_told_and_the_cancellation_goes_on() -> None:
    told: list[Exception] = []
    with anyio.fail_after(60):
        with anyio.CancelScope() as scope:
            with errors_told(told.append):
                async with failing_when_cancelled():
                    scope.cancel()
                    await anyio.sleep_forever()
            await anyio.lowlevel.checkpoint()  # asyncio raises one after the other
            pytest.fail("it was cancelled")
    (group,) = told
    assert "OSError('cut')" in repr(group)


async def test_what_fails_alone_is_told_as_it_is() -> None:
    told: list[Exception] = []
    with errors_told(told.append):
        raise KeyError("one")
    assert [repr(each) for each in told] == ["KeyError('one')"]


async def test_what_is_no_error_is_not_told() -> None:
    told: list[Exception] = []
    with pytest.raises(KeyboardInterrupt), errors_told(told.append):
        raise KeyboardInterrupt
    assert told == []


async def test_a_connection_that_fails_as_a_client_is_left_is_no_error(
    brittle: str, caplog: pytest.LogCaptureFixture
) -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), brittle), mcpc.Client(brittle) as client:
            assert await (await client.start_task("count", {"n": 1})).result() == {"rows": 1}
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("shared", [False, True])
async def test_a_connection_that_fails_as_a_bridge_is_left_is_told_in_the_log_alone(
    brittle: str, shared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), brittle):
            client = mcpc.Client("memory://bridge")
            async with mcpc.bridging("memory://bridge", brittle, shared=shared):
                await client.__aenter__()
                assert await (await client.start_task("count", {"n": 1})).result() == {"rows": 1}
            await client.__aexit__(None, None, None)
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING and "bridged" in each.message]


async def test_a_connection_that_fails_as_a_listener_is_left_is_told_in_the_log_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun = anyio.Event()

    async def serve(*arguments: Any, **options: Any) -> None:
        async with failing_when_cancelled():
            begun.set()
            await anyio.sleep_forever()

    monkeypatch.setattr(serving, "serve_dual_era_loop", serve)
    with anyio.fail_after(60):
        async with mcpc.listen(make_server(), "memory://server"), mcpc.connect("memory://server"):
            await begun.wait()
    assert "a connection ended with an error" in caplog.messages


async def test_background_work_that_fails_as_its_server_is_left_is_told_in_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = anyio.Event()

    async def work() -> None:
        async with failing_when_cancelled():
            begun.set()
            await anyio.sleep_forever()

    host = Host()
    with anyio.fail_after(60):
        async with host.hold():
            host.spawn(work)
            await begun.wait()
    assert "background work of the server failed" in caplog.messages
