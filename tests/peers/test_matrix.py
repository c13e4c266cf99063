"""Clients and frameworks that people have today meet our server: what `docs/ecosystem.md` shows is what they see.

Those that need an environment of their own are tried by `make peers`.
"""

from collections.abc import Iterator

import pytest

from matrix_kit import COLUMNS, PAGE, PEERS, Peer, rows_of, serving_matrix
from peers_kit import ONLY_BY_MAKE_PEERS


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    """Where the server is that all of them meet."""
    with serving_matrix() as address:
        yield address


PARAMETERS = [pytest.param(peer, id=peer.name, marks=[] if peer.is_here else [ONLY_BY_MAKE_PEERS]) for peer in PEERS]


@pytest.mark.parametrize("peer", PARAMETERS)
def test_a_client_sees_of_background_tools_what_the_table_shows(peer: Peer, uri: str) -> None:
    tried, *shown = rows_of(PAGE.read_text(encoding="utf-8"))[peer.name]
    assert tried == f"{peer.package} {peer.version}", "write the table anew: make ecosystem"
    seen = peer.run(uri)
    assert dict(zip(COLUMNS, shown, strict=True)) == {name: "yes" if seen[name] else "no" for name in COLUMNS}


def test_the_table_has_a_row_for_each_client_and_nothing_else() -> None:
    rows = rows_of(PAGE.read_text(encoding="utf-8"))
    assert list(rows) == [peer.name for peer in PEERS]
    for tried, *shown in rows.values():
        assert tried
        assert len(shown) == len(COLUMNS)
        assert set(shown) <= {"yes", "no"}


def test_every_client_has_the_result_and_the_failure_and_can_live_with_a_task_by_the_companion_tools() -> None:
    for name, (_, *shown) in rows_of(PAGE.read_text(encoding="utf-8")).items():
        seen = dict(zip(COLUMNS, shown, strict=True))
        assert (seen["result"], seen["failure"], seen["companions"]) == ("yes", "yes", "yes"), name
