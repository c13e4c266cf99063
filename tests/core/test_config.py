"""Servers by name: every form of the file that is about, and a plain word for every mistake in one."""

import contextlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mcpc
from mcpc import ConfigError, named_server, named_servers


def one(entry: Any) -> mcpc.NamedServer:
    return named_server({"mcpServers": {"one": entry}})


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "a value")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)


@pytest.mark.parametrize(
    ("entry", "uri"),
    [
        ({"command": "npx", "args": ["-y", "a server", "it's"]}, "stdio:npx -y 'a server' 'it'\"'\"'s'"),
        ({"command": "uvx", "type": "stdio"}, "stdio:uvx"),
        ({"command": "uvx", "transport": "stdio", "args": [8080]}, "stdio:uvx 8080"),
        ({"url": "https://host/mcp"}, "https://host/mcp"),
        ({"url": "https://host/mcp", "type": "http"}, "https://host/mcp"),
        ({"url": "http://host/mcp", "transport": "streamable-http"}, "http://host/mcp"),
        ({"url": "http://host/events", "type": "sse"}, "sse+http://host/events"),
        ({"url": "https://host/sse", "transport": "sse"}, "sse+https://host/sse"),
        ({"url": "https://host/sse/"}, "sse+https://host/sse/"),
        ({"url": "https://host/sse", "type": "http"}, "https://host/sse"),
        ({"url": "wss://host/mcp"}, "wss://host/mcp"),
        ({"url": "wss://host/mcp", "type": "ws"}, "wss://host/mcp"),
        ({"url": "unix:///run/app.sock"}, "unix:///run/app.sock"),
        ({"url": "tcp://127.0.0.1:9", "disabled": False, "description": "of others"}, "tcp://127.0.0.1:9"),
    ],
)
def test_an_entry_is_an_address(entry: dict[str, Any], uri: str) -> None:
    assert one(entry).uri == uri


@pytest.mark.parametrize("source", [{"mcpServers": {}}, {"servers": {}}, {"mcp": {"servers": {}}}])
def test_the_servers_stand_where_each_program_has_them(source: dict[str, Any], tmp_path: Path) -> None:
    inner: dict[str, Any] = source.get("mcp", source)
    (section,) = inner
    inner[section] = {"b": {"url": "ws://b/mcp"}, "a": {"command": "a"}}
    path = tmp_path / "mcp.json"
    path.write_text("\ufeff" + json.dumps({**source, "theme": "dark"}), encoding="utf-8")
    for given_as in (source, path, str(path)):
        assert [server.name for server in named_servers(given_as)] == ["b", "a"]
        assert named_server(given_as, "b").uri == "ws://b/mcp"


@pytest.mark.usefixtures("variables")
def test_variables_are_replaced_wherever_a_text_stands() -> None:
    server = one(
        {
            "command": "${SET}",
            "args": ["--x=${UNSET:-y}", "${EMPTY:-full}", "${EMPTY}", "${UNSET:-}", "$SET", "${env:SET}"],
            "env": {"KEY": "<${SET}>", "PORT": 80},
            "cwd": "/srv/${SET}",
        }
    )
    assert server.uri == "stdio:'a value' --x=y full '' '' '$SET' 'a value'"
    assert server.options == {"env": {"KEY": "<a value>", "PORT": "80"}, "cwd": "/srv/a value"}
    assert server.written_uri.startswith("stdio:'${SET}' '--x=${UNSET:-y}'")
    far = one({"url": "https://${UNSET:-host}/mcp", "headers": {"X-Key": "${SET}"}, "auth": "${SET}"})
    assert far.uri == "https://host/mcp"
    assert far.options == {"headers": {"X-Key": "a value"}, "token": "a value"}


def test_no_secret_is_shown_of_a_server() -> None:
    server = one({"url": "https://me:secret@host/mcp", "headers": {"Authorization": "Bearer secret"}})
    assert "secret" not in f"{server!r} {server.written_uri}"
    assert "secret" in server.uri


MISTAKES: list[tuple[Any, str]] = [
    ([], r"it must be an object"),
    ({}, r"neither a command nor a url$"),
    ({"comand": "x"}, r"neither a command nor a url \(did you mean 'command'\?\)"),
    ({"command": "x", "url": "http://h"}, r"both a command and a url"),
    ({"command": ""}, r"its command is empty"),
    ({"command": ["npx"]}, r"'command' must be a text"),
    ({"command": "x", "args": "-y"}, r"'args' must be a list of texts"),
    ({"command": "x", "args": [None]}, r"'args\[0\]' must be a text"),
    ({"command": "x", "type": "sse"}, r"it has a command, and 'sse' needs a url"),
    ({"command": "x", "envFile": ".env"}, r"envFile is not read"),
    ({"url": "host/mcp"}, r"its url: not a transport address"),
    ({"url": "http://h", "type": "pigeon"}, r"no transport 'pigeon' has http: addresses; known words: http, sse, "),
    ({"url": "ws://h", "type": "http"}, r"no transport 'http' has ws: addresses"),
    ({"command": "${UNSET}"}, r"command: the environment variable 'UNSET' is not set"),
    ({"command": "x", "args": ["${input:key}"]}, r"args\[0\]: \$\{input:key\} is asked of a person by VS Code"),
    ({"command": "${not a name}"}, r"\$\{not a name\} cannot be read; write \$\{NAME\}"),
]


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize(("entry", "words"), MISTAKES)
def test_a_mistake_in_an_entry_is_said_with_the_server_it_is_in(entry: Any, words: str) -> None:
    with pytest.raises(ConfigError, match="server 'one': .*" + words):
        _ = one(entry).uri


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"env": ["A=b"]}, r"'env' must be an object of texts"),
        ({"env": {"A": True}}, r"'env.A' must be a text"),
        ({"headers": {"A": "${UNSET}"}}, r"headers.A: the environment variable 'UNSET' is not set"),
        ({"cwd": 7.5, "env": None}, r"'env' must be an object"),
        ({"auth": "oauth"}, r"'auth': OAuth needs a program"),
    ],
)
def test_a_mistake_in_the_options_is_said_too(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match="server 'one': .*" + words):
        _ = one({"command": "x", **more}).options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"mcpServers": {\n  "a": {,}\n}}', r"mcp.json is not JSON: line 2, column 9: "),
        ('{\n  // mine\n  "mcpServers": {}}', r"line 2, column 3: .*; JSON has no comments"),
        ("", r"is not JSON: line 1, column 1"),
        ("[" * 100_000, r"nested too deeply|is not JSON"),
        ("[]", r"names no servers: it needs 'mcpServers'"),
        ('{"mcpservers": {}}', r"names no servers"),
        ('{"mcpServers": []}', r"'mcpServers' must be an object"),
        ('{"mcp": {"servers": 1}}', r"'mcp.servers' must be an object"),
    ],
)
def test_a_mistake_in_the_file_is_said_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        named_servers(path)


def test_a_file_that_is_none_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file '.*nope.json'"):
        named_servers(tmp_path / "nope.json")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        named_servers(tmp_path)
    (tmp_path / "latin").write_bytes(b'{"mcpServers": {"\xe9": 1}}')
    with pytest.raises(ConfigError, match=r"is not UTF-8 text"):
        named_servers(tmp_path / "latin")


def test_an_unknown_name_names_the_known_and_the_likely_one() -> None:
    source = {"mcpServers": {"shop": {"command": "x"}, "stock": {"command": "y"}}}
    with pytest.raises(ConfigError, match=r"no server 'shp' \(did you mean 'shop'\?\); it has: shop, stock"):
        named_server(source, "shp")
    with pytest.raises(ConfigError, match=r"say which server of the configuration; it has: shop, stock"):
        named_server(source)
    with pytest.raises(ConfigError, match=r"it has: no servers"):
        named_server({"servers": {}})


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
ENTRIES = JSON | st.dictionaries(
    st.sampled_from(["command", "args", "env", "cwd", "url", "headers", "auth", "type", "transport"]), JSON
)


@given(ENTRIES)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_an_entry_holds_it_is_an_address_or_a_plain_mistake(entry: Any) -> None:
    server = one(entry)
    for member in ("uri", "written_uri", "options"):
        with contextlib.suppress(ConfigError):
            assert getattr(server, member) is not None


def test_a_command_keeps_its_words() -> None:
    words = ["a b", "", "'", '"', "$(x)", "\\", "é", "-y"]
    server = one({"command": "run", "args": words})
    assert shlex.split(server.uri.partition(":")[2]) == ["run", *words]
