"""Events as they are polled: when the next poll is due, and what is not believed of a server."""

from typing import Any

import anyio
import pytest

from mcpc.client import event_polls
from mcpc.client.event_polls import EventPolls
from mcpc.client.told_events import ToldEvents
from mcpc.errors import MessageError
from own_anyio import replace_for

pytestmark = pytest.mark.anyio


def page(cursor: Any, *numbers: int, **more: Any) -> dict[str, Any]:
    events: list[dict[str, Any]] = [
        {"eventId": f"m{n}", "name": "mail", "timestamp": "2026-02-19T15:30:00Z", "data": {}} for n in numbers
    ]
    return {"events": events, "cursor": cursor, **more}


class Polled:
    """Polls that are answered with these pages, on a clock that only sleeps move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, told: ToldEvents, *pages: dict[str, Any]) -> None:
        self.now = 100.0
        self.asked: list[tuple[float, Any]] = []
        self._pages = list(pages)
        replace_for(event_polls, monkeypatch, sleep=self._sleep, current_time=lambda: self.now)
        self.polls = EventPolls(self._ask, lambda cursor: {"cursor": cursor}, told, min_interval=1.0)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((self.now, params["cursor"]))
        return self._pages.pop(0)


async def test_the_next_poll_is_made_when_the_server_says_and_at_once_where_more_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = ToldEvents(None)
    pages = (
        page("c0", nextPollMs=30_000),
        page("c1", 1, hasMore=True, nextPollMs=30_000),
        page("c2", 2, nextPollMs=0),
        page("c2", hasMore=True),
        page("c2"),
    )
    polled = Polled(monkeypatch, told, *pages)
    await polled.polls.begin()
    for _ in range(4):
        await polled.polls.more()
    # A server that says that there is more, and does not move on, is not asked without a pause.
    assert polled.asked == [(100.0, None), (130.0, "c0"), (130.0, "c1"), (131.0, "c2"), (132.0, "c2")]
    assert (len(told), told.after) == (2, "c2")


async def test_it_begins_at_now_only_where_no_position_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ToldEvents("mine")
    polled = Polled(monkeypatch, told)
    await polled.polls.begin()
    assert polled.asked == []
    told = ToldEvents(None)
    polled = Polled(monkeypatch, told, page("c7", 1))
    await polled.polls.begin()
    assert (len(told), told.cursor) == (0, "c7")


@pytest.mark.parametrize(("count", "ok"), [(2, True), (3, False)])
async def test_a_page_of_too_many_is_refused(monkeypatch: pytest.MonkeyPatch, count: int, ok: bool) -> None:
    monkeypatch.setattr(event_polls, "MAX_PAGE", 2)
    told = ToldEvents("c0")
    polled = Polled(monkeypatch, told, page("c1", *range(count)))
    if ok:
        await polled.polls.more()
        assert len(told) == count
        return
    with pytest.raises(MessageError, match="more than 2 events"):
        await polled.polls.more()
    assert (len(told), told.after) == (0, "c0")
