"""The contract of `mcpc.transport`, run against a transport: all of it, or clause by clause."""

from collections.abc import Collection, Mapping
from typing import Any

from mcpc.testing import address_checks, call_checks, ending_checks, frame_checks
from mcpc.testing.subject import Check, ContractViolation, Kind, NotApplicable, Place, Serve, Subject

__all__ = ["check_transport", "contract_checks"]

CLAUSES = {**frame_checks.CLAUSES, **ending_checks.CLAUSES, **address_checks.CLAUSES, **call_checks.CLAUSES}
"""Every clause, by name."""


def contract_checks(kind: Kind | None = None, place: Place | None = None) -> dict[str, Check]:
    """The clauses of the contract by name, so that a test framework can run each as a test of its own.

    Args:
        kind: Only those for connections made of `frames`, or of `streams`.
        place: Only those for peers that are `here`, in this process, or each in a `process` of its own.
    """
    return {
        name: check
        for name, check in CLAUSES.items()
        if (kind is None or kind in check.kinds) and (place is None or place in check.places)
    }


async def check_transport(
    uri: str,
    *,
    connect_options: Mapping[str, Any] | None = None,
    listen_options: Mapping[str, Any] | None = None,
    serve: Serve | None = None,
    nowhere: str | None = None,
    connections: int | None = None,
    only: Collection[str] = (),
    skip: Collection[str] = (),
) -> None:
    """Run the whole contract of `mcpc.transport` against the transport that serves `uri`.

    The transport must be registered. Its listener serves `uri` in this process; `stdio:` starts a child for
    each connection. It takes half a minute or less.

    Args:
        uri: The address to serve: `tcp://127.0.0.1:0`, `memory://contract`, `stdio:`, …
        connect_options: Options for every dial.
        listen_options: Options for every listener.
        serve: Starts the peers elsewhere; see `in_child`.
        nowhere: An address of the scheme that nobody serves; by default, one that was served a moment ago.
        connections: How many connections are opened at once where a check needs many; by default 30.
        only: Names of the clauses to run; all, where empty.
        skip: Names of clauses to leave out.

    Raises:
        ContractViolation: a clause is broken; the message names it and tells what happened.
        ExceptionGroup: of these, where several are.
        ValueError: `only` or `skip` names no clause.
        MCPCError: the address cannot be served or dialled at all.
    """
    subject = Subject(
        uri,
        connect_options=connect_options,
        listen_options=listen_options,
        serve=serve,
        nowhere=nowhere,
        connections=connections,
    )
    chosen = _choose(only, skip)
    kind = await subject.kind()
    violations: list[ContractViolation] = []
    for check in chosen:
        if kind not in check.kinds:
            continue
        try:
            await check(subject)
        except NotApplicable:
            continue
        except ContractViolation as violation:
            violations.append(violation)
    if len(violations) == 1:
        raise violations[0]
    if violations:
        raise ExceptionGroup(f"{subject.uri.scheme}: breaks {len(violations)} clauses of the contract", violations)


def _choose(only: Collection[str], skip: Collection[str]) -> list[Check]:
    unknown = sorted({*only, *skip} - CLAUSES.keys())
    if unknown:
        raise ValueError(f"no such clause: {', '.join(unknown)}; there are: {', '.join(CLAUSES)}")
    return [check for name, check in CLAUSES.items() if (not only or name in only) and name not in skip]
