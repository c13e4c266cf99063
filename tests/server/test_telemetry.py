"""OpenTelemetry: a span a task, in the trace of its call, and metrics. A process of its own: providers are global."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "kits" / "traced_program.py"


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What the program recorded."""
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def named(seen: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [span for span in seen["spans"] if span["name"] == name]
    return found


def test_a_task_is_a_span_below_its_call_in_the_trace_of_its_caller_across_a_bridge(seen: dict[str, Any]) -> None:
    by_id = {span["id"]: span for span in seen["spans"]}
    task, user = named(seen, "mcpc.task works"), named(seen, "the user's")
    above = [by_id[task["parent"]]]
    while above[-1]["parent"] is not None:
        above.append(by_id[above[-1]["parent"]])
    assert above[-1] == user
    assert [span for span in above[:-1] if "tools/call" in span["name"]]
    assert task["trace"] == user["trace"]


def test_a_span_says_whose_it_is_and_how_it_ended_and_nothing_of_what_failed(seen: dict[str, Any]) -> None:
    works, fails, hangs = (named(seen, f"mcpc.task {name}") for name in ("works", "fails", "hangs"))
    assert works["attributes"]["mcpc.session.id"] == "chat"
    assert works["attributes"]["mcpc.tool"] == "works"
    ends = [(span["attributes"]["mcpc.task.status"], span["status"]) for span in (works, fails, hangs)]
    assert ends == [("complete", "UNSET"), ("failed", "ERROR"), ("stopped", "UNSET")]
    assert "secret" not in fails["all"]


def test_a_request_without_messages_is_traced_as_one_with_messages(seen: dict[str, Any]) -> None:
    spans = {span["id"]: span for span in seen["spans"]}
    asking = named(seen, "asking")["id"]
    sent = [span for span in seen["spans"] if span["parent"] == asking]
    assert [(span["name"], span["status"]) for span in sent] == [
        ("MCP send tools/call whoami", "UNSET"),
        ("MCP send resources/read", "ERROR"),
    ]
    handled = [span for span in spans.values() if span["parent"] in {each["id"] for each in sent}]
    assert [span["name"] for span in handled] == ["tools/call whoami", "resources/read"]


def test_metrics_count_what_runs_what_ended_and_how_long(seen: dict[str, Any]) -> None:
    metrics = seen["metrics"]
    assert {value for _, value in metrics["mcpc.tasks.running"]} == {0}
    ended = {(at["mcpc.tool"], at["mcpc.task.status"]): value for at, value in metrics["mcpc.tasks.ended"]}
    assert ended.pop(("chatter", "stopped")) == 1
    assert ended == {("works", "complete"): 1, ("fails", "failed"): 1, ("hangs", "stopped"): 1}
    assert {at["mcpc.tool"]: value for at, value in metrics["mcpc.task.duration"]} == dict.fromkeys(
        ("chatter", "works", "fails", "hangs"), 1
    )


def test_what_a_server_holds_and_where_it_met_its_bounds_is_counted(seen: dict[str, Any]) -> None:
    found = {name: points[0][1] for name, points in seen["metrics"].items() if len(points) == 1}
    assert (found["mcpc.tasks.refused"], found["mcpc.client.reconnections"]) == (1, 1)
    assert found["mcpc.gaps"] >= 1
    assert found["mcpc.client.gaps"] >= 1
    assert found["mcpc.messages.evicted"] >= 40
    assert found["mcpc.messages.logged"] >= found["mcpc.messages.evicted"] + 10
    assert found["mcpc.channels.open"] >= 2
    assert found["mcpc.messages.kept"] > 0
    assert (found["mcpc.channels.refused"], found["mcpc.inputs.waiting"]) == (0, 0)
    assert found["mcpc.messages.logged"] >= found["mcpc.messages.unsent"] > 0


def test_every_metric_is_explained_and_no_other(seen: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "observing.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(mcpc\.[\w.]+)` \|.*\|.*\|", page, re.MULTILINE)) == set(seen["metrics"])


def test_the_board_shows_metrics_that_there_are(seen: dict[str, Any]) -> None:
    board = json.loads((ROOT / "docs" / "grafana.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\bmcpc_\w+", target["expr"])
    }
    assert asked - {"mcpc_task_status", "mcpc_tool"} == {in_prometheus(name, seen) for name in seen["metrics"]}


def in_prometheus(name: str, seen: dict[str, Any]) -> str:
    """What the exporter makes of a metric's name: its unit, where that is a real one, and what it is."""
    unit, kind = seen["units"][name], seen["kinds"][name]
    unit = {"s": "_seconds", "By": "_bytes"}.get(unit, "")
    return name.replace(".", "_") + unit + {"counter": "_total", "histogram": "_bucket"}.get(kind, "")


# --- over a store ---


def recorded(role: str, store: str) -> list[dict[str, Any]]:
    """The spans of a process that has this role."""
    program = [sys.executable, str(PROGRAM.with_name("traced_store.py")), role, store]
    done = subprocess.run(program, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_task_that_others_run_is_in_the_trace_of_its_call_again_after_each_of_them(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'tasks.db'}"
    called, left, finished = (recorded(role, store) for role in ("call", "leave", "finish"))
    (user,) = [span for span in called if span["name"] == "the user's"]
    calls = [span["id"] for span in called if span["name"] == "tools/call far" and span["trace"] == user["trace"]]
    for spans in (left, finished):
        (task,) = [span for span in spans if span["name"] == "mcpc.task far"]
        assert task["trace"] == user["trace"]
        assert task["parent"] in calls
    (inner,) = [span for span in finished if span["name"] == "the worker's"]
    assert (inner["trace"], inner["parent"]) == (user["trace"], task["id"])
