"""How each server behind a gateway stands: as a value, and as the answer of an HTTP route.

Knows nothing of how servers are started and watched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mcp.server.auth.provider import TokenVerifier
from pydantic_core import to_json

from mcpc.clock import SYSTEM_CLOCK

__all__ = ["ServerState", "ServerStatus", "StatusRoute"]

ServerState = Literal["starting", "up", "down", "unusable"]
"""`starting` until the first attempt has ended; `down` while it is tried again; `unusable` where that would be vain."""

BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server behind a gateway."""

    name: str
    state: ServerState
    seconds: float
    """How long it has been in that state."""
    restarts: int
    """How often it was up again after it had been down."""
    tools: int
    """Tools that it has listed."""
    error: str | None
    """Why it was last down, with the last line that its process wrote to stderr; None where it never was."""


class StatusRoute:
    """An ASGI application that answers with the state of all: status 200 if any server is up, else 503.

    Args:
        read: Gives the states.
        verifier: Says who may ask; None for anybody who reaches the address.
    """

    def __init__(self, read: Callable[[], Sequence[ServerStatus]], verifier: TokenVerifier | None) -> None:
        self._read = read
        self._verifier = verifier

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Callable[..., Any]) -> None:
        """Answer one request."""
        if not await self._may_ask(scope):
            await _answer(send, 401, {"error": "invalid_token"}, ((b"www-authenticate", b"Bearer"),))
            return
        found = self._read()
        up = sum(each.state == "up" for each in found)
        body = {"up": up, "servers": [asdict(each) for each in found]}
        await _answer(send, 200 if up else 503, body, ((b"cache-control", b"no-store"),))

    async def _may_ask(self, scope: Mapping[str, Any]) -> bool:
        if self._verifier is None:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        if not given.lower().startswith(BEARER):
            return False
        access = await self._verifier.verify_token(given[len(BEARER) :].strip())
        # A verifier may know a token that has expired; who asks it looks at that, as the SDK does.
        return access is not None and (access.expires_at is None or access.expires_at >= SYSTEM_CLOCK.wall())


async def _answer(send: Callable[..., Any], status: int, body: Any, headers: Sequence[tuple[bytes, bytes]]) -> None:
    data = to_json(body)
    described = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": data})
