"""A client that keeps its channel in a file: the one that comes after it goes on after the last number it handled."""

import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

import mcpc

pytestmark = pytest.mark.anyio


class Served:
    """A server whose tasks do as they are told."""

    def __init__(self, **options: Any) -> None:
        self.server = MCPServer[Any]("files", log_level="CRITICAL")
        self.callbacks = mcpc.MCPCHelper(self.server, **options)

        @self.callbacks.tool()
        async def obey(task: mcpc.Task) -> str:  # pyright: ignore[reportUnusedFunction]
            async for word in task.inputs():
                if word == "end":
                    return "ended"
                await task.update(word)
            return ""

        @self.callbacks.tool()
        async def ask(task: mcpc.Task) -> Any:  # pyright: ignore[reportUnusedFunction]
            return await task.ask("Which?", choices=["a", "b"])


class Seen:
    """What a listener saw."""

    def __init__(self, client: mcpc.Client) -> None:
        self.updates: list[Any] = []
        self._came = anyio.Event()
        client.add_event_listener(self._see)

    def _see(self, message: mcpc.MCPCMessage) -> None:
        if message.event == "update":
            self.updates.append(message.result)
            self._came.set()

    async def until(self, last: Any) -> list[Any]:
        while self.updates[-1:] != [last]:
            self._came = anyio.Event()
            await self._came.wait()
        return self.updates


async def test_the_next_client_goes_on_after_the_last_number_that_was_handled(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-place") as at:
            first = mcpc.Client(at.uri, channel_file=path)
            seen = Seen(first)
            async with first:
                task = await first.start_task("obey")
                await task.send("one")
                await task.send("two")
                assert await seen.until("two") == ["one", "two"]
            second = mcpc.Client(at.uri, channel_file=path)
            seen = Seen(second)
            async with second:
                assert second.channel == first.channel
                again = await second.task(task.task_id)
                await again.send("three")
                assert await seen.until("three") == ["three"]
                await again.send("end")
                assert await again.result() == "ended"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_task_that_ended_meanwhile_or_before_is_found_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-end") as at:
            async with mcpc.Client(at.uri, channel_file=path) as first:
                before = await first.start_task("obey")
                await before.send("end")
                assert await before.result() == "ended"
                meanwhile = await first.start_task("obey")
                channel = first.channel
            async with mcpc.Client(at.uri, channel=channel) as other:
                await other.task(meanwhile.task_id).send("end")
                assert await other.task(meanwhile.task_id).result() == "ended"
            second = mcpc.Client(at.uri, channel_file=path)
            early = second.task(before.task_id)
            async with second:
                assert await early.result() == "ended"
                assert await second.task(meanwhile.task_id).result() == "ended"
                with pytest.raises(mcpc.UnknownTask):
                    await second.task("no such task")


async def test_a_question_that_the_client_before_was_asked_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-question") as at:
            first = mcpc.Client(at.uri, channel_file=path)
            seen = Seen(first)
            async with first:
                task = await first.start_task("ask")
                while not seen.updates:
                    await anyio.lowlevel.checkpoint()
            async with mcpc.Client(at.uri, channel_file=path) as second:
                second.on_prompt(lambda prompt: "b")
                assert await second.task(task.task_id).result() == "b"


async def test_what_a_slow_listener_has_not_handled_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-slow") as at:
            handled: list[Any] = []
            stuck = anyio.Event()

            async def slow(message: mcpc.MCPCMessage) -> None:
                if message.event == "update":
                    if message.result == "two":
                        stuck.set()
                        await anyio.sleep_forever()
                    handled.append(message.result)

            async with mcpc.Client(at.uri, channel_file=path) as first:
                first.add_event_listener(slow)
                task = await first.start_task("obey")
                for word in ("one", "two", "three"):
                    await task.send(word)
                await stuck.wait()
            second = mcpc.Client(at.uri, channel_file=path)
            seen = Seen(second)
            async with second:
                await second.task(task.task_id).send("four")
                await seen.until("four")
            assert handled == ["one"]
            assert seen.updates[-3:] == ["two", "three", "four"]


async def test_a_lost_log_is_a_gap_and_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-gap") as at:
            async with mcpc.Client(at.uri, channel_file=path) as first:
                task = await first.start_task("obey")
                await task.send("end")
                await task.result()
        async with mcpc.listen(Served().server, "memory://kept-gap") as at:
            second = mcpc.Client(at.uri, channel_file=path)
            events: list[str] = []
            second.add_event_listener(lambda message: events.append(message.event))
            async with second:
                task = await second.start_task("obey")
                await task.send("end")
                await task.result()
    assert events == ["gap", "created", "complete"]


async def test_two_clients_with_one_file_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-twice") as at:
            async with mcpc.Client(at.uri, channel_file=path):
                with pytest.raises(mcpc.ChannelFileRefused, match="another client uses"):
                    async with mcpc.Client(at.uri, channel_file=path):
                        pass
            async with mcpc.Client(at.uri, channel_file=path):
                pass  # it is free again


@pytest.mark.skipif(os.name == "nt", reason="modes are Unix's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "channel"
    path.write_text("{}")
    path.chmod(mode)
    with pytest.raises(mcpc.ChannelFileRefused, match="chmod 600"):
        mcpc.Client("memory://nobody", channel_file=path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no JSON", "no channel file"),
        ("[1]", "no channel file"),
        ('{"version": 1, "channel": "short", "epoch": null, "last": 0}', "no channel file"),
        ('{"version": 1, "channel": "long enough to be one", "epoch": null, "last": -1}', "no channel file"),
        ('{"version": 2, "channel": "long enough to be one"}', "newer mcpc"),
    ],
)
def test_a_file_that_is_none_is_refused_and_left_alone(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "channel"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(mcpc.ChannelFileRefused, match=why):
        mcpc.Client("memory://nobody", channel_file=path)
    assert path.read_text() == text


async def test_a_folder_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-nowhere") as at:
            with pytest.raises(mcpc.ChannelFileRefused, match="cannot be opened"):
                async with mcpc.Client(at.uri, channel_file=tmp_path / "no" / "channel"):
                    pass


def test_a_channel_and_a_file_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not both"):
        mcpc.Client("memory://nobody", channel="x" * 20, channel_file=tmp_path / "channel")


async def test_the_file_holds_the_place_while_the_client_lives(tmp_path: Path) -> None:
    """After a kill of the client not all comes again: the place is written now and then."""
    path = tmp_path / "channel"
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-now") as at:
            client = mcpc.Client(at.uri, channel_file=path)
            seen = Seen(client)
            async with client:
                task = await client.start_task("obey")
                await task.send("one")
                await seen.until("one")
                while json.loads(path.read_text())["last"] < 1:  # noqa: ASYNC110 - a file tells nobody
                    await anyio.sleep(0.01)


async def test_a_file_whose_maker_was_killed_before_it_wrote_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    path.touch(mode=0o600)
    with anyio.fail_after(60):
        async with mcpc.listen(Served().server, "memory://kept-empty") as at:
            async with mcpc.Client(at.uri, channel_file=path) as client:
                key = client.channel
            assert mcpc.Client(at.uri, channel_file=path).channel == key
