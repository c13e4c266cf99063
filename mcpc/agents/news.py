"""What a model is told in one turn."""

from dataclasses import dataclass

from mcpc.agents.digest import Digest
from mcpc.agents.items import Item
from mcpc.messages import Prompt

__all__ = ["News"]


@dataclass(frozen=True)
class News:
    """What a model is told in one turn. `str()` gives the text."""

    text: str
    questions: tuple[Prompt, ...]
    """The questions in it that wait for an answer."""
    ended: tuple[str, ...]
    """The ids of the tasks whose end is in it."""
    left_out: int
    """Updates and events that came and are not in the text; the text says so too."""
    items: tuple[Item, ...] = ()
    """What stands in it, line by line."""

    @classmethod
    def of(cls, made: Digest) -> "News":
        """The news that a digest tells."""
        return cls(
            text=made.text,
            questions=tuple(item.prompt for item in made.told if item.prompt is not None),
            ended=tuple(item.task_id for item in made.told if item.kind == "end" and item.task_id is not None),
            left_out=made.left_out,
            items=made.told,
        )

    def __str__(self) -> str:
        return self.text
