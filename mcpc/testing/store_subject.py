"""The store under test, and what a check of it is: the machinery of the store contract, without its clauses."""

import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio

from mcpc.store import Store
from mcpc.store_uri import open_store
from mcpc.stored import Appended, Claim, Entry, NewTask, Receipt, StoreLimits, channel_id
from mcpc.testing.subject import ContractViolation, NotApplicable, expect, first_cause

__all__ = ["LIMITS", "StoreCheck", "StoreClauses", "StoreSubject", "Writer"]

LIMITS = StoreLimits(max_messages=1000, max_inputs=20, max_tasks_per_channel=50, task_ttl=60, channel_ttl=60)
"""The bounds of the handles, where a clause needs no others."""
WHOLE = 1 << 20
"""More messages, and bytes, than any clause has."""


@dataclass
class Writer:
    """One writer of one channel, and its place in its sequence."""

    store: Store
    channel: str
    name: str
    seq: int = 0

    def entry(self, *messages: bytes, **members: Any) -> Entry:
        """The writer's next entry."""
        self.seq += 1
        return Entry(self.channel, self.name, self.seq, messages, **members)

    async def write(self, *messages: bytes, **members: Any) -> Receipt:
        """Append the writer's next entry, alone."""
        receipt = (await self.store.append([self.entry(*messages, **members)]))[0]
        if not isinstance(receipt, Appended):
            self.seq -= 1
        return receipt

    async def must_write(self, *messages: bytes, **members: Any) -> int:
        """The same, where it has to land; the number of the first message."""
        receipt = await self.write(*messages, **members)
        expect(isinstance(receipt, Appended), f"an entry that may land gave {receipt}")
        assert isinstance(receipt, Appended)
        return receipt.first


class StoreSubject:
    """One store under test.

    Args:
        uri: Its address. Clauses use channels and tasks of random names, so it need not be empty.
        options: Options for every handle.
        deadline: Seconds that one check may take.
    """

    def __init__(self, uri: str, *, options: Mapping[str, Any] | None = None, deadline: float = 60) -> None:
        self.uri = uri
        self.deadline = deadline
        self._options = dict(options or {})

    @asynccontextmanager
    async def handles(self, count: int = 2, **limits: Any) -> AsyncGenerator[list[Store]]:
        """Handles of the store, as so many processes would have them."""
        async with AsyncExitStack() as stack:
            bounds = replace(LIMITS, **limits)
            yield [await stack.enter_async_context(self.handle(bounds)) for _ in range(count)]

    def handle(self, limits: StoreLimits = LIMITS) -> Any:
        """One handle."""
        return open_store(self.uri, limits=limits, **self._options)

    async def channel(self, store: Store, principal: str | None = None) -> str:
        """A new channel."""
        channel = channel_id(secrets.token_hex())
        expect(await store.open(channel, principal=principal) is not None, "a new channel was not opened")
        return channel

    def writer(self, store: Store, channel: str) -> Writer:
        """A new writer."""
        return Writer(store, channel, secrets.token_hex(4))

    def task(self, channel: str, **members: Any) -> NewTask:
        """A new task, not entered yet."""
        given: dict[str, Any] = {
            "tool_name": f"tool-{channel[:12]}",
            "session_id": "s",
            "state": b"new",
            "interrupted": b"interrupted",
        }
        return NewTask(task_id=secrets.token_hex(8), channel=channel, **{**given, **members})

    async def claimed(self, store: Store, channel: str, runner: str = "", **members: Any) -> Claim:
        """A new task that runs, and the right to it."""
        entered = await store.enter(self.task(channel, **members), runner=runner or secrets.token_hex(4))
        expect(entered.is_new and entered.claim is not None, f"a new task was not claimed by its runner: {entered}")
        assert entered.claim is not None
        return entered.claim

    async def log(self, store: Store, channel: str, after: int = 0) -> dict[int, bytes]:
        """All that can be read after a number."""
        found: dict[int, bytes] = {}
        while (page := await store.read(channel, after, max_messages=WHOLE, max_bytes=WHOLE)) is not None:
            expect(bool(page.messages) and page.first > after, f"a page after {after} is {page}")
            found.update(enumerate(page.messages, page.first))
            after = page.last
        return found


CheckFunction = Callable[[StoreSubject], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class StoreCheck:
    """One clause of the contract: an async callable that takes a `StoreSubject`.

    Raises:
        ContractViolation: the store breaks the clause.
    """

    name: str
    text: str
    """The clause, in words."""
    invariant: int
    """Which of the numbered promises of `mcpc.store` it belongs to."""
    run: CheckFunction

    async def __call__(self, subject: StoreSubject) -> None:
        try:
            with anyio.move_on_after(subject.deadline) as scope:
                await self.run(subject)
            expect(not scope.cancelled_caught, f"the check did not end within {subject.deadline:g} s")
        except Exception as exc:
            cause = first_cause(exc)
            if isinstance(cause, NotApplicable):
                raise cause from None
            happened = str(cause) if isinstance(cause, AssertionError) else repr(cause)
            raise ContractViolation(self.name, f"{self.text} {subject.uri}: {happened}") from exc


class StoreClauses(dict[str, StoreCheck]):
    """Checks by name, in the order of definition."""

    def check(self, invariant: int) -> Callable[[CheckFunction], CheckFunction]:
        """Make a function a check: its name is the check's, its docstring the clause."""

        def register(function: CheckFunction) -> CheckFunction:
            name, text = function.__name__, " ".join((function.__doc__ or "").split())
            self[name] = StoreCheck(name, text, invariant, function)
            return function

        return register
