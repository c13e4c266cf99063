"""Between callbacks and a model's turns: `Inbox` gathers what tasks say, and gives it to a model in good portions.

No agent framework is imported here, and none is needed. See `docs/agents.md`.
"""

from mcpc.agents.inbox import Inbox
from mcpc.agents.news import News
from mcpc.agents.waking import WakeRule, Wakes

__all__ = ["Inbox", "News", "WakeRule", "Wakes"]
