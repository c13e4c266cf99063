"""The contract of `mcpc.store`, run against a store: all of it, or clause by clause."""

from collections.abc import Collection, Mapping
from typing import Any

from mcpc.testing import store_log_checks, store_task_checks
from mcpc.testing.store_subject import StoreCheck, StoreSubject
from mcpc.testing.subject import ContractViolation, NotApplicable

__all__ = ["check_store", "store_checks"]

CLAUSES = {**store_log_checks.CLAUSES, **store_task_checks.CLAUSES}
"""Every clause, by name."""


def store_checks() -> dict[str, StoreCheck]:
    """The clauses of the contract by name, so that a test framework can run each as a test of its own."""
    return dict(CLAUSES)


async def check_store(
    uri: str,
    *,
    options: Mapping[str, Any] | None = None,
    only: Collection[str] = (),
    skip: Collection[str] = (),
) -> None:
    """Run the whole contract of `mcpc.store` against the store at `uri`, over two handles as of two processes.

    What else is in the store is left alone, except that its orphans are looked after and what has had its time is
    swept, as any process would do. It takes half a minute or less.

    Args:
        uri: The address: `sqlite:///tmp/check.db`, `memory:check`, …
        options: Options for every handle.
        only: Names of the clauses to run; all, where empty.
        skip: Names of clauses to leave out.

    Raises:
        ContractViolation: a clause is broken; the message names it and tells what happened.
        ExceptionGroup: of these, where several are.
        ValueError: `only` or `skip` names no clause.
        URIError: the address cannot be used.
    """
    unknown = sorted({*only, *skip} - CLAUSES.keys())
    if unknown:
        raise ValueError(f"no such clause: {', '.join(unknown)}; there are: {', '.join(CLAUSES)}")
    subject = StoreSubject(uri, options=options)
    subject.handle()
    violations: list[ContractViolation] = []
    for name, check in CLAUSES.items():
        if (only and name not in only) or name in skip:
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
        raise ExceptionGroup(f"the store breaks {len(violations)} clauses of the contract", violations)
