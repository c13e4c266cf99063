"""What an ordinary tool behind a gateway logs reaches the caller of that call, and nobody else."""

from typing import Any

import anyio
import mcp
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import LoggingMessageNotificationParams

import mcpc
from gateway_kit import behind
from mcpc.gateway import catalogue, child
from mcpc.gateway.logs import MAX_BYTES, MAX_ENTRIES, CallLog, Logs

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

DEADLINE = 60

ENTRIES = 20


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine is waited for."""
    monkeypatch.setattr(catalogue, "PATIENCE", DEADLINE)
    monkeypatch.setattr(child, "SETTLING", DEADLINE)


def talkative() -> MCPServer[Any]:
    server = MCPServer[Any]("talks", log_level="CRITICAL")
    callbacks = mcpc.MCPCHelper(server)

    @server.tool()
    async def talk(word: str, ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        for number in range(ENTRIES):
            await ctx.session.send_log_message("info", f"{word} {number}", "talk", ctx.request_id)  # pyright: ignore[reportDeprecated]
        return word

    @callbacks.tool()
    async def hum(word: str, task: mcpc.Task, ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        await ctx.session.send_log_message("info", f"{word} 0", "hum", ctx.request_id)  # pyright: ignore[reportDeprecated]
        return word

    return server


class Ear:
    """A client's logging callback."""

    def __init__(self, expected: int) -> None:
        self.heard: list[str] = []
        self.all = anyio.Event()
        self._expected = expected

    async def __call__(self, params: LoggingMessageNotificationParams) -> None:
        assert (params.level, params.logger) in (("info", "talk"), ("info", "hum"))
        self.heard.append(params.data)
        if len(self.heard) == self._expected:
            self.all.set()


@pytest.mark.parametrize(("era", "uri"), [("newer", "tcp://127.0.0.1:0"), ("older", "memory://logs-behind")])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_caller_hears_what_its_own_calls_log(era: str, uri: str, mode: Any) -> None:
    ours, plains = Ear(ENTRIES + 1), Ear(ENTRIES)
    with anyio.fail_after(DEADLINE):
        async with (
            mcpc.listen(talkative(), uri) as inner,
            mcpc.Gateway(behind(era, inner.uri)) as gateway,
            mcpc.listen(gateway.server, "memory://logs") as outer,
            mcpc.Client(outer.uri, mode=mode, logging_callback=ours, log_level="debug") as client,
            mcp.Client(mcpc.connect(outer.uri), mode=mode, logging_callback=plains, log_level="debug") as plain,
        ):
            assert await (await client.start_task("one__talk", {"word": "ours"})).result() == "ours"
            assert await (await client.start_task("one__hum", {"word": "hum"})).result() == "hum"
            assert (await plain.call_tool("one__talk", {"word": "plain"})).structured_content == {"result": "plain"}
            await ours.all.wait()
            await plains.all.wait()
    assert sorted(ours.heard) == sorted(["hum 0", *(f"ours {number}" for number in range(ENTRIES))])
    assert sorted(plains.heard) == sorted(f"plain {number}" for number in range(ENTRIES))


class Caller:
    """Takes entries of a `CallLog` once it is let go."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.go = anyio.Event()
        self.log = CallLog(self.take, lambda function: None)

    async def take(self, entry: dict[str, Any]) -> None:
        self.told.append(entry)
        if entry == {"data": "unwilling"}:
            raise OSError("gone")


async def test_as_many_entries_wait_as_may_and_one_more_is_left_out() -> None:
    caller = Caller()
    for number in range(MAX_ENTRIES + 1):
        caller.log.put({"data": number})
    await caller.log.flush()
    assert [entry["data"] for entry in caller.told] == list(range(MAX_ENTRIES))
    caller.log.put({"data": "next"})
    await caller.log.flush()
    assert caller.told[-1] == {"data": "next"}


async def test_a_large_entry_waits_alone_and_what_comes_beside_it_is_left_out() -> None:
    caller = Caller()
    caller.log.put({"data": "x" * (MAX_BYTES + 1)})
    caller.log.put({"data": "y"})
    await caller.log.flush()
    caller.log.put({"data": "z"})
    await caller.log.flush()
    assert [entry["data"][0] for entry in caller.told] == ["x", "z"]


async def test_entries_that_come_before_their_call_is_known_are_kept_for_it_and_for_no_other() -> None:
    logs, caller = Logs(), Caller()
    assert logs.take("a", {"data": "nobody begins anything"}) is None
    with logs.starting():
        logs.take("a", {"data": 1})
        logs.take("b", {"data": "another's"})
        logs.add("a", caller.log)
    logs.take("a", {"data": "unwilling"})
    logs.take("a", {"data": 2})
    await caller.log.flush()
    logs.remove("a")
    logs.take("a", {"data": 3})
    await caller.log.flush()
    assert caller.told == [{"data": 1}, {"data": "unwilling"}, {"data": 2}]
