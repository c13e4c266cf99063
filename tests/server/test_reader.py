"""A listen stream under whatever happens to it: it is woken when it has to be, loses nothing, and ends once."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpc.mailbox import Batch
from mcpc.server.journal import Journal
from mcpc.server.limits import Limits
from mcpc.server.reader import TRANSITIONS, Reader, ReaderEvent, ReaderState
from mcpc.server.streams import ListenStream

WORDS = ("post", "take", "pause", "resume", "stall", "finish", "leave")
ASLEEP = (ReaderState.CAUGHT_UP, ReaderState.ENDED, ReaderState.PAUSED, ReaderState.PAUSED_STALLED)


class Followed:
    """A stream with its journal, what was taken of it, and how often it was woken."""

    def __init__(self) -> None:
        self.journal = Journal("key", None, Limits(), lambda: 0.0)
        self.stream = ListenStream(self.journal, 1, 0, None)
        self.journal.listen(self.stream)
        self.stream.bind(self._woken)
        self.woken = 0
        self.posted = 0
        self.taken: list[int] = []

    def _woken(self) -> None:
        self.woken += 1

    def post(self) -> None:
        self.posted += 1
        self.journal.post(b"%d" % self.posted)

    def take(self) -> None:
        item = self.stream.next()
        if isinstance(item, Batch):
            self.taken += map(int, item.messages)

    def stall(self) -> None:
        self.stream.stall()

    def pause(self) -> None:
        self.stream.pause()

    def resume(self) -> None:
        self.stream.resume()

    def finish(self) -> None:
        self.stream.finish()

    def leave(self) -> None:
        self.journal.leave(self.stream)

    def check(self) -> None:
        stream = self.stream
        assert self.taken == list(range(1, len(self.taken) + 1)), "in order, none twice"
        assert stream.ended.is_set() is (stream.state is ReaderState.ENDED)
        assert stream.awake is (stream.state not in ASLEEP)
        assert stream.paused is (stream.state in (ReaderState.PAUSED, ReaderState.PAUSED_STALLED))
        if stream.state is ReaderState.CAUGHT_UP:
            assert len(self.taken) == self.posted


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_whatever_happens_a_stream_that_sleeps_has_had_all_and_is_woken_once(words: list[str]) -> None:
    async def main() -> None:
        followed = Followed()
        for word in words:
            was_asleep, woken = followed.stream.state in ASLEEP, followed.woken
            was_paused, taken = followed.stream.paused, len(followed.taken)
            getattr(followed, word)()
            followed.check()
            wakes = was_asleep and followed.stream.state not in ASLEEP
            assert not (was_paused and word == "take" and len(followed.taken) > taken)
            assert followed.woken - woken == int(wakes)
        followed.finish()
        posted = followed.posted if not followed.stream.ended.is_set() else len(followed.taken)
        for _ in range(3):  # the announcement, what there is, and the end
            followed.take()
        assert followed.stream.state is ReaderState.ENDED
        assert len(followed.taken) == posted

    anyio.run(main)


@given(st.lists(st.sampled_from(ReaderEvent), max_size=20))
def test_whatever_is_said_to_it_the_state_is_the_tables(events: list[ReaderEvent]) -> None:
    async def main() -> None:
        reader, state = Reader(0), ReaderState.BEHIND
        said: dict[ReaderEvent, Callable[[], None]] = {
            ReaderEvent.POST: reader.wake,
            ReaderEvent.SEND: lambda: reader.sent(more=True),
            ReaderEvent.DRAIN: lambda: reader.sent(more=False),
            ReaderEvent.STALL: reader.stall,
            ReaderEvent.PAUSE: reader.pause,
            ReaderEvent.RESUME: reader.resume,
            ReaderEvent.FINISH: reader.finish,
            ReaderEvent.LEAVE: reader.end,
        }
        for event in events:
            if event in TRANSITIONS[state]:
                said[event]()
                state = TRANSITIONS[state][event]
            else:
                with pytest.raises(RuntimeError, match="cannot happen"):
                    said[event]()
            assert reader.state is state
            assert reader.stalled is state.endswith("stalled")

    anyio.run(main)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["wake", "finish", "end"])
@pytest.mark.parametrize("paused", [False, True])
async def test_who_waits_for_something_to_take_is_woken_by_all_that_can_come(how: str, paused: bool) -> None:
    reader = Reader(0)
    reader.sent(more=False)
    if paused:
        reader.pause()
        how = how.replace("wake", "resume")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(reader.ready)
            await anyio.lowlevel.checkpoint()
            getattr(reader, how)()


@pytest.mark.anyio
@pytest.mark.parametrize("stalls", [False, True])
async def test_who_pauses_again_has_given_a_sign_of_life(stalls: bool) -> None:
    reader = Reader(0)
    reader.pause()
    if stalls:
        reader.stall()
        assert reader.stalled
    reader.progressed_at = -1.0
    reader.pause()
    assert reader.progressed_at >= 0
    assert not reader.stalled
