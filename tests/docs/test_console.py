"""The terminal sessions that the documents show are what happens."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from console_kit import Story, screen_of, warm
from docs_kit import blocks, pages_with, saved_files

MEASURED = "docs/performance.md"
"""Its commands take an hour."""


@pytest.mark.timeout(600)  # a page is dozens of commands
@pytest.mark.parametrize("page", [page for page in pages_with("console") if page != MEASURED])
def test_the_sessions_of_a_page_are_what_happens(page: str, tmp_path: Path) -> None:
    saved_files(page, tmp_path)
    with warm(tmp_path) as started, ExitStack() as stack:
        story = Story(started, tmp_path, stack)
        for block in blocks(page, "json"):
            story.save(block)
        for block in blocks(page, "console"):
            story.run(block)


def test_the_screen_shows_what_a_terminal_would() -> None:
    assert screen_of("one\r\ntwo\r\n") == ["one", "two", ""]
    assert screen_of("10%\r\x1b[2K20%\r\n\x1b[1A\x1b[2Kdone") == ["done", ""]
    assert screen_of("abcdef", width=4) == ["abcd", "ef"]
    assert screen_of("\x1b[?25l\x1b[1;32mgreen\x1b[0m\x08!") == ["gree!"]
    with pytest.raises(AssertionError, match="does not know"):
        screen_of("\x1b[2J")
