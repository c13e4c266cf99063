"""Clients and frameworks that people have today meet our server: what `docs/ecosystem.md` shows is what they see.

Those that need an environment of their own are tried by `make peers`. `make ecosystem` writes the table of what it saw.
"""

from collections.abc import Iterator

import pytest

from matrix_kit import COLUMNS, PAGE, PEERS, Peer, Seen, page_with, rows_of, serving_matrix, table_of
from peers_kit import ONLY_BY_MAKE_PEERS, WRITES

OF_TASKS = {"FastMCP's tasks", "the tasks extension's client"}
"""Clients with handles of their own."""

WITHOUT_HANDLER = {"openai-agents", "LlamaIndex"}
"""Clients that take no handler for questions; their programs would fail if there came to be one."""


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    """Where the server is that all of them meet."""
    with serving_matrix() as address:
        yield address


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[Peer, Seen]]:
    """What everybody saw; the table of it is written where that is wanted."""
    found: dict[Peer, Seen] = {}
    yield found
    if WRITES:
        assert list(found) == list(PEERS), "the table is written of a run of all"
        PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), table_of(found)), encoding="utf-8")


def page_rows() -> dict[str, list[str]]:
    """The table of the page."""
    return rows_of(PAGE.read_text(encoding="utf-8"))


PARAMETERS = [pytest.param(peer, id=peer.name, marks=[] if peer.is_here else [ONLY_BY_MAKE_PEERS]) for peer in PEERS]


@pytest.mark.parametrize("peer", PARAMETERS)
def test_a_client_sees_of_background_tools_what_the_table_shows(peer: Peer, uri: str, seen: dict[Peer, Seen]) -> None:
    seen[peer] = peer.run(uri)
    if WRITES:
        return
    tried, *shown = page_rows()[peer.name]
    assert tried == f"{peer.package} {peer.version}", "write the table anew: make ecosystem"
    assert dict(zip(COLUMNS, shown, strict=True)) == seen[peer], "is that as it should be? then: make ecosystem"


@pytest.mark.skipif(WRITES, reason="the table is not written yet")
class TestTheTable:
    def test_it_has_a_row_for_each_client_and_nothing_else(self) -> None:
        assert list(page_rows()) == [peer.name for peer in PEERS]
        for tried, *shown in page_rows().values():
            assert tried
            assert len(shown) == len(COLUMNS)
            assert set(shown) <= {"yes", "no", "the newest", "its own handle"}

    def test_every_client_has_the_result_and_the_failure_and_can_live_with_a_task(self) -> None:
        for name, (_, *shown) in page_rows().items():
            told = dict(zip(COLUMNS, shown, strict=True))
            living = "its own handle" if name in OF_TASKS else "yes"
            assert (told["result"], told["failure"], told["companions"]) == ("yes", "yes", living), name

    def test_every_client_is_asked_that_takes_a_handler_for_questions(self) -> None:
        for name, (_, *shown) in page_rows().items():
            told = dict(zip(COLUMNS, shown, strict=True))
            assert told["question"] == ("no" if name in WITHOUT_HANDLER else "yes"), name
