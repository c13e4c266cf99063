"""Servers behind a gateway that it speaks to in one era."""

from typing import Any

from mcpc.config import NamedServer


class _Older(NamedServer):
    @property
    def options(self) -> dict[str, Any]:
        return {**super().options, "mode": "legacy"}


def behind(era: str, uri: str, name: str = "one") -> list[NamedServer]:
    """A server at `uri`, dialled in the `newer` or in the `older` era."""
    return [(_Older if era == "older" else NamedServer)(name, "the test", {"url": uri})]
