"""Texts of many lists and objects: decoding one takes as long as decoding dozens of its bytes."""

import gc
from typing import Any

import pytest

from mcpc.errors import FrameError, MessageError
from mcpc.wire.jsontext import BYTES_PER_CONTAINER, MAX_CONTAINERS, encode_json, is_too_dense
from mcpc.wire.rpc import decode_frame

LARGE = MAX_CONTAINERS * BYTES_PER_CONTAINER * 2


def frame_of(value: bytes) -> bytes:
    """A request whose lists and objects are those of the value, and three more."""
    return b'{"jsonrpc":"2.0","id":7,"method":"m","params":{"name":"n","arguments":{"all":%b}}}' % value


def lists(count: int) -> bytes:
    """So many lists, in one."""
    return b"[%b]" % b",".join([b"[]"] * (count - 1))


@pytest.mark.parametrize("over", [0, 1])
def test_so_many_lists_and_objects_are_read_however_small_and_one_more_is_not(over: int) -> None:
    frame = frame_of(lists(MAX_CONTAINERS - 3 + over))
    if not over:
        arguments: Any = decode_frame(frame)["params"]["arguments"]
        assert len(arguments["all"]) == MAX_CONTAINERS - 4
        return
    with pytest.raises(FrameError, match="lists and objects") as refused:
        decode_frame(frame)
    assert (refused.value.request_id, refused.value.kind) == (7, "request")


@pytest.mark.parametrize("over", [0, 1])
def test_a_larger_text_may_have_one_for_so_many_bytes(over: int) -> None:
    most = LARGE // BYTES_PER_CONTAINER
    text = lists(most + over)
    text += b" " * (LARGE - len(text))
    assert len(text) == LARGE
    assert is_too_dense(text) is bool(over)


def test_what_stands_in_strings_is_text() -> None:
    text = "[{" * MAX_CONTAINERS + '\\"'
    frame = frame_of(encode_json([text, {"[": text}]))
    assert decode_frame(frame)["params"]["arguments"]["all"] == [text, {"[": text}]


@pytest.mark.parametrize("over", [0, 1])
def test_what_no_peer_would_read_is_not_written(over: int) -> None:
    value: list[Any] = [[] for _ in range(MAX_CONTAINERS - 1 + over)]
    if not over:
        assert len(encode_json(value)) > MAX_CONTAINERS
        return
    with pytest.raises(MessageError, match=f"more than {MAX_CONTAINERS} lists and objects"):
        encode_json(value)


def test_the_collector_rests_while_much_is_made_and_goes_on_after_it() -> None:
    passes: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        passes.append(phase)

    frame = frame_of(lists(MAX_CONTAINERS - 3))
    gc.collect()
    gc.callbacks.append(note)
    try:
        decoded = decode_frame(frame)
    finally:
        gc.callbacks.remove(note)
    assert gc.isenabled()
    assert len(passes) <= 4, "one pass at most may come after it, and not hundreds during it"
    assert decoded["id"] == 7
