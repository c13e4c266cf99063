"""What a server says of itself when it is greeted (`initialize`): that its lists change."""

from collections.abc import Mapping
from typing import Any

from mcpc.wire.jsontext import as_object

__all__ = ["with_list_changes"]

CAPABILITIES = "capabilities"
LIST_CHANGED = "listChanged"
LISTS = ("tools", "prompts", "resources")


def with_list_changes(result: Mapping[str, Any]) -> dict[str, Any]:
    """A server's greeting which says, of each kind that it has, that it tells when the list changes."""
    told = as_object(result.get(CAPABILITIES))
    lists = {name: {**as_object(told[name]), LIST_CHANGED: True} for name in LISTS if name in told}
    return {**result, CAPABILITIES: {**told, **lists}}
