"""What a caller gives by name, and is refused where there is no such name: with the one that was likely meant.

Options are `Unpack[TypedDict]` in the signatures of this library, so an editor sees a
misspelt one; this is for those who have no such editor. It knows no option.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from mcpc.errors import UnknownOption

__all__ = ["refuse_unknown"]


def refuse_unknown(
    what: str,
    known: Iterable[str],
    given: Iterable[str],
    error: type[TypeError] = UnknownOption,
    *,
    others: Iterable[str] = (),
) -> None:
    """Refuse names that are not among the known ones.

    Args:
        what: Who is given them.
        known: The names that there are.
        given: The names that are used.
        error: What is raised; for what has no address, a plain `TypeError`.
        others: Names that the caller takes besides, one of which may have been meant.

    Raises:
        TypeError: one or more are unknown.
    """
    known = list(known)
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    likely = [match for name in unknown for match in get_close_matches(name, [*known, *sorted(others)], n=1)]
    meant = f" (did you mean {', '.join(map(repr, likely))}?)" if likely else ""
    names = ", ".join(map(repr, unknown))
    raise error(f"{what} does not take {names}; it takes: {', '.join(known) or 'no options'}{meant}")
