"""Messages of a task that are kept for the answer of its plain caller, in the style of mcpc 0.2.

They belong to who waits for them: a tool that drops what `start_task` returned has nothing collected for it.
"""

import weakref
from collections import deque

from anyio.lowlevel import checkpoint

from mcpc.errors import PromptError
from mcpc.messages import MCPCMessage
from mcpc.server.outlet import OpenPrompt
from mcpc.server.outlets import NullOutlet
from mcpc.wire.callbacks import decode_message

__all__ = ["CollectOutlet", "Collected"]


class Collected:
    """The newest messages of one task.

    Args:
        max_messages: How many are kept; beyond it the oldest goes.
        max_bytes: How many bytes of them; a single larger one is still kept.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.dropped: int = 0
        """How many went."""
        self.size: int = 0
        """Bytes of those that are kept."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._kept: deque[bytes] = deque()

    @property
    def messages(self) -> list[MCPCMessage]:
        """What is kept, as messages, made anew each time."""
        return [decode_message(data) for data in self._kept]

    def keep(self, data: bytes) -> None:
        """Keep an encoded message."""
        self._kept.append(data)
        self.size += len(data)
        while len(self._kept) > self._max_messages or (self.size > self._max_bytes and len(self._kept) > 1):
            self.size -= len(self._kept.popleft())
            self.dropped += 1


class CollectOutlet(NullOutlet):
    """Keeps messages as long as somebody wants them.

    Args:
        collected: Where they are kept. It is held weakly: an ended task is remembered for longer than it is asked for.
    """

    def __init__(self, collected: Collected) -> None:
        self._collected = weakref.ref(collected)

    async def update(self, data: bytes, result: object) -> None:
        """Keep it."""
        self.post(data)
        await checkpoint()

    def post(self, data: bytes) -> None:
        """Keep it."""
        collected = self._collected()
        if collected is not None:
            collected.keep(data)

    async def prompt(self, prompt: OpenPrompt, data: bytes) -> None:
        """A caller that waits for one answer cannot be asked."""
        raise PromptError("this caller cannot be asked: it speaks no MCPC")

    def end(self, data: bytes, event: str, result: object) -> None:
        """Keep it."""
        self.post(data)
