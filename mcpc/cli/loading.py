"""`app.py:server` and `package.module:server`: from a name on the command line to a server object."""

import importlib
import importlib.util
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import mcpc
from mcpc.cli.mistakes import UserMistake
from mcpc.logs import logger_of

__all__ = ["load_server"]

logger: logging.Logger = logger_of(__name__)


def load_server(target: str) -> Any:
    """The server that `target` names.

    Raises:
        UserMistake: there is no such file, module or name, or it cannot be imported, or it is not a server.
    """
    place, _, name = target.rpartition(":")
    if not place:
        place, name = name, ""
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    found = _attribute(module, place, name) if name else _only_server(module, place)
    if not mcpc.is_server(found):
        raise UserMistake(f"{target} is a {type(found).__name__}, not a server; {_servers_of(module, place)}")
    return found


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserMistake(f"there is no file {str(path)!r}")
    path = path.resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Known before it runs, as with an ordinary import: dataclasses and pickling look their module up by name.
    sys.modules[spec.name] = module
    _guarded(str(path), lambda: spec.loader.exec_module(module) if spec.loader is not None else None)
    return module


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    if "/" in name or "\\" in name:
        raise UserMistake(f"{name!r} is neither a .py file nor a module: write app.py:server or package.module:server")
    missing = _guarded(name, lambda: importlib.import_module(name))
    if missing is not None:
        hint = f"; did you mean {name}.py?" if Path(f"{name}.py").is_file() else ""
        raise UserMistake(f"there is no module {missing!r}{hint}")
    return sys.modules[name]


def _guarded(what: str, load: Callable[[], object]) -> str | None:
    """Import something that may fail in any way. Gives the name of the module where it is that that is not there."""
    try:
        load()
    except ModuleNotFoundError as exc:
        if exc.name is not None and (what == exc.name or what.startswith(f"{exc.name}.")):
            return exc.name
        raise _failed(what, exc) from exc
    except (Exception, SystemExit) as exc:
        raise _failed(what, exc) from exc
    return None


def _failed(what: str, exc: BaseException) -> UserMistake:
    logger.debug("importing %s failed", what, exc_info=exc)
    frames = traceback.extract_tb(exc.__traceback__)
    where = "" if isinstance(exc, SyntaxError) else f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    return UserMistake(f"{what} cannot be imported: {type(exc).__name__}: {exc}{where}; --verbose shows the traceback")


def _servers_in(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if not name.startswith("_") and mcpc.is_server(value)]


def _servers_of(module: ModuleType, place: str) -> str:
    names = _servers_in(module)
    if not names:
        return f"{place} has no server: an MCPServer, a lowlevel Server or a FastMCP"
    return f"{place} has: {', '.join(names)}"


def _attribute(module: ModuleType, place: str, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UserMistake(f"{place} has no {name!r}; {_servers_of(module, place)}")
        found = getattr(found, part)
    return found


def _only_server(module: ModuleType, place: str) -> Any:
    names = _servers_in(module)
    if len(names) != 1:
        which = f"say which server: {place}:NAME; " if names else ""
        raise UserMistake(which + _servers_of(module, place))
    return getattr(module, names[0])
