"""Messages that are kept for an answer: within their bounds, and for whoever still wants them."""

import pytest

from mcpc.messages import MCPCMessage
from mcpc.server.collected import Collected, CollectOutlet
from mcpc.wire.callbacks import encode_message

pytestmark = pytest.mark.anyio


def _message(text: str) -> bytes:
    return encode_message(MCPCMessage(type="server_event", event="e", session_id="s", result=text))


def _texts(collected: Collected) -> list[str]:
    return [message.result for message in collected.messages]


@pytest.mark.parametrize(("count", "kept"), [(3, ["0", "1", "2"]), (4, ["1", "2", "3"])])
def test_as_many_are_kept_as_may_and_the_oldest_makes_room(count: int, kept: list[str]) -> None:
    collected = Collected(max_messages=3, max_bytes=10_000)
    for number in range(count):
        collected.keep(_message(str(number)))
    assert (_texts(collected), collected.dropped) == (kept, count - len(kept))
    assert collected.size == sum(len(_message(text)) for text in kept)


@pytest.mark.parametrize(("room", "kept"), [(0, ["a", "b"]), (-1, ["b"])], ids=["at the bound", "one past it"])
def test_the_same_goes_for_bytes_and_a_larger_one_stays_alone(room: int, kept: list[str]) -> None:
    collected = Collected(max_messages=10, max_bytes=2 * len(_message("a")) + room)
    collected.keep(_message("a"))
    collected.keep(_message("b"))
    assert _texts(collected) == kept
    large = "x" * 1000
    collected.keep(_message(large))
    assert _texts(collected) == [large]


async def test_an_outlet_collects_for_who_wants_it_and_for_nobody_else() -> None:
    collected = Collected(max_messages=10, max_bytes=10_000)
    outlet = CollectOutlet(collected)
    await outlet.update(_message("a"), "a")
    outlet.post(_message("b"))
    outlet.end(_message("c"), "complete", "c")
    assert _texts(collected) == ["a", "b", "c"]
    del collected
    await outlet.update(_message("d"), "d")
    assert vars(outlet)["_collected"]() is None
