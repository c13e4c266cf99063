"""How long an access token lasts: what it opened ends with it.

Knows nothing of connections; who holds one open for a token asks here. A token says its end in the wall clock's time;
from the moment it is looked at the loop's own clock counts, so a correction of the wall clock prolongs nothing.
"""

import math

from mcp.server.auth.provider import AccessToken

from mcpc.clock import SYSTEM_CLOCK, Clock

__all__ = ["EXPIRED", "POLICY_VIOLATION", "is_expired", "lifetime"]

EXPIRED = "the access token has expired"

POLICY_VIOLATION = 1008
"""The close code of RFC 6455, 7.4.1, for whom we do not serve any more."""


def lifetime(access: AccessToken | None, clock: Clock = SYSTEM_CLOCK) -> float:
    """Seconds until a token expires, 0 where it has; without end where it never does, or there is none."""
    if access is None or access.expires_at is None:
        return math.inf
    return max(0.0, access.expires_at - clock.wall())


def is_expired(access: AccessToken, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Whether a token has expired."""
    return access.expires_at is not None and access.expires_at < clock.wall()
