"""The key of a start: the same key on the same channel is the same task, begun once however often it is asked for.

A client that does not know whether its call arrived calls again. Another tool or other
arguments under a known key are a mistake of the caller's, and are refused.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from mcpc.errors import KeyRefused
from mcpc.tasks import TaskState

__all__ = ["StartKey"]


@dataclass(frozen=True)
class StartKey:
    """A key, and what is started with it."""

    name: str
    fingerprint: str
    """Of the tool and the arguments, as the caller gave them."""

    @classmethod
    def of(cls, name: str, tool_name: str, arguments: Any) -> "StartKey":
        """The key `name` of a call. The order of members in its arguments is all the same."""
        what = json.dumps([tool_name, arguments or {}], sort_keys=True, separators=(",", ":"))
        return cls(name, hashlib.sha256(what.encode(errors="surrogatepass")).hexdigest())

    def check(self, known: TaskState) -> None:
        """Whether a task that was begun with this key is the one that is asked for.

        Raises:
            KeyRefused: it is not.
        """
        if known.fingerprint != self.fingerprint:
            raise KeyRefused(
                "a task was started with this key before, with another tool or other arguments; "
                "use a new key for each start that is not a repetition"
            )
