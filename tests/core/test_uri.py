"""Addresses: taken apart, printed without their secrets, and matched to who serves them."""

import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcpc
from mcpc import uri as uri_room
from mcpc.errors import MissingExtra, UnknownOption, UnknownScheme, URIError
from mcpc.registry import Registry
from mcpc.transport import URI, Endpoint, FrameChannel, Listener, Transport
from mcpc.uri import dial, listen_at, parse_uri, prepare, resolve, schemes, transport_options
from mcpc_transports.memory import MemoryTransport

SECRET = "hunter2-SECRET"


class Plain:
    """A transport that only says what it was asked."""

    def connect(
        self, uri: URI, /, *, speed: int = 5, colour: str | None = None
    ) -> AbstractAsyncContextManager[FrameChannel]:
        raise NotImplementedError((uri.reveal(), speed, colour))

    def listen(self, uri: URI, endpoint: Endpoint, /, *, backlog: int = 9) -> AbstractAsyncContextManager[Listener]:
        raise NotImplementedError((uri.reveal(), endpoint, backlog))


class NoOptions(Plain):
    """A transport without options."""

    def connect(self, uri: URI, /) -> AbstractAsyncContextManager[FrameChannel]:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise NotImplementedError(uri)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, finds or loads is gone after it."""
    monkeypatch.setattr("mcpc.uri.TRANSPORTS", new_registry())


def new_registry() -> Registry[Transport]:
    """One like the library's, in which nothing has been looked up."""
    return Registry("mcpc.transports", "transport", register="mcpc.register_transport()")


def plain() -> Any:
    """A transport as the contract asks for it: its options are keyword-only parameters."""
    return Plain()


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make it look as if packages offered these entry points, and no others."""

    def offer(*points: tuple[str, str]) -> None:
        found = tuple(EntryPoint(name, value, "mcpc.transports") for name, value in points)

        def entry_points(*, group: str) -> tuple[EntryPoint, ...]:
            return found if group == "mcpc.transports" else ()

        monkeypatch.setattr("mcpc.registry.entry_points", entry_points)

    return offer


@pytest.fixture
def import_from(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let modules be imported from a directory."""

    def prepend(directory: Path) -> None:
        monkeypatch.setattr("sys.path", [str(directory), *sys.path])

    return prepend


# --- taking apart -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory://name", URI("memory", "//name", host="name")),
        ("memory://Some/Name", URI("memory", "//Some/Name", host="Some", path="/Name")),
        ("WS://Host:80/Path", URI("ws", "//Host:80/Path", host="Host", port=80, path="/Path")),
        ("ws://host:0", URI("ws", "//host:0", host="host", port=0)),
        ("ws://host:65535/", URI("ws", "//host:65535/", host="host", port=65535, path="/")),
        ("ws://host:/x", URI("ws", "//host:/x", host="host", path="/x")),
        ("tcp://[::1]:5", URI("tcp", "//[::1]:5", host="::1", port=5)),
        ("tcp://[fe80::1%25eth0]", URI("tcp", "//[fe80::1%25eth0]", host="fe80::1%25eth0")),
        ("unix:///tmp/a%20b", URI("unix", "///tmp/a%20b", path="/tmp/a%20b")),
        ("http://h/p?q=1&r", URI("http", "//h/p?q=1&r", host="h", path="/p", query="q=1&r")),
        ("http://u@h", URI("http", "//u@h", host="h", username="u")),
        ("http://u:@h", URI("http", "//u:@h", host="h", username="u", password="")),
        ("http://u:p:q@h:1", URI("http", "//u:p:q@h:1", host="h", port=1, username="u", password="p:q")),
        ("http://a@b:c@h", URI("http", "//a@b:c@h", host="h", username="a@b", password="c")),
        ("sse+https://h", URI("sse+https", "//h", host="h")),
        ("x-1.y+z://h", URI("x-1.y+z", "//h", host="h")),
        ("stdio:", URI("stdio", "")),
        ("stdio:python 'my server.py' --flag", URI("stdio", "python 'my server.py' --flag")),
        ("stdio:C:\\server.exe", URI("stdio", "C:\\server.exe")),
        ("tcp://", URI("tcp", "//")),
    ],
)
def test_an_address_is_taken_apart(text: str, expected: URI) -> None:
    found = parse_uri(text)
    assert found == expected
    assert found.reveal() == text.replace(text.partition(":")[0], found.scheme, 1)
    assert parse_uri(found) is found
    assert parse_uri(found.reveal()) == found


@pytest.mark.parametrize(
    ("text", "authority"),
    [("ws://h:1/x", "h:1"), ("ws://h", "h"), ("ws://[::1]:1", "[::1]:1"), ("ws://u:p@[::1]", "[::1]"), ("x:y", "")],
)
def test_the_authority_can_be_dialled(text: str, authority: str) -> None:
    assert parse_uri(text).authority == authority


@pytest.mark.parametrize(
    ("text", "credentials"),
    [
        ("ws://h", None),
        ("ws://u@h", ("u", "")),
        ("ws://u:p@h", ("u", "p")),
        ("ws://u%40x:p%3A%20q@h", ("u@x", "p: q")),
        ("ws://:p@h", ("", "p")),
    ],
)
def test_credentials_come_decoded(text: str, credentials: tuple[str, str] | None) -> None:
    assert parse_uri(text).credentials == credentials


@pytest.mark.parametrize(
    "text", ["", ":", "://h", "name", "/tmp/socket", "1x://h", "a b://h", "-x:", "a/b:c", " ws://h"]
)
def test_an_address_without_a_scheme_is_refused_and_the_known_schemes_named(text: str) -> None:
    with pytest.raises(URIError, match=r"scheme.*memory") as caught:
        parse_uri(text)
    assert type(caught.value) is URIError


MALFORMED = [
    "ws://h:port",
    "ws://h:-1",
    "ws://h:65536",
    "ws://h:1:2",
    "ws://h:1_0",
    "ws://h:+5",
    "ws://h:٣",
    "ws://[::1",
    "ws://::1]:5",
    "ws://a b",
    "ws://a\tb",
    "ws://a\nb",
    "ws://a\x00b",
    "ws://h/a path",
    "ws://h/#part",
]


@pytest.mark.parametrize("text", MALFORMED, ids=repr)
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(URIError, match="ws: address"):
        parse_uri(text)


def test_junk_behind_the_brackets_is_refused() -> None:
    with pytest.raises(URIError):
        parse_uri("ws://[::1]junk:80/")


@pytest.mark.parametrize("text", ["é://h", "wsé://h", "ws٣://h"])
def test_a_scheme_is_ascii(text: str) -> None:
    with pytest.raises(URIError):
        parse_uri(text)


@pytest.mark.parametrize("wrong", [None, 5, b"ws://h", Path("/tmp/socket")])
def test_what_is_no_text_is_refused_with_an_error_of_ours(wrong: Any) -> None:
    with pytest.raises(URIError):
        parse_uri(wrong)


@settings(max_examples=150, deadline=None, database=None)
@given(st.text(max_size=30) | st.text("ws:/@[]?#.%0 9-", max_size=20).map("ws://".__add__))
def test_any_text_is_an_address_or_refused_with_a_uri_error(text: str) -> None:
    try:
        found = parse_uri(text)
    except URIError:
        return
    assert found.reveal().lower() == text.lower()
    assert str(found)


# --- secrets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"ws://user:{SECRET}@host:1/path", "ws://user:***@host:1/path"),
        (f"ws://user:{SECRET}@[::1]:1/", "ws://user:***@[::1]:1/"),
        (f"ws://:{SECRET}@host", "ws://:***@host"),
        (f"ws://u:{SECRET}@x@host", "ws://u:***@host"),
        (f"ws://host/path?token={SECRET}", "ws://host/path?…"),
        (f"ws://host?{SECRET}", "ws://host?…"),
        ("ws://user@host", "ws://user@host"),
        (f"stdio:python server.py --token={SECRET}", "stdio:python …"),
        ("stdio:server", "stdio:server"),
        ("stdio:", "stdio:"),
        ("unix:///tmp/x", "unix:///tmp/x"),
    ],
)
def test_an_address_is_printed_without_its_secrets(text: str, shown: str) -> None:
    found = parse_uri(text)
    assert str(found) == shown
    assert SECRET not in repr(found)
    assert f"{found}" == f"{found!s}" == shown
    assert found.reveal() == text


secrets = st.text("abc123:@%-._~!$&'()*+,;=", max_size=12).map(lambda more: SECRET + more)


@settings(max_examples=100, deadline=None, database=None)
@given(secrets, secrets, st.booleans())
def test_no_password_or_query_shows_whatever_is_in_it(password: str, query: str, with_user: bool) -> None:
    found = parse_uri(f"tcp://{'user' if with_user else ''}:{password}@host:5/path?{query}")
    assert SECRET not in f"{found} {found!r}"
    assert (found.host, found.port, found.query) == ("host", 5, query)
    assert (found.password or "").startswith(SECRET)


@pytest.mark.parametrize("uri", [f"http:user:{SECRET}@host/path", f"ws:host?token={SECRET}"])
def test_a_secret_does_not_show_though_the_slashes_were_forgotten(uri: str) -> None:
    assert SECRET not in f"{parse_uri(uri)} {mcpc.connect(uri)!r}"


@pytest.mark.parametrize(
    "use",
    [
        lambda: parse_uri(f"ws://user:{SECRET}@host:port/"),
        lambda: parse_uri(f"ws://user:{SECRET}@[::1/"),
        lambda: parse_uri(f"ws://user:{SECRET} x@host/"),
        lambda: parse_uri(f"//user:{SECRET}@host/"),
        lambda: parse_uri(f"ws://user:{SECRET}@host:99999/"),
        lambda: parse_uri(f"ws://host/#{SECRET}"),
        lambda: dial(f"nosuch://user:{SECRET}@host?{SECRET}"),
        lambda: dial(f"memory://user:{SECRET}@host?{SECRET}", unknown=SECRET),
        lambda: mcpc.connect(f"memory://user:{SECRET}@host", unknown=SECRET),  # pyright: ignore
    ],
)
def test_no_error_shows_a_secret(use: Callable[[], Any]) -> None:
    with pytest.raises(URIError) as caught:
        use()
    shown = "".join(traceback.format_exception_only(caught.value))
    assert SECRET not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_connection_is_printed_without_secrets() -> None:
    assert SECRET not in repr(mcpc.connect(f"memory://user:{SECRET}@host?{SECRET}"))


# --- who serves a scheme ----------------------------------------------------------------------------------------


def test_the_built_in_schemes_are_there() -> None:
    expected = {"memory", "stdio", "unix", "tcp", "ws", "wss", "http", "https", "sse+http", "sse+https"}
    assert expected <= set(schemes())
    assert schemes() == sorted(schemes())
    assert isinstance(resolve("memory"), MemoryTransport)
    assert resolve("MEMORY") is resolve("memory"), "loaded once: listeners and clients meet there"


@pytest.mark.parametrize("scheme", sorted(schemes()))
def test_every_built_in_transport_can_be_loaded_and_has_options_by_keyword_only(scheme: str) -> None:
    transport = resolve(scheme)
    for method in ("connect", "listen"):
        assert "max_message_size" in transport_options(transport, method)


def test_an_unknown_scheme_names_the_known_ones_and_what_to_do(install: Install) -> None:
    install(("one", "a:b"), ("two", "c:d"))
    mcpc.register_transport("three", plain())
    with pytest.raises(UnknownScheme) as caught:
        resolve("nats")
    for part in ("'nats'", "one, three, two", "mcpc.transports", "register_transport"):
        assert part in str(caught.value)


def test_where_nothing_is_installed_the_error_says_so(install: Install) -> None:
    install()
    with pytest.raises(UnknownScheme, match="known: none"):
        resolve("ws")


def test_a_transport_is_loaded_only_when_it_is_used(
    install: Install, tmp_path: Path, import_from: Callable[[Path], None]
) -> None:
    (tmp_path / "lazy_transport.py").write_text("loaded = []\nclass Lazy:\n    def __init__(self): loaded.append(1)\n")
    import_from(tmp_path)
    install(("lazy", "lazy_transport:Lazy"), ("broken", "no_such_module:Broken"))
    assert schemes() == ["broken", "lazy"]
    first = resolve("lazy")
    assert resolve("lazy") is first
    import lazy_transport  # pyright: ignore[reportMissingImports]

    assert lazy_transport.loaded == [1]  # pyright: ignore[reportUnknownMemberType]


def test_an_entry_point_may_name_an_instance(
    install: Install, tmp_path: Path, import_from: Callable[[Path], None]
) -> None:
    (tmp_path / "instance_transport.py").write_text("class Made:\n    name = 'made'\nmade = Made()\n")
    import_from(tmp_path)
    install(("made", "instance_transport:made"))
    assert getattr(resolve("made"), "name", None) == "made"


def test_a_missing_package_is_named(install: Install, tmp_path: Path, import_from: Callable[[Path], None]) -> None:
    (tmp_path / "needy_transport.py").write_text("from no_such_package_at_all.deep import thing\n")
    import_from(tmp_path)
    install(("needy", "needy_transport:Needy"))
    with pytest.raises(MissingExtra) as caught:
        dial("needy://host")
    assert "pip install no_such_package_at_all" in str(caught.value)
    assert "'needy'" in str(caught.value)
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize(
    "code",
    ["class Other: ...", "class Broken:\n    def __init__(self, needed): ...", "1 / 0", "class Broken("],
    ids=["no such name", "needs arguments", "raises", "syntax"],
)
def test_a_broken_adapter_gives_an_error_of_ours(
    code: str, install: Install, tmp_path: Path, import_from: Callable[[Path], None]
) -> None:
    name = f"broken_transport_{len(code)}"
    (tmp_path / f"{name}.py").write_text(code)
    import_from(tmp_path)
    install(("broken", f"{name}:Broken"))
    with pytest.raises(URIError, match="broken"):
        resolve("broken")


def test_a_scheme_that_two_packages_offer_is_not_taken_over_in_silence(
    install: Install, tmp_path: Path, import_from: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rival_transport.py").write_text("class Rival: ...\n")
    import_from(tmp_path)
    install(("memory", "mcpc_transports.memory:MemoryTransport"), ("memory", "rival_transport:Rival"))
    assert isinstance(resolve("memory"), MemoryTransport), "the first found stays"
    assert "memory" in caplog.text


# --- registering ------------------------------------------------------------------------------------------------


def test_a_registered_transport_is_used_and_its_scheme_known() -> None:
    transport = plain()
    mcpc.register_transport("Plain", transport)
    assert resolve("plain") is transport
    assert "plain" in schemes()


def test_nothing_is_overwritten_in_silence() -> None:
    first, second = plain(), plain()
    mcpc.register_transport("plain", first)
    with pytest.raises(URIError, match=r"'plain' is taken.*replace=True"):
        mcpc.register_transport("PLAIN", second)
    with pytest.raises(URIError, match="'memory' is taken"):
        mcpc.register_transport("memory", second)
    assert resolve("plain") is first
    assert isinstance(resolve("memory"), MemoryTransport)


def test_a_transport_can_be_replaced_on_purpose_though_it_was_in_use() -> None:
    assert isinstance(resolve("memory"), MemoryTransport)
    transport = plain()
    mcpc.register_transport("memory", transport, replace=True)
    assert resolve("memory") is transport


@pytest.mark.parametrize("scheme", ["", "nats://", "nats:", "two words", "1st", "é"])
def test_a_scheme_that_no_address_can_have_is_refused(scheme: str) -> None:
    with pytest.raises(URIError):
        mcpc.register_transport(scheme, plain())


# --- options ----------------------------------------------------------------------------------------------------


def test_options_are_the_keyword_only_parameters() -> None:
    transport: Transport = Plain()
    assert transport_options(transport, "connect") == {"speed": 5, "colour": None}
    assert transport_options(transport, "listen") == {"backlog": 9}


def test_known_options_are_passed_on() -> None:
    mcpc.register_transport("plain", plain())
    with pytest.raises(NotImplementedError) as caught:
        dial("plain://u:p@h/x?y", speed=7)
    assert caught.value.args[0] == ("plain://u:p@h/x?y", 7, None)
    endpoint: Any = object()
    with pytest.raises(NotImplementedError) as caught:
        listen_at("plain:here", endpoint, backlog=1)
    assert caught.value.args[0] == ("plain:here", endpoint, 1)


@pytest.mark.parametrize("method", ["connect", "listen"])
def test_an_unknown_option_is_refused_with_the_known_ones_before_anything_is_opened(method: str) -> None:
    mcpc.register_transport("plain", plain())
    with pytest.raises(UnknownOption) as caught:
        prepare("plain://h", method, {"sped": 7, "backlgo": SECRET})
    known = "speed, colour (did you mean 'speed'?)" if method == "connect" else "backlog (did you mean 'backlog'?)"
    assert str(caught.value) == f"plain: {method} does not take 'sped', 'backlgo'; it takes: {known}"


def test_a_transport_without_options_says_so() -> None:
    transport: Any = NoOptions()
    mcpc.register_transport("none", transport)
    with pytest.raises(UnknownOption, match="no options"):
        dial("none://h", speed=1)


def test_the_errors_of_an_address_are_value_errors_too() -> None:
    for error in (URIError, UnknownScheme, UnknownOption, MissingExtra):
        assert issubclass(error, ValueError)
        assert issubclass(error, mcpc.MCPCError)


def test_a_server_that_is_told_no_address_is_served_where_an_installed_package_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert uri_room.default_address() == "stdio:"

    def none(**_: str) -> tuple[()]:
        return ()

    monkeypatch.setattr(uri_room, "entry_points", none)
    with pytest.raises(URIError, match="give one"):
        uri_room.default_address()
