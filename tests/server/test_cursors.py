"""How far listeners have come: told to the store where somebody may wait for it, and seldom where it is away."""

from collections.abc import Mapping
from typing import Any, cast

import anyio
import pytest

from mcpc.errors import StoreUnavailable
from mcpc.server import cursors as room
from mcpc.server.cursors import Cursors
from mcpc.server.limits import Limits
from mcpc.server.reader import Reader
from mcpc.server.stored_journal import StoredJournal
from own_anyio import replace_for

pytestmark = pytest.mark.anyio


class Told:
    """A store that hears cursors, and is away for the first few times."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.calls: list[dict[str, int]] = []
        self.heard = anyio.Event()

    async def sent(self, listener: str, cursors: Mapping[str, int]) -> None:
        await anyio.lowlevel.checkpoint()
        self.calls.append(dict(cursors))
        if len(self.calls) <= self.away:
            raise StoreUnavailable("away")
        self.heard.set()


def listened(name: str, sent: int) -> StoredJournal:
    """A journal of ten messages at the most, whose listener was sent so many of what others wrote."""
    journal = StoredJournal(name, None, Limits(max_messages=10), lambda: 0.0, lambda line: None)
    journal.listen(Reader(0))
    journal.hear(sent, [b"{}"] * sent)
    journal.sent = sent
    return journal


def cursors_of(store: Told, *journals: StoredJournal) -> Cursors:
    return Cursors(lambda: cast("Any", store), "here", cast("Any", journals))


async def told(cursors: Cursors, store: Told) -> None:
    """Report until the store has heard it."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cursors.report_for_ever)
            await store.heard.wait()
            tasks.cancel_scope.cancel()


async def test_half_a_log_that_is_not_known_to_be_sent_is_told_at_once_and_less_is_not() -> None:
    store, few, many = Told(), listened("few", 5), listened("many", 6)
    cursors = cursors_of(store, few, many)
    cursors.fed(few)
    cursors.fed(many)
    await told(cursors, store)
    assert store.calls[0] == {"many": 6}


async def test_what_the_store_knows_is_not_told_again() -> None:
    store, known, asked = Told(), listened("known", 9), listened("asked", 1)
    cursors = cursors_of(store, known, asked)
    cursors.know({"known": 9})
    cursors.fed(known)
    cursors.hurry(asked)
    await told(cursors, store)
    assert store.calls[0] == {"asked": 1}


async def test_a_store_that_is_away_is_not_told_as_often_as_one_that_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await anyio.lowlevel.checkpoint()

    store, journal = Told(away=3), listened("one", 10)
    cursors = cursors_of(store, journal)
    cursors.hurry(journal)
    replace_for(room, monkeypatch, sleep=pause, current_time=lambda: 0.0)
    await told(cursors, store)
    assert store.calls == [{"one": 10}] * 4
    assert pauses[:7] == [room.FED_INTERVAL, room.RETRY] * 3 + [room.FED_INTERVAL]
