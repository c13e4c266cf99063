"""What a server prints among its messages, and how the messages are found all the same."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mcpc
from mcpc.errors import FrameTooLarge
from mcpc_transports.stdio.stdout import Printed

ANSWER: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "result": {"text": 'a "{[" b', "list": [1, {"x": []}], "none": {}}}
LIMIT = 10_000

SERVER = """
import json, sys

def answer(request):
    results = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                              "serverInfo": {"name": "n", "version": "1"}},
               "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]},
               "tools/call": {"content": [{"type": "text", "text": "fine { or ] not"}]}}
    found = results.get(request["method"])
    body = {"result": found} if found else {"error": {"code": -32601, "message": "no"}}
    return {"jsonrpc": "2.0", "id": request["id"], **body}

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    if sys.argv[1] == "behind text":
        print("Loading weights... {ok} ", end="")
    if sys.argv[1] == "behind a log line":
        print('{"level": "info", "msg": "called"}', end="")
    print(json.dumps(answer(request), indent=2 if sys.argv[1] == "over many lines" else None), end="")
    if sys.argv[1] == "before text":
        print(" done", end="")
    print(flush=True)
"""


def sound(lines: list[bytes], limit: int = LIMIT) -> list[Any]:
    """The messages among what is handed on."""
    printed = Printed(limit)
    found: list[Any] = []
    for line in lines:
        for part in printed.read(line):
            try:
                message = json.loads(part)
            except ValueError:
                continue
            if isinstance(message, dict) and "jsonrpc" in message:
                found.append(message)
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["behind text", "behind a log line", "over many lines", "before text"])
@pytest.mark.parametrize("what", ["call", "task"])
async def test_an_answer_among_what_a_program_prints_reaches_its_caller(how: str, what: str, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with anyio.fail_after(60):
        async with mcpc.Client(f"stdio:{shlex.join([sys.executable, str(script), how])}", mode="legacy") as client:
            if what == "call":
                result = await client.call_tool("t", {})
                assert [block.text for block in result.content if block.type == "text"] == ["fine { or ] not"]
            else:
                task = await client.start_task("t", {})
                assert await task.result() == "fine { or ] not"


@given(
    before=st.text(st.characters(codec="utf-8", exclude_characters='{"\n\r'), max_size=30),
    after=st.text(st.characters(codec="utf-8", exclude_characters='{"\n\r'), max_size=30),
    indent=st.sampled_from([None, 0, 1, 4, "\t"]),
)
def test_a_message_is_found_behind_any_text_in_any_layout(before: str, after: str, indent: int | str | None) -> None:
    text = before + json.dumps(ANSWER, indent=indent) + after
    assert sound(text.encode().split(b"\n")) == [ANSWER]


@given(st.lists(st.sampled_from([b"{", b'{"a": [', b"}", b"]", b'"x",', b"function() {", b"plain", b" {", b"1", b""])))
def test_nothing_that_was_printed_before_costs_a_message_of_its_own_line(noise: list[bytes]) -> None:
    assert sound([*noise, json.dumps(ANSWER).encode()]) == [ANSWER]


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)))
def test_every_other_line_is_handed_on_as_it_is(lines: list[bytes]) -> None:
    printed = Printed(LIMIT)
    out = b"".join(part for line in [*lines, b"plain text"] for part in printed.read(line))
    assert b"".join(out.split()) == b"".join(b"".join([*lines, b"plain text"]).split())


def test_several_messages_in_one_line_are_several() -> None:
    one = json.dumps(ANSWER).encode()
    assert sound([b"x" + one + b"y" + one + b" z"]) == [ANSWER, ANSWER]


def test_json_that_is_no_message_is_a_line_like_another() -> None:
    lines = [b'{"level": "info"}', b'{"level": {', b'"x": 1}', b"}"]
    printed = Printed(LIMIT)
    assert [part for line in lines for part in printed.read(line)] == [lines[0], b'{"level": {\n"x": 1}\n}']


def test_a_message_over_many_lines_has_the_limit_of_one_line() -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"rows": list(range(100))}}, indent=1).encode()
    assert len(sound(text.split(b"\n"), len(text))) == 1
    with pytest.raises(FrameTooLarge) as refused:
        sound(text.split(b"\n"), len(text) - 1)
    assert (refused.value.request_id, refused.value.kind, refused.value.limit) == (7, "answer", len(text) - 1)


def test_braces_without_end_are_looked_through_in_bounded_time() -> None:
    """Only so many places are tried, and each ends at the first sign that is no JSON."""
    assert sound([b'{"' * 200_000, json.dumps(ANSWER).encode()], 400_000) == [ANSWER]
