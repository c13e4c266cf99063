"""Every example runs, as a user would run it, and does what it says."""

import sys
from pathlib import Path

import pytest

from cli_kit import running

EXAMPLES = Path(__file__).parent.parent / "examples"
SHARED = {"command.py", "seed_server.py"}
"""What is not run by itself: others import it or start it."""


def python(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *arguments]


def finished(name: str, *arguments: str) -> list[str]:
    """The lines that an example writes; it must end well, and complain of nothing."""
    with running(python(name, *arguments)) as program:
        assert program.finish() == 0, program.written["err"]
        assert "Traceback" not in program.written["err"]
        return program.written["out"].splitlines()


PROMPTS = """\
asked: I found several of that name. Which one? ['Mario, Main Street', 'Mario, Harbour']
update: booking at Mario, Harbour
asked: For how many?
complete: {'booked': 'Mario, Harbour', 'people': 4}"""

MODIFY = """\
created: parse_documents has started; its updates follow.
three documents in: focus on the invoices instead
update: from now on only invoices"""

BRANCHING = """\
running: sales/analyse, sales/analyse, support/monitor
still running: monitor
support: the monitor was stopped
sales heard of 2 results, support of 0"""

PROACTIVE = """\
migration_finished: {'tables': ['users', 'orders', 'invoices']}
  -> verify {}
verify: {'missing': ['invoices']}
  -> migrate {'tables': ['invoices']}
migration_finished: {'tables': ['invoices']}
  -> verify {}
verify: {'missing': []}
the database is complete"""

CONVERSATIONS = {
    "prompts.py": (PROMPTS, ["ws", "stdio"]),
    "modify.py": (MODIFY, ["unix", "http"]),
    "branching.py": (BRANCHING, ["ws", "tcp"]),
    "proactive.py": (PROACTIVE, ["unix", "stdio"]),
}


@pytest.mark.parametrize(
    ("name", "scheme"), [(name, scheme) for name, (_, schemes) in CONVERSATIONS.items() for scheme in schemes]
)
def test_a_conversation_with_a_running_task_goes_as_told(name: str, scheme: str, tmp_path: Path) -> None:
    places = {
        "ws": "ws://127.0.0.1:0/mcp",
        "http": "http://127.0.0.1:0/mcp",
        "tcp": "tcp://127.0.0.1:0",
        "unix": f"unix://{tmp_path}/x.sock",
        "stdio": "stdio:",
    }
    lines = iter(finished(name, places[scheme]))
    for wanted in CONVERSATIONS[name][0].splitlines():
        assert wanted in lines, f"{wanted!r} did not come, or not in its turn"


def test_both_sides_of_an_example_can_run_apart(tmp_path: Path) -> None:
    place = f"unix://{tmp_path}/x.sock"
    with running(python("prompts.py", "--serve", place)):
        while not (tmp_path / "x.sock").exists():
            pass
        assert PROMPTS.splitlines()[-1] in finished("prompts.py", "--connect", place)


SEED = """\
MCPC protocol v1.0.0 supported
Received MCPC message: update Starting data processing
Received MCPC message: update {'status': 'Processing step 1/5', 'progress': 20.0}
Received MCPC message: update {'status': 'Processing step 5/5', 'progress': 100.0}
Received MCPC message: complete {'status': 'Complete', 'data_id': '42'}
Task completed with result: {'status': 'Complete', 'data_id': '42'}"""


@pytest.mark.parametrize("place", ["stdio:", "ws://127.0.0.1:{port}/mcp", "http://127.0.0.1:{port}/mcp"])
def test_the_seeds_client_and_server_work_over_each_transport(place: str, free_port: int) -> None:
    place = place.format(port=free_port)
    if place == "stdio:":
        lines = finished("seed_client.py")
    else:
        with running(python("seed_server.py", "--serve", place)) as server:
            lines = _once_served(server, place)
    came = iter(lines)
    for wanted in SEED.splitlines():
        assert wanted in came, f"{wanted!r} did not come, or not in its turn: {lines}"
    assert "the call has returned: created" in lines
    assert lines.index("the call has returned: created") < lines.index(SEED.splitlines()[-1])


def test_the_other_examples_say_what_they_show() -> None:
    shown = {
        "server_events.py": ["bob hears notification: {'text': 'closing at five'}", "sent to 2 clients, and to 1"],
        "sync_worker.py": ["update {'status': 'block 400/400', 'progress': 100.0}", "the task was stopped"],
        "websocket_server.py": ["complete {'data_id': '42'}"],
        "testing_with_memory.py": ["passed: test_frames_cross_a_pair_of_channels_whole"],
        "custom_transport.py": ["lp ['over', 'a', 'wire', 'of', 'our', 'own']", "keeps the contract"],
    }
    for name, wanted in shown.items():
        lines = finished(name)
        assert [line for line in lines if line in wanted] == wanted, name
        if name == "server_events.py":
            assert not [line for line in lines if line.startswith("bob hears file_arrived")]
        if name == "websocket_server.py":
            assert any(line.startswith("without the token: refused the connection: HTTP 401") for line in lines)
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*shown, *CONVERSATIONS, *SHARED, "seed_client.py"}
