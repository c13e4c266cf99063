"""The benchmark, run for a moment: numbers come out, losses are counted, and the reports can be read."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from benchmarks import environments, report
from benchmarks.__main__ import parser, select
from benchmarks.catalogue import PEERS, Peer
from benchmarks.environments import OURS, Environment, EnvironmentFailed
from benchmarks.goals import GOALS, judge
from benchmarks.runner import Failure, Result, Runner
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Case
from benchmarks.scenarios.held import ENDED
from benchmarks.stats import compare, summarise

ROOT = Path(__file__).resolve().parents[2]

SMOKE = (
    "--quick",
    "--no-external",
    "--scenarios",
    "throughput,latency,completion",
    "--peers",
    "mcpc",
    "--seconds",
    "0.05",
)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a short run over memory and over a socket has written."""
    folder = tmp_path_factory.mktemp("benchmark")
    outputs = ("--json", "results.json", "--markdown", "page.md", "--plots", "plots")
    command = [sys.executable, "-m", "benchmarks", *SMOKE, "--transports", "memory,unix", *outputs]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _results(smoke: Path) -> dict[str, Any]:
    return json.loads((smoke / "results.json").read_text())


# --- a short run ---


def test_a_quick_run_measures_memory_and_a_socket(smoke: Path) -> None:
    cases = [case for case in _results(smoke)["cases"] if case["scenario"] == "throughput"]
    assert [case["transport"] for case in cases] == ["memory", "unix"]
    for case in cases:
        (values,) = case["rounds"]
        assert case["errors"] == []
        assert values["rate"] > 0
        assert values["client_cpu_us"] > 0


def test_a_quick_run_gives_latencies_in_rising_order(smoke: Path) -> None:
    cases = [case for case in _results(smoke)["cases"] if case["scenario"] == "latency"]
    assert {case["variant"] for case in cases} == {"50/s", "1 000/s"}
    for case in cases:
        (values,) = case["rounds"]
        times = [time for _, time in values["curve"]]
        assert times == sorted(times)
        assert 0 < values["p50"] <= values["p99"]


def test_a_quick_run_tells_how_clients_learn_of_the_end_of_a_task(smoke: Path) -> None:
    cases = [case for case in _results(smoke)["cases"] if case["scenario"] == "completion"]
    assert [case["variant"] for case in cases] == ["callback", "SEP-2663, pushed", "SEP-2663, polled"]
    for case in cases:
        (values,) = case["rounds"]
        assert (values["count"], values["lost"]) == (5, 0)
        assert 0 < values["p50"] <= values["p99"]


def test_nothing_is_lost_reordered_or_doubled(smoke: Path) -> None:
    delivery = _results(smoke)["delivery"]
    assert delivery.pop("messages") > 0
    assert delivery == {"lost": 0, "reordered": 0, "duplicates": 0}


def test_the_results_tell_where_they_were_measured(smoke: Path) -> None:
    machine = _results(smoke)["machine"]
    assert machine["cores"] >= 1
    assert machine["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert machine["packages"]["mcp"] is not None
    assert machine["command"].startswith("python -m benchmarks --quick")


def test_the_page_has_a_table_for_each_scenario_and_its_plots(smoke: Path) -> None:
    page = (smoke / "page.md").read_text()
    for name in ("throughput", "latency", "completion"):
        assert f"## {SCENARIOS[name].title}" in page
    assert "![throughput](plots/throughput.svg)" in page
    rows = [line for line in page.splitlines() if line.startswith("| unix | mcpc |")]
    assert len(rows) == 6
    assert all(line.endswith("| 0 | 0 |") for line in rows)


@pytest.mark.parametrize("name", ["throughput.svg", "latency.svg"])
def test_the_plots_are_svg(smoke: Path, name: str) -> None:
    drawing = ElementTree.parse(smoke / "plots" / name).getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert any("mcpc" in text for text in texts)


# --- counting ---


def _kit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_kit", ROOT / "benchmarks" / "peers" / "kit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("numbers", "faults"),
    [
        ([0, 1, 2, 3], {"count": 4, "lost": 0, "reordered": 0, "duplicates": 0}),
        ([0, 1, 3], {"count": 3, "lost": 1, "reordered": 0, "duplicates": 0}),
        ([0, 1], {"count": 2, "lost": 2, "reordered": 0, "duplicates": 0}),
        ([0, 2, 1, 3], {"count": 4, "lost": 0, "reordered": 1, "duplicates": 0}),
        ([0, 1, 1, 2, 3], {"count": 5, "lost": 0, "reordered": 0, "duplicates": 1}),
        ([3, 2, 1, 0], {"count": 4, "lost": 0, "reordered": 3, "duplicates": 0}),
    ],
)
def test_losses_and_disorder_are_counted(numbers: list[int], faults: dict[str, int]) -> None:
    arrivals = _kit().Arrivals(4)
    for number in numbers:
        arrivals.take(number)
    assert arrivals.report() == faults


@pytest.mark.parametrize("size", [280, 4096, 65536])
def test_a_message_has_the_size_that_was_asked_for(size: int) -> None:
    kit = _kit()
    message = kit.message(1000, kit.CLOCK(), kit.padding(size))
    assert len(json.dumps(message, separators=(",", ":"))) == size


def test_percentiles_leave_out_the_warm_up() -> None:
    times = [10**9] * 100 + [1000 * n for n in range(1, 901)]
    found = _kit().percentiles(times)
    assert found["samples"] == 900
    assert found["p50"] == pytest.approx(451)  # pyright: ignore[reportUnknownMemberType]
    assert found["p99"] == pytest.approx(892)  # pyright: ignore[reportUnknownMemberType]


# --- summing up ---


def test_a_summary_is_the_median_and_the_range() -> None:
    summary = summarise([3.0, 1.0, 2.0])
    assert summary is not None
    assert (summary.median, summary.low, summary.high, summary.rounds) == (2.0, 1.0, 3.0, 3)
    assert summarise([]) is None


def test_a_ratio_has_the_range_of_the_rounds_pair_by_pair() -> None:
    ratio = compare([10.0, 40.0, 20.0], [10.0, 20.0, 5.0], lambda a, b: a / b)
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == (2.0, 1.0, 4.0)
    assert compare([1.0], [], lambda a, b: a / b) is None


def _result(scenario: str, peer: str, transport: str, *rounds: dict[str, Any], variant: str = "") -> Result:
    found = next(known for known in PEERS if known.name == peer)
    return Result(Case(scenario, found, transport, variant), list(rounds))


def test_a_goal_is_about_cases_that_there_are() -> None:
    options = parser().parse_args([])
    cases = {(case.scenario, case.peer.name, case.transport, case.variant) for case in select(options)}
    for goal in GOALS:
        for peer, transport, variant in goal.sides:
            assert any((goal.scenario, peer, transport) == case[:3] and variant in (None, case[3]) for case in cases), (
                goal.title
            )
        assert goal.measure in (None, goal.metric.name)


def test_goals_are_judged_where_both_sides_were_measured() -> None:
    results = {
        result.case.key: result
        for result in (
            _result("throughput", "mcpc", "stdio", {"rate": 400_000.0}),
            _result("throughput", "original 0.2.6", "stdio", {"rate": 10_000.0}),
            _result("memory", "mcpc", "ws", {"bytes": 70 * 1024}),
            _result("memory", "mcp 2.3", "memory", {"bytes": 40 * 1024}),
        )
    }
    judged = {found.goal.scenario: (found.ratio.value, found.verdict) for found in judge(results)}
    assert judged == {"throughput": (40.0, "least"), "memory": (30.0, "missed")}


def test_each_goal_names_a_case_that_is_run() -> None:
    keys = {(case.scenario, case.peer.name, case.transport) for case in select(parser().parse_args([]))}
    for goal in GOALS:
        assert {(goal.scenario, peer, transport) for peer, transport, _ in goal.sides} <= keys, goal.title


def test_a_number_of_ours_alone_is_judged_as_it_is() -> None:
    ended = _result("held", "mcpc", "unix", {"bytes": 3 * 512}, {"bytes": 3 * 512}, variant=ENDED)
    (found,) = judge({ended.case.key: ended})
    assert (found.ratio.value, found.ratio.high, found.verdict) == (1.5, 1.5, "least")


def test_losses_show_in_the_table_and_in_the_sum() -> None:
    lossy = _result("throughput", "mcpc", "unix", {"rate": 1.0, "count": 97, "lost": 3, "reordered": 2})
    results = {lossy.case.key: lossy}
    assert report.rows(results, SCENARIOS["throughput"])[0][-2:] == ["3", "2"]
    assert report.faults(results) == {"messages": 97, "lost": 3, "reordered": 2, "duplicates": 0}


def test_notes_written_by_hand_stay_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"old\n{report.NOTES[0]}\nmeasured by hand\n{report.NOTES[1]}\n")
    machine: dict[str, Any] = {
        "packages": {},
        **dict.fromkeys(("date", "commit", "load", "processor", "cores", "memory_gib"), ""),
    }
    machine |= dict.fromkeys(("system", "python", "command"), "")
    report.write_markdown(page, {}, machine, None)
    text = page.read_text()
    assert "old" not in text
    assert f"{report.NOTES[0]}\nmeasured by hand\n{report.NOTES[1]}" in text


# --- a peer that fails ---


def _peer(script: Path, environment: Environment = OURS) -> Peer:
    return Peer("broken", "fails", str(script), environment, ("stdio",))


def _run(peer: Peer, folder: Path, timeout: float = 200.0) -> Result:
    case = Case("throughput", peer, "stdio", timeout=timeout)
    runner = Runner([case], 1, folder=folder)
    runner.prepare(lambda text: None)
    runner.run(lambda case, number: None, lambda result: None)
    return runner.results[case.key]


def test_a_peer_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise RuntimeError('no such luck')")
    result = _run(_peer(script), tmp_path)
    assert result.rounds == []
    assert result.errors == ["RuntimeError: no such luck"]


def test_a_peer_that_hangs_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "hangs.py"
    script.write_text("import time; time.sleep(60)")
    assert _run(_peer(script), tmp_path, timeout=0.5).errors == ["no results within 0.5 s"]


class _Impossible(Environment):
    def make(self, folder: Path = Path()) -> None:
        raise EnvironmentFailed("pip install nothing: there is no such thing")


def test_an_environment_that_cannot_be_made_fails_its_own_cases(tmp_path: Path) -> None:
    result = _run(_peer(tmp_path / "never.py", _Impossible("impossible", (("nothing",),))), tmp_path)
    assert result.errors == ["pip install nothing: there is no such thing"]


class _Wanted(Environment):
    looked = threading.Event()
    made: ClassVar[list[Path]] = []

    def is_made(self, folder: Path = Path()) -> bool:
        found = (folder / self.name).exists()
        self.looked.set()
        return found

    def _make(self, folder: Path) -> None:
        self.made.append(folder)


def test_an_environment_that_another_process_is_making_is_waited_for_and_not_made_again(tmp_path: Path) -> None:
    environment = _Wanted("wanted", (("something",),))
    waiting = threading.Thread(target=environment.make, args=(tmp_path,))
    with environments.alone(tmp_path):
        waiting.start()
        assert environment.looked.wait(60)
        (tmp_path / environment.name).mkdir()
    waiting.join(60)
    assert not waiting.is_alive()
    assert environment.made == []


def test_results_that_are_not_json_are_a_failure(tmp_path: Path) -> None:
    script = tmp_path / "chatty.py"
    script.write_text("print('all is well')")
    case = Case("throughput", _peer(script), "stdio")
    with pytest.raises(Failure, match="not results"):
        Runner([case], 1).measure(case)


# --- options ---


def test_the_options_pick_scenarios_transports_and_peers() -> None:
    options = ["--scenarios", "throughput", "--transports", "stdio,unix", "--peers", "mcpc,original 0.2.6"]
    keys = [case.key for case in select(parser().parse_args(options))]
    assert keys == ["throughput · mcpc · stdio", "throughput · original 0.2.6 · stdio", "throughput · mcpc · unix"]


def test_an_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--transports", "pigeon"])
    assert "no pigeon; there are: memory, stdio" in capsys.readouterr().err
