"""An address of our own for each transport: on this machine, at any free port."""

from pathlib import Path

import mcpc
from mcpc.transport import Traits, traits_of
from mcpc.uri import resolve, schemes

__all__ = ["is_twin", "newest", "own_addresses"]


def own_addresses(directory: Path) -> dict[str, str]:
    """Where to serve, by scheme, the nearest first; a socket file is put into `directory`.

    What has no such address is left out, and what needs a certificate, and what is not installed.
    """
    found = {scheme: traits for scheme in schemes() if not is_twin(scheme) and (traits := _traits(scheme)) is not None}
    nearest = sorted(found, key=lambda scheme: (_distance(found[scheme]), scheme))
    return {
        scheme: place.format(scheme=scheme, directory=directory)
        for scheme in nearest
        if (place := found[scheme].place) is not None
    }


def newest(places: dict[str, str]) -> dict[str, str]:
    """Those of `own_addresses` for which there is no newer form."""
    return {scheme: place for scheme, place in places.items() if not traits_of(resolve(scheme)).superseded}


def is_twin(scheme: str) -> bool:
    """Whether it is the form with TLS of another scheme (`wss`)."""
    return scheme.endswith("s") and scheme.removesuffix("s") in schemes()


def _traits(scheme: str) -> Traits | None:
    try:
        return traits_of(resolve(scheme))
    except mcpc.MCPCError:
        return None


def _distance(traits: Traits) -> tuple[bool, ...]:
    """In this process, a child of it, on this machine, or further away."""
    return not traits.in_process, not traits.spawns, not traits.guarded, traits.drives_server, traits.superseded
