"""The requests of one peer that wait for their answers: each id once, and no more of them than may be.

Knows nothing of what carries them, nor of what they ask.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mcp_types import INTERNAL_ERROR, RequestId

from mcpc.errors import FrameError
from mcpc.wire.message import id_of, is_request, method_of, params_of
from mcpc.wire.standard import CANCELLED_METHOD, REQUEST_ID

__all__ = ["DEFAULT_MAX_REQUESTS", "DEFAULT_MAX_REQUEST_BYTES", "REQUEST_OVERHEAD", "PendingRequests", "weight"]

DEFAULT_MAX_REQUESTS = 4000
"""Requests of one peer that may wait for their answers. A bridge may carry those of many clients."""
DEFAULT_MAX_REQUEST_BYTES = 128 * 1024 * 1024
"""Bytes that they take (see `weight`), unless there is only one."""
REQUEST_OVERHEAD = 25 * 1024
"""Bytes that a request takes beside what it says, for as long as it waits: its task, what the SDK makes of it."""
CONTAINER_BYTES = 160
"""Bytes of a list or an object once it is decoded: an object of one member takes 184, an empty list 56."""
ITEM_BYTES = 48
"""Bytes of an item or a member: its place, and a number or a short text."""


def weight(text: bytes) -> int:
    """Bytes that a request takes while it waits, about: a text of many small objects takes thirty times its size.

    Args:
        text: The request, as JSON. What merely looks like a bracket or a comma in a string counts, too.
    """
    containers = text.count(b"{") + text.count(b"[")
    return REQUEST_OVERHEAD + len(text) + containers * CONTAINER_BYTES + text.count(b",") * ITEM_BYTES


class PendingRequests:
    """The requests of one peer that wait for their answers.

    Args:
        max_requests: How many may wait.
        max_bytes: How many bytes they may take; a single larger one still may.
    """

    def __init__(self, max_requests: int = DEFAULT_MAX_REQUESTS, max_bytes: int = DEFAULT_MAX_REQUEST_BYTES) -> None:
        self.size: int = 0
        """Bytes that those take that wait."""
        self.refused: int = 0
        """How many were refused."""
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._sizes: dict[RequestId, int] = {}
        self._hooks: dict[RequestId, Callable[[], None]] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._sizes)

    def see(self, message: Mapping[str, Any], text: bytes) -> None:
        """A message has come: a request waits from now on, a cancelled one no more.

        Args:
            message: The message, decoded.
            text: The same, as it came.

        Raises:
            FrameError: one of its id waits already, or as many wait as may. It is not to be passed on.
        """
        if is_request(message):
            self.add(id_of(message), weight(text))
        elif method_of(message) == CANCELLED_METHOD:
            cancelled: Any = params_of(message).get(REQUEST_ID)
            if isinstance(cancelled, str | int):
                self.discard(cancelled)  # it will not be answered

    def add(self, request_id: RequestId, size: int) -> None:
        """A request has come, which takes so many bytes.

        Raises:
            FrameError: see `see`.
        """
        if request_id in self._sizes:
            raise self._refusal(request_id, "a request of this id waits for its answer; each needs an id of its own")
        if len(self._sizes) >= self._max_requests:
            raise self._limit(request_id, "requests", "max_requests", self._max_requests)
        if self._sizes and self.size + size > self._max_bytes:
            raise self._limit(request_id, "bytes of requests", "max_request_bytes", self._max_bytes)
        self._sizes[request_id] = size
        self.size += size

    def discard(self, request_id: RequestId) -> None:
        """A request will not be answered."""
        self.size -= self._sizes.pop(request_id, 0)

    def on_answer(self, request_id: RequestId, hook: Callable[[], None]) -> None:
        """Call `hook` once a request is answered, or all are given up."""
        self._hooks[request_id] = hook

    def answered(self, request_id: RequestId | None) -> None:
        """The answer to a request is on its way."""
        if request_id is not None:
            self.discard(request_id)
            hook = self._hooks.pop(request_id, None)
            if hook is not None:
                hook()

    def give_up(self) -> None:
        """No request will be answered any more."""
        hooks, self._hooks = self._hooks, {}
        self._sizes.clear()
        self.size = 0
        for hook in hooks.values():
            hook()

    def _limit(self, request_id: RequestId, things: str, name: str, value: int) -> FrameError:
        text = f"{value} {things} of this connection wait for their answers, which is the limit ({name})"
        refusal = self._refusal(request_id, f"{text}; MCPCHelper(server, {name}=…) sets it", INTERNAL_ERROR)
        refusal.data = {"reason": "limit", "limit": name, "value": value}
        return refusal

    def _refusal(self, request_id: RequestId, why: str, code: int = -32600) -> FrameError:
        self.refused += 1
        return FrameError(why, code=code, request_id=request_id, kind="request")
