"""The house rules that a program can check: which room may know which, and what each one shows."""

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator

import pytest

import mcpc
from house_kit import MODULES, ROOT, imports_of, internal, tree_of
from mcpc.uri import schemes

LAYERS: list[set[str]] = [
    {"latch", "logs"},
    {
        "clock",
        "ending",
        "errors",
        "detached",
        "foreign",
        "sdk",
        "slots",
        "machine",
        "garbage",
        "groups",
        "listener_states",
        "later",
        "responses",
        "shares",
    },
    {"messages", "flow", "keywords", "options"},
    {"wire", "queue", "matching"},
    {"pending", "tasks", "mailbox", "dispatcher", "transport", "routing", "registry", "stored"},
    {"store"},
    {"taps"},
    {"frame_streams"},
    {"framing", "uri", "pair", "mount"},
    {"config", "store_uri"},
    {"bridge", "server", "testing"},
    {"client"},
    {"agents", "experimental", "gateway"},
    {""},
    {"cli"},
    {"__main__", "pytest_plugin"},
]
"""The rooms of the core from the ground up: one imports only from floors below its own. `""` is the package itself."""

ADAPTERS_MAY_USE = {
    "mcpc_transports": {
        "logs",
        "clock",
        "errors",
        "transport",
        "routing",
        "sdk",
        "framing",
        "taps",
        "pair",
        "wire",
        "detached",
        "groups",
        "machine",
        "mount",
        "pending",
        "responses",
    },
    "mcpc_stores": {"logs", "errors", "transport", "store", "stored"},
}

PUBLIC_ROOMS = {"", "config", "logs", "errors", "messages", "transport", "uri", "later"}
"""What a user of the library may know."""

SHARED = {
    "lines": {"polled"},
    "memory": {"examples", "refusals"},
    "sqlite": {"refusals"},
    "redis": {"refusals"},
    "stdio": {"examples", "lines", "polled"},
    "sockets": {"accepting", "addresses", "examples", "lines", "polled"},
    "websocket": {"accepting", "addresses", "examples", "proxies", "sockets", "polled", "tokens"},
    "http": {"accepting", "addresses", "examples", "proxies", "sockets", "tokens"},
    "proxies": {"addresses"},
}
"""The adapters' families that build on others, and on which."""

WITHOUT_IO = {"errors", "machine", "messages", "wire", "tasks", "mailbox", "routing", "stored"}
"""Rooms that do no I/O and have no clock."""

OUTSIDE_WORLD = {"socket", "ssl", "subprocess", "websockets", "httpx2", "starlette", "uvicorn"}
"""What only adapters deal with."""

OPTIONAL = {"trio", "fastmcp", "uvloop", "pytest", "socksio"}
"""What a user may have left out: never imported with the library."""

LOADED_BY = {"mcpc.pytest_plugin": "pytest"}
"""What is imported by one of these alone, which is there then."""


CORE = [name for name in MODULES if name.partition(".")[0] == "mcpc"]
ADAPTERS = [name for name in MODULES if name.partition(".")[0] in ADAPTERS_MAY_USE]


def room(module: str) -> str:
    """The room of the core that a module belongs to: `mcpc.server.channel` is in `server`."""
    return module.partition(".")[2].partition(".")[0]


family = room
"""The family that a module of the adapters belongs to: `mcpc_transports.http.edge` is in `http`."""


def floor(module: str) -> int:
    """The floor that a module of the core is on."""
    for number, rooms in enumerate(LAYERS):
        if room(module) in rooms:
            return number
    raise AssertionError(f"{module} has no place in the architecture: give it one in LAYERS")


def test_the_picture_of_the_house_is_the_house() -> None:
    """CONTRIBUTING.md shows the floors, the highest first."""
    words = {"": "mcpc", "__main__": "python -m mcpc"}
    rows = [sorted(filter(None, (words.get(one, one) for one in rooms))) for rooms in reversed(LAYERS)]
    picture = "\n".join(("```text", *("   ".join(row).center(72).rstrip() for row in rows), "```"))
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- house -->\n")[2].partition("\n<!-- /house -->")[0]
    assert shown == picture, f"the floors have changed; the picture is now\n{picture}"


# --- who may know whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", CORE)
def test_arrows_run_down_only(module: str) -> None:
    upward = [
        str(found)
        for found in internal(module)
        if room(found.target) != room(module) and floor(found.target) >= floor(module)
    ]
    assert upward == []


@pytest.mark.parametrize("module", CORE)
def test_the_core_never_imports_an_adapter(module: str) -> None:
    assert [str(found) for found in internal(module) if found.target.partition(".")[0] in ADAPTERS_MAY_USE] == []


@pytest.mark.parametrize("module", [name for name in CORE if room(name) == "cli"])
def test_the_command_line_is_a_user_of_the_public_api_like_any_other(module: str) -> None:
    beyond: list[str] = []
    for found in internal(module):
        if room(found.target) == "cli" or (room(found.target) in PUBLIC_ROOMS and found.name is None):
            continue
        if room(found.target) not in PUBLIC_ROOMS or found.name not in shown_by(found.target):
            beyond.append(str(found))
    assert beyond == []


@pytest.mark.parametrize("module", ADAPTERS)
def test_an_adapter_knows_the_contract_and_its_own_family_only(module: str) -> None:
    home = module.partition(".")[0]
    strangers: list[str] = []
    for found in internal(module):
        package = found.target.partition(".")[0]
        if package == home and family(found.target) in {family(module), *SHARED.get(family(module), ())}:
            continue
        if package != "mcpc" or room(found.target) not in ADAPTERS_MAY_USE[home]:
            strangers.append(str(found))
    assert strangers == []


@pytest.mark.parametrize("module", [name for name in CORE if room(name) not in ("cli", "testing", "__main__")])
def test_the_core_has_no_sockets_and_no_processes(module: str) -> None:
    used = [found for found in imports_of(module) if not found.typing_only]
    assert {found.target.partition(".")[0] for found in used} & OUTSIDE_WORLD == set()


@pytest.mark.parametrize("module", [name for name in CORE if room(name) in WITHOUT_IO - {"errors"}])
def test_what_does_no_io_imports_nothing_that_could(module: str) -> None:
    roots = {found.target.partition(".")[0] for found in imports_of(module)}
    forbidden = {"anyio", "asyncio", "trio", "time", "datetime", "threading", "logging", "os", "io"}
    if room(module) == "wire":
        forbidden.remove("datetime")  # times are read there, and no clock is
    assert roots & forbidden == set()


@pytest.mark.parametrize("module", MODULES)
def test_what_a_user_may_have_left_out_is_not_imported_with_the_library(module: str) -> None:
    eager = [
        str(found)
        for found in imports_of(module)
        if not found.inside and not found.typing_only
        if found.target.partition(".")[0] in OPTIONAL - {LOADED_BY.get(module)}
    ]
    assert eager == []


@pytest.mark.parametrize("module", MODULES)
def test_every_name_taken_from_the_sdk_is_one_that_version_2_has(module: str) -> None:
    for found in imports_of(module):
        if found.target.partition(".")[0] in ("mcp", "mcp_types"):
            source = importlib.import_module(found.target)
            assert found.name is None or hasattr(source, found.name) or f"{found}" in sys.modules, str(found)


def test_the_modules_of_sdk_version_1_are_not_named() -> None:
    gone = ("mcp.server.fastmcp", "mcp.client.websocket", "mcp.server.websocket", "mcp.shared.session", "mcp.types")
    found = [f"{module}: {f}" for module in MODULES for f in imports_of(module) if str(f).startswith(gone)]
    assert found == []


# --- what each room shows ---------------------------------------------------------------------------------------

SHOWING = [name for name in MODULES if not name.endswith("__main__") and tree_of(name).body[1:]]


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

MERE_WRAPPERS = {"asynccontextmanager", "contextmanager", "dataclass", "runtime_checkable", "final", "cache"}


def is_registered(node: Definition) -> bool:
    """Whether a decorator hands it to somebody (a command, a tool, a clause): then it is found there, not by name."""
    names = {ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in node.decorator_list}
    return bool(names - MERE_WRAPPERS)


def defined_in(module: str) -> set[str]:
    """The public functions and classes that a module defines itself."""
    found = [node for node in tree_of(module).body if isinstance(node, Definition)]
    return {node.name for node in found if not node.name.startswith("_") and not is_registered(node)}


def shown_by(module: str) -> list[str]:
    shown: object = getattr(importlib.import_module(module), "__all__", None)
    assert isinstance(shown, list), f"{module} has no __all__"
    return shown  # pyright: ignore[reportUnknownVariableType]


@pytest.mark.parametrize("module", SHOWING)
def test_every_name_in_all_exists_and_stands_there_once(module: str) -> None:
    shown = shown_by(module)
    assert [name for name in shown if not hasattr(importlib.import_module(module), name)] == []
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize("module", SHOWING)
def test_every_public_function_and_class_is_in_all(module: str) -> None:
    assert defined_in(module) - set(shown_by(module)) == set()


@pytest.mark.parametrize("module", SHOWING)
def test_all_names_nothing_private(module: str) -> None:
    assert [name for name in shown_by(module) if name.startswith("_")] == []


@pytest.mark.parametrize("module", [name for name in SHOWING if MODULES[name].name == "__init__.py"])
def test_a_package_shows_every_public_name_that_it_imports(module: str) -> None:
    taken = {
        name
        for found in internal(module)
        if not found.inside and not (name := found.name or found.target.rpartition(".")[2]).startswith("_")
    }
    assert taken - set(shown_by(module)) == set()


@pytest.mark.parametrize("module", SHOWING)
def test_everything_shown_says_what_it_is_for(module: str) -> None:
    home = importlib.import_module(module)
    assert inspect.getdoc(home), "what the room is for"
    silent = [
        name
        for name in defined_in(module)
        if name in shown_by(module) and not (getattr(home, name).__doc__ or "").strip()
    ]
    assert silent == []


def test_what_checks_answers_is_imported_with_the_first_question() -> None:
    """jsonschema takes longer to import than all the rest of ours."""
    code = "import sys, mcpc; mcpc.Client, mcpc.MCPCHelper; print('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_what_works_with_a_store_is_imported_by_servers_that_have_one() -> None:
    code = (
        "import sys, mcpc; from mcp.server import MCPServer;"
        "mcpc.MCPCHelper(MCPServer('s'){}); mcpc.Client, mcpc.serve, mcpc.Task;"
        "print(*[name for name in sys.modules if name.startswith(('mcpc.server.stored_', 'mcpc.stor'))])"
    )
    loaded = [
        subprocess.run([sys.executable, "-c", code.format(store)], capture_output=True, text=True, check=True).stdout
        for store in ("", ", store='memory:'")
    ]
    assert loaded[0] == "\n"
    assert "mcpc.server.stored_workshop" in loaded[1].split()


def test_importing_the_library_imports_no_adapter_and_no_network_library() -> None:
    """What a transport needs is loaded when its scheme is used."""
    code = "import sys, mcpc; print(*[name for name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"mcpc_transports", "mcpc_stores", "sqlite3", "websockets", "trio", "fastmcp", "typer"} == set()


def test_the_front_door_knows_where_each_name_is_at_home() -> None:
    """It has them twice: for type checkers, and for who asks at run time."""
    homes: dict[str, set[str]] = {}
    for found in imports_of("mcpc"):
        if found.typing_only and found.name is not None:
            homes.setdefault(found.target, set()).add(found.name)
    assert homes == {room: set(names) for room, names in mcpc._ROOMS.items()}  # pyright: ignore[reportPrivateUsage]
    for room, names in homes.items():
        assert [name for name in names if getattr(mcpc, name) is not getattr(importlib.import_module(room), name)] == []


def test_a_name_is_itself_also_after_the_room_of_that_name_was_entered() -> None:
    code = "import mcpc.bridge.hub, mcpc; assert callable(mcpc.bridge); assert mcpc.uri.parse_uri"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        mcpc.nosuch  # type: ignore  # noqa: B018


# --- what is not known by its name -------------------------------------------------------------------------------


def texts_of(module: str) -> Iterator[str]:
    """The texts in a module's code: no docstrings, and no texts that stand alone to explain the line above them."""
    explaining = {node.value for node in ast.walk(tree_of(module)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in explaining:
            yield node.value


@pytest.mark.parametrize("module", CORE)
def test_the_core_asks_no_transport_by_its_name(module: str) -> None:
    """What is special about a transport is a trait that it declares, so that a third party's can say it too."""
    built_in = set(schemes())
    heads = {text.partition(":")[0] for text in texts_of(module) if text.partition(":")[0] in built_in}
    assert heads == set()
