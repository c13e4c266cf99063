"""Something bounded: how much one may take alone, how much beside others, and what is left for a newcomer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpc.shares import Shares


def fill(shares: Shares, *holders: str) -> int:
    """Take one by one until refused; how many there were."""
    count = 0
    while shares.refusal(holders) is None:
        shares.take(holders)
        count += 1
    return count


def test_one_alone_has_its_share_and_the_rest_is_for_others() -> None:
    shares = Shares(1000, 0.9)
    assert fill(shares, "greedy") == 900
    assert shares.refusal(["greedy"]) == "share"
    assert shares.refusal(["other"]) is None


def test_where_two_are_greedy_a_newcomer_still_finds_room() -> None:
    shares = Shares(1000, 0.9)
    assert [fill(shares, "greedy"), fill(shares, "greedy too")] == [900, 90]
    assert shares.refusal(["greedy"]) == "share"
    assert shares.refusal(["newcomer"]) is None


@pytest.mark.parametrize("limit", range(1, 10))
def test_of_few_one_may_have_all(limit: int) -> None:
    assert fill(Shares(limit, 0.9), "one") == limit


def test_a_share_of_one_bounds_nobody_but_all() -> None:
    shares = Shares(50, 1.0)
    assert fill(shares, "greedy") == 50
    assert shares.refusal(["greedy"]) == "all"
    assert shares.refusal(["other"]) == "all"


def test_many_names_over_one_connection_leave_some_too() -> None:
    shares = Shares(1000, 0.9)
    for number in range(1000):
        fill(shares, f"made up {number}", "connection")
    assert shares.held("connection") <= 960
    assert shares.refusal(["made up", "connection"]) == "share"
    assert shares.refusal(["another", "other connection"]) is None


def test_a_fixed_bound_holds_at_it_and_not_one_past_it() -> None:
    shares = Shares(100, 1.0, most=3)
    assert fill(shares, "one") == 3
    assert shares.refusal(["one"]) == "most"
    assert fill(shares, "other") == 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), max_size=60), st.integers(1, 500))
def test_what_is_given_back_is_free_again_and_nothing_else(wishes: list[tuple[str, int]], limit: int) -> None:
    shares = Shares(limit, 0.8)
    taken: list[tuple[str, int]] = []
    for holder, size in wishes:
        if shares.refusal([holder], size) is None:
            shares.take([holder], size)
            taken.append((holder, size))
        assert shares.taken == sum(size for _, size in taken) <= limit
        assert all(shares.held(name) == sum(size for who, size in taken if who == name) for name in "abc")
    for holder, size in taken:
        shares.give_back([holder], size)
    assert shares.taken == 0
    assert not any(shares.held(name) for name in "abc")
