"""The pages of the documents, and their fenced blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FENCE", "PAGES", "ROOT", "Block", "blocks", "pages_with", "saved_files"]

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (*sorted(ROOT.glob("*.md")), ROOT / "transports" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}

FENCE = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```([\w+-]*)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    """The number of its first line, below the fence."""
    language: str
    words: tuple[str, ...]
    code: str
    notes: tuple[str, ...] = ()
    """The comments right above it, which readers do not see."""

    @property
    def file(self) -> str | None:
        """The name it is saved under."""
        return next((word for word in self.words if word.endswith((".py", ".json"))), None)


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page, or those of some languages."""
    text = PAGES[page].read_text(encoding="utf-8")
    found = [
        Block(
            text.count("\n", 0, match.start(2)) + 2,
            match[2],
            tuple(match[3].split()),
            match[4],
            tuple(re.findall(r"<!-- (.*?) -->", match[1])),
        )
        for match in FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def pages_with(*languages: str) -> list[str]:
    """The pages that have a block of one of these languages."""
    return [page for page in PAGES if blocks(page, *languages)]


def saved_files(page: str, directory: Path) -> None:
    """Save the blocks that have a name."""
    for block in blocks(page, "python"):
        if block.file is not None:
            (directory / block.file).write_text(block.code, encoding="utf-8")
