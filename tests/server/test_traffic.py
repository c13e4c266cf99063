"""What went through the logs of a server is counted, also of those that were forgotten."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from mcpc.clock import SYSTEM_CLOCK
from mcpc.mailbox import Mailbox
from mcpc.server import Limits
from mcpc.server.journals import JournalTable
from mcpc.server.traffic import Traffic


def table() -> JournalTable:
    clock: Callable[[], float] = SYSTEM_CLOCK.steady
    return JournalTable(Limits(max_messages=3), clock, lambda key: [])


def test_a_journal_that_is_dropped_takes_nothing_from_the_counters() -> None:
    journals = table()
    assert journals.traffic == Traffic()
    for key in ("a", "b"):
        journal = journals.open(key, None)
        assert journal is not None
        for _ in range(5):
            journal.post(b"{}")
        journal.gaps += 1
        assert journals.unsent == 5
        journals.drop(journal)
        journals.drop(journal)
    assert journals.traffic == Traffic(messages=10, evicted=4, gaps=2)
    assert journals.unsent == 0


@settings(deadline=None, database=None)
@given(st.lists(st.integers(1, 40) | st.none(), max_size=60))
def test_a_mailbox_counts_what_was_put_in_and_no_number_that_it_was_told_to_skip(steps: list[int | None]) -> None:
    mailbox, put_in = Mailbox(max_messages=4), 0
    for step in steps:
        if step is None:
            mailbox.append(b"{}")
            put_in += 1
        else:
            mailbox.jump(step)
    assert mailbox.head - mailbox.skipped == put_in
    assert put_in == mailbox.evicted + len(mailbox)
