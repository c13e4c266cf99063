"""Every example runs, as a user would run it, and does what it says."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli_kit import Program, running, served

EXAMPLES = Path(__file__).parents[2] / "examples"
SHARED = {"command.py", "seed_server.py"}
"""What is not run by itself: others import it or start it."""


def python(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *arguments]


def output(program: Program) -> list[str]:
    """The lines that a program writes; it must end well, and complain of nothing."""
    assert program.finish() == 0, program.written["err"]
    assert "Traceback" not in program.written["err"]
    return program.written["out"].splitlines()


def outputs(commands: Sequence[Sequence[str]]) -> list[list[str]]:
    """What several examples write, each with its arguments, run side by side."""
    with ExitStack() as stack:
        programs = [stack.enter_context(running(python(*command))) for command in commands]
        return [output(program) for program in programs]


def come_in_turn(wanted: str, lines: list[str]) -> None:
    """Each line that is wanted is there, and they are in order; others may stand between."""
    came = iter(lines)
    for line in wanted.splitlines():
        assert line in came, f"{line!r} did not come, or not in its turn: {lines}"


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
user: migrate users, orders and invoices, and make sure that all are there
  -> migrate {"tables": ["users", "orders", "invoices"]}
  -> verify {}
model: invoices is missing, so I create that one alone
  -> migrate {"tables": ["invoices"]}
  -> verify {}
model: all tables are there
nothing is running any more"""

CONVERSATIONS = {
    "prompts.py": (PROMPTS, ["ws", "stdio"]),
    "modify.py": (MODIFY, ["unix", "http"]),
    "branching.py": (BRANCHING, ["ws", "tcp"]),
    "proactive.py": (PROACTIVE, ["unix", "stdio"]),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_with_a_running_task_goes_as_told(name: str, tmp_path: Path) -> None:
    places = {
        "ws": "ws://127.0.0.1:0/mcp",
        "http": "http://127.0.0.1:0/mcp",
        "tcp": "tcp://127.0.0.1:0",
        "unix": f"unix://{tmp_path}/x.sock",
        "stdio": "stdio:",
    }
    wanted, schemes = CONVERSATIONS[name]
    for lines in outputs([[name, places[scheme]] for scheme in schemes]):
        come_in_turn(wanted, lines)


def test_both_sides_of_an_example_can_run_apart() -> None:
    with served(f"{EXAMPLES / 'prompts.py'}:server", "tcp://127.0.0.1:0") as (_, uris):
        come_in_turn(PROMPTS, *outputs([["prompts.py", "--connect", uris[0]]]))


SURVIVE = """\
the server is dead; a new one is started
numbers 1 to 40, unbroken: True
the worker went on from its checkpoint: True
asked: 1
the other task was interrupted: the process that ran the task is gone, and it may not run again"""


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_server_that_is_killed_and_started_again_loses_nothing(scheme: str) -> None:
    (lines,) = outputs([["survive.py", scheme]])
    come_in_turn(SURVIVE, lines)


SEED = """\
MCPC protocol v1.0.0 supported
Received MCPC message: update Starting data processing
Received MCPC message: update {'status': 'Processing step 1/5', 'progress': 20.0}
Received MCPC message: update {'status': 'Processing step 5/5', 'progress': 100.0}
Received MCPC message: complete {'status': 'Complete', 'data_id': '42'}
Task completed with result: {'status': 'Complete', 'data_id': '42'}"""


def test_the_seeds_client_and_server_work_over_each_transport() -> None:
    server = f"{EXAMPLES / 'seed_server.py'}:server"
    with served(server, "ws://127.0.0.1:0/mcp", "http://127.0.0.1:0/mcp", at=2) as (_, uris):
        # Without an address the client starts the server itself, over stdio.
        for lines in outputs([["seed_client.py"], *(["seed_client.py", uri] for uri in uris)]):
            come_in_turn(SEED, lines)
            assert "the call has returned: created" in lines
        # The call returns half a second before the task ends, which a client that was held up does not see.
        assert any(returns_first(*outputs([["seed_client.py", uris[0]]])) for _ in range(5))


def returns_first(lines: list[str]) -> bool:
    """Whether the seed's call returned before its task had ended."""
    return lines.index("the call has returned: created") < lines.index(SEED.splitlines()[-1])


def test_the_other_examples_say_what_they_show() -> None:
    shown = {
        "server_events.py": ["bob hears notification: {'text': 'closing at five'}", "sent to 2 clients, and to 1"],
        "sync_worker.py": ["update {'status': 'block 400/400', 'progress': 100.0}", "the task was stopped"],
        "websocket_server.py": ["complete {'data_id': '42'}"],
        "testing_with_memory.py": ["passed: test_frames_cross_a_pair_of_channels_whole"],
        "custom_transport.py": ["lp ['over', 'a', 'wire', 'of', 'our', 'own']", "keeps the contract"],
    }
    lines = dict(zip(shown, outputs([[name] for name in shown]), strict=True))
    for name, wanted in shown.items():
        assert [line for line in lines[name] if line in wanted] == wanted, name
    assert not [line for line in lines["server_events.py"] if line.startswith("bob hears file_arrived")]
    refusal = "without the token: refused the connection: HTTP 401"
    assert any(line.startswith(refusal) for line in lines["websocket_server.py"])
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        *shown,
        *CONVERSATIONS,
        *SHARED,
        "seed_client.py",
        "survive.py",
    }
