"""The ways that CONTRIBUTING.md shows, of a call and of an update, are those that a real one takes.

A call is handed from room to room, and enters each once.
"""

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import anyio
import pytest

import mcpc
from house_kit import MODULES, ROOT
from support import make_server

pytestmark = pytest.mark.anyio


def shown(name: str) -> list[str]:
    """The rooms of a way as the page has them."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    way = page.partition(f"<!-- way of {name} -->")[2].partition("<!-- /way -->")[0]
    rooms = re.findall(r"^\d+\. `([\w.]+)`", way, re.MULTILINE)
    assert rooms, f"there is no way of {name}"
    return [f"mcpc.{room}" for room in rooms]


class Followed:
    """The rooms that were entered, in order: each by a call from another room."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self._frames: dict[int, FrameType] = {}
        """What was called; a coroutine that goes on is not called again."""

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or id(frame) in self._frames or _hands_nothing_on(frame):
            return
        self._frames[id(frame)] = frame
        room = str(frame.f_globals.get("__name__"))
        caller = frame.f_back
        if caller is None or str(caller.f_globals.get("__name__")) != room:
            self.entered.append(room)

    @contextmanager
    def following(self) -> Generator[None]:
        before = sys.getprofile()
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(before)

    def first(self, rooms: list[str]) -> list[str]:
        """Those of `rooms` that were entered, in the order in which each was first."""
        return [room for room in dict.fromkeys(self.entered) if room in rooms]

    def each(self, rooms: list[str]) -> list[str]:
        """Those of `rooms` that were entered; one that is entered twice in a row, from above, is written once."""
        passed = [room for room in self.entered if room in rooms]
        return [room for number, room in enumerate(passed) if number == 0 or room != passed[number - 1]]


def _hands_nothing_on(frame: FrameType) -> bool:
    """Whether an object is only made, to be entered by another room, or an attribute of one is read."""
    name = frame.f_code.co_name
    owner: object = frame.f_locals.get("self")
    return name == "__init__" or isinstance(getattr(type(owner), name, None), property)


@pytest.mark.parametrize("name", ["a call", "an update"])
def test_the_rooms_of_a_way_exist(name: str) -> None:
    assert [room for room in shown(name) if room not in MODULES] == []


async def test_a_call_goes_the_way_that_is_shown_and_enters_each_room_once() -> None:
    followed, server = Followed(), make_server()
    callbacks = mcpc.MCPCHelper(server)
    stopped: list[None] = []

    @callbacks.tool()
    async def work(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.update("the worker holds its task")
        stopped.append(sys.setprofile(None))

    @callbacks.tool()
    async def first(task: mcpc.Task) -> None: ...  # pyright: ignore[reportUnusedFunction]

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            await (await client.start_task("first")).result()  # so it listens by now: that is a request of its own
            with followed.following():
                task = await client.start_task("work")
                await task.result()
    assert stopped, "it was followed to the worker and no further"
    assert followed.each(shown("a call")) == shown("a call")


async def test_an_update_goes_the_way_that_is_shown() -> None:
    followed, server = Followed(), make_server()
    callbacks = mcpc.MCPCHelper(server)
    first, second = anyio.Event(), anyio.Event()

    def listen(message: mcpc.MCPCMessage) -> None:
        if message.result == 2:
            sys.setprofile(None)
            second.set()
        elif message.result == 1:
            first.set()

    @callbacks.tool()
    async def work(task: mcpc.Task) -> None:  # pyright: ignore[reportUnusedFunction]
        await task.update(1)
        await first.wait()  # what came before has arrived
        with followed.following():
            await task.update(2)
            await second.wait()

    with anyio.fail_after(60):
        async with mcpc.Client(server) as client:
            client.add_event_listener(listen)
            await (await client.start_task("work")).result()
    assert followed.first(shown("an update")) == shown("an update")
