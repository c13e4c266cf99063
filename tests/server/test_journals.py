"""The journals of a server: whose they are, how many there may be, and which one goes."""

import pytest

import mcpc
from mcpc.errors import MCPCError
from mcpc.server.journals import MIN_LOOK, JournalTable
from mcpc.server.limits import Limits


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def table(time: Time, max_channels: int = 2, channel_ttl: float = 10.0) -> JournalTable:
    return JournalTable(Limits(max_channels=max_channels, channel_ttl=channel_ttl), time, lambda key: [{"of": key}])


def test_a_key_opens_its_own_journal_and_another_principal_gets_none() -> None:
    journals = table(Time())
    first = journals.open("k", "alice")
    assert first is not None
    assert journals.open("k", "alice") is first
    assert journals.open("k", "bob") is None
    assert journals.find("k", "bob") is None
    assert journals.find("k", "alice") is first
    assert journals.find("other", "alice") is None
    assert first.describe_tasks() == [{"of": "k"}]


def test_at_the_bound_the_one_that_is_idle_for_longest_makes_room() -> None:
    time = Time()
    journals = table(time)
    for now, key in enumerate(("a", "b", "a", "c")):
        time.now = now
        journals.open(key, None)
    assert sorted(journal.key for journal in journals) == ["a", "c"]


def test_where_none_is_idle_a_new_client_is_refused_and_the_others_stay() -> None:
    journals = table(Time())
    for key in ("a", "b"):
        journal = journals.open(key, None)
        assert journal is not None
        journal.running = 1
    with pytest.raises(mcpc.MCPCError, match="2 channels are open"):
        journals.open("c", None)
    assert len(journals) == 2


def test_a_journal_that_was_idle_for_too_long_is_forgotten_and_not_a_moment_before() -> None:
    time = Time()
    journals = table(time)
    busy = journals.open("busy", None)
    assert busy is not None
    busy.running = 1
    journals.open("idle", None)
    time.now = 9.9
    journals.expire()
    assert len(journals) == 2
    time.now = 10.0
    journals.expire()
    assert [journal.key for journal in journals] == ["busy"]


def test_last_messages_whose_time_is_over_go_from_journals_that_stay() -> None:
    time = Time()
    journals = table(time)
    journal = journals.open("k", None)
    assert journal is not None
    journal.running = 1
    journal.mailbox.max_messages = 1
    journal.post(b"1", expires_at=5.0)
    journal.post(b"2")
    journals.expire()
    assert journal.mailbox.kept == 1
    time.now = 5.0
    journals.expire()
    assert journal.mailbox.kept == 0


def test_a_new_key_does_not_push_out_what_another_client_is_still_to_read() -> None:
    time = Time()
    channels = table(time, channel_ttl=60.0)
    unread, read = channels.open("unread", None), channels.open("read", None)
    assert unread is not None
    assert read is not None
    unread.post(b"{}")
    time.now += 1.0
    channels.open("read", None)  # used later, so it is not the one idle for longest
    assert channels.open("new", None) is not None
    assert channels.find("unread", None) is unread
    assert channels.find("read", None) is None


def test_where_each_holds_something_unread_a_new_client_is_refused_until_one_has_expired() -> None:
    time = Time()
    channels = table(time, channel_ttl=60.0)
    for key in ("a", "b"):
        journal = channels.open(key, None)
        assert journal is not None
        journal.post(b"{}")
    with pytest.raises(MCPCError, match="2 channels are open, which is the limit"):
        channels.open("c", None)
    time.now += 60.0
    assert channels.open("c", None) is not None


def test_to_open_many_does_not_look_at_all_of_them_again_and_again() -> None:
    class Counted(JournalTable):
        looked = 0

        def expire(self) -> None:
            self.looked += len(self)
            super().expire()

    count = 2000
    journals = Counted(Limits(), Time(), lambda key: [])
    for number in range(count):
        journals.open(f"{number}", None, client=number)
    assert len(journals) == count
    assert 0 < journals.looked <= count


def test_those_that_were_idle_for_too_long_are_forgotten_though_the_bound_is_far() -> None:
    time = Time()
    journals = table(time, max_channels=10_000)
    for number in range(300):
        time.now += 1.0  # ten of them are young enough at a time
        journals.open(f"{number}", None, client=number)
    assert len(journals) <= 2 * MIN_LOOK
