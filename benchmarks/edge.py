"""What our own checks of a frame cost beside the JSON itself: `python -m benchmarks.edge`.

A row for each shape of a 4 MiB frame: milliseconds of reading the JSON, of the whole
`decode_frame`, and what is ours of that. While it runs nobody else on the server has
a turn, so what is ours is bounded: 50 ms for 4 MiB, whatever the frame is like. The
garbage collector is off meanwhile, as it is in `decode_frame`. Shapes with more lists
and objects than a message may have are refused: then less is taken than by the JSON.
"""

import gc
import time
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json, to_json

from mcpc.errors import FrameError, MessageError
from mcpc.wire.jsontext import encode_json
from mcpc.wire.rpc import decode_frame

__all__ = ["SHAPES", "frame_of", "main", "measure"]

SIZE = 4 * 1024 * 1024

SHAPES: dict[str, bytes] = {
    "small objects": b'{"a":1}',
    "objects with an id": b'{"id":1}',
    "empty lists": b"[]",
    "empty texts": b'""',
    "integers": b"1",
    "large floats": b"1e123",
    "quoted numbers": b'"1e999"',
    "quoted members": b'"\\"id\\":5"',
    "lists in lists": b"[[[[[[[[[[]]]]]]]]]]",
    "rows of a table": b'{"id":12345,"name":"somebody","price":12.5,"ok":true}',
    "one text": b"",
}
"""What a frame's 4 MiB consist of."""


def frame_of(shape: str, size: int = SIZE) -> bytes:
    """A request of about that many bytes."""
    piece = SHAPES[shape]
    many = b",".join([piece] * (size // (len(piece) + 1))) if piece else b'"%b"' % (b"the quick e fox " * (size // 16))
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"all":[%b]}}}' % many


def measure(run: Callable[[], Any], times: int = 3) -> float:
    """Milliseconds of processor time of the fastest run, with the garbage collector off."""
    fastest = float("inf")
    gc.disable()
    try:
        for _ in range(times):
            begin = time.process_time()
            result = run()
            fastest = min(fastest, time.process_time() - begin)
            del result
    finally:
        gc.enable()
    return fastest * 1000


def _or_refused(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except (FrameError, MessageError) as exc:
        return exc


def main() -> None:
    """Print the table."""
    print(f"{'':22}{'JSON':>8}{'decode':>8}{'ours':>8}   {'JSON':>8}{'encode':>8}{'ours':>8}   ms")
    for shape in SHAPES:
        frame = frame_of(shape)
        value = from_json(frame)["params"]
        read, decode = (
            measure(lambda f=frame: from_json(f)),
            measure(lambda f=frame: _or_refused(lambda: decode_frame(f))),
        )
        write, encode = (
            measure(lambda v=value: to_json(v)),
            measure(lambda v=value: _or_refused(lambda: encode_json(v))),
        )
        print(
            f"{shape:22}{read:8.1f}{decode:8.1f}{decode - read:8.1f}   {write:8.1f}{encode:8.1f}{encode - write:8.1f}"
        )


if __name__ == "__main__":
    main()
