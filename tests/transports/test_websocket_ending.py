"""How a connection ends, whatever happens to it and in whatever order: what users are told follows from the state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, TransportError
from mcpc_transports.websocket.ending import TRANSITIONS, EndEvent, Ending, EndState

CLOSED = (EndState.CLOSING, EndState.CLOSED)
OVER = (EndState.ENDED, EndState.GONE)


def happens(ending: Ending, event: EndEvent, number: int) -> None:
    match event:
        case EndEvent.TEAR:
            ending.tear(f"torn {number}")
        case EndEvent.END:
            ending.end(ChannelEnded if number % 2 else ChannelBroken, f"ended {number}")
        case EndEvent.CLOSE:
            was_closed = ending.is_closed
            assert ending.close() is not was_closed
        case EndEvent.SHUT:
            ending.shut()


def told(ending: Ending, ask: str) -> TransportError | None:
    try:
        getattr(ending, ask)()
    except TransportError as exc:
        return exc
    return None


def check(ending: Ending, ended: str | None, torn: str | None) -> None:
    """What users are told, given the first end and the last tear."""
    sending, receiving = told(ending, "check_sendable"), told(ending, "check_receivable")
    if ending.state in CLOSED:
        assert isinstance(sending, ChannelClosed)
        assert isinstance(receiving, ChannelClosed)
    elif ending.state in OVER:
        assert isinstance(sending, ChannelBroken)
        assert str(sending) == str(receiving) == ended
    else:
        assert receiving is None
        assert (str(sending) if sending else None) == torn
        assert (ending.state is EndState.MUTE) is (torn is not None)
    assert ending.is_heard is (ending.state not in (*CLOSED, *OVER))
    assert ending.is_mute is (torn is not None)


@given(st.lists(st.sampled_from(EndEvent), max_size=12))
def test_whatever_happens_the_state_is_the_tables_and_the_first_reason_is_kept(events: list[EndEvent]) -> None:
    ending, state = Ending(), EndState.OPEN
    ended: str | None = None
    torn: str | None = None
    for number, event in enumerate(events):
        if event not in TRANSITIONS[state]:
            with pytest.raises(RuntimeError, match="cannot happen"):
                happens(ending, event, number)
        else:
            happens(ending, event, number)
            state = TRANSITIONS[state][event]
            torn = f"torn {number}" if event is EndEvent.TEAR else torn
            ended = ended or (f"ended {number}" if event is EndEvent.END else None)
        assert ending.state is state
        check(ending, ended, torn)


def test_nothing_opens_what_has_ended() -> None:
    for state in EndState:
        assert state is EndState.OPEN or EndState.OPEN not in TRANSITIONS[state].values()


def test_a_connection_that_is_open_is_never_shut_behind_its_users_back() -> None:
    for state in (EndState.OPEN, EndState.MUTE):
        assert EndEvent.SHUT not in TRANSITIONS[state]
