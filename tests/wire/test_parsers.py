"""Parsers of what peers send: a value or a documented error, whatever comes. A slice of `tests/soak/fuzz.py`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers_kit import PARSERS, chunked


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_gives_a_value_or_a_documented_error(name: str) -> None:
    parser, seeds = PARSERS[name]

    @settings(max_examples=150, derandomize=True, database=None, deadline=None)
    @given(chunked(seeds) | st.lists(st.binary(max_size=40), max_size=4))
    def attempt(chunks: list[bytes]) -> None:
        parser(chunks)

    attempt()
