"""The results in words: a Markdown page, a file of JSON, plots; and the same tables on the terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.catalogue import PEERS
from benchmarks.goals import Judgement, judge
from benchmarks.runner import FAULTS, Result
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Metric, Scenario
from benchmarks.scenarios.latency import LOADED
from benchmarks.stats import summarise

__all__ = ["faults", "markdown", "number", "rows", "titles", "write_json", "write_markdown", "write_plots"]

Results = Mapping[str, Result]

NOTES = ("<!-- notes -->", "<!-- end of notes -->")
"""What stands between them is written by hand, and kept when the page is written again."""

VERDICTS = {"aim": "aim reached", "least": "reached", "missed": "**missed**"}


def number(value: float) -> str:
    """A number with three figures or so, its thousands apart."""
    if abs(value) >= 100 or isinstance(value, int):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# --- tables -----------------------------------------------------------------------------------------------------


def of_scenario(results: Results, name: str) -> list[Result]:
    """The results of one scenario, in the order of its cases."""
    return [result for result in results.values() if result.case.scenario == name]


def titles(scenario: Scenario) -> list[str]:
    """The heads of a scenario's table."""
    numbers = [f"{metric.title}, {metric.unit}" if metric.unit == "µs" else metric.title for metric in scenario.metrics]
    return ["over", "who", "", *numbers, "lost", "reordered"]


def rows(results: Results, scenario: Scenario) -> list[list[str]]:
    """A scenario's table: medians, with their ranges in brackets."""
    return [_row(result, scenario.metrics) for result in of_scenario(results, scenario.name)]


def _row(result: Result, metrics: Iterable[Metric]) -> list[str]:
    case = result.case
    cells = [case.transport, case.peer.name, case.variant, *(_cell(result, metric) for metric in metrics)]
    if not result.rounds:
        return [*cells, "failed", ""]
    counted = "count" in result.rounds[0]
    return [*cells, *(number(result.fault(name)) if counted else "" for name in ("lost", "reordered"))]


def _cell(result: Result, metric: Metric) -> str:
    summary = summarise(result.values(metric))
    if summary is None:
        return "–"
    if summary.rounds == 1:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.low)} – {number(summary.high)})"


def faults(results: Results) -> dict[str, int]:
    """What became of our messages in all runs: how many there were, and how many were lost, reordered, doubled."""
    ours = [result for result in results.values() if result.case.peer.name.startswith("mcpc")]
    counted = {name: sum(result.fault(name) for result in ours) for name in FAULTS}
    return {"messages": sum(result.messages for result in ours), **counted}


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines)]


# --- the page ---------------------------------------------------------------------------------------------------


def markdown(results: Results, machine: Mapping[str, Any], notes: str, plot_folder: str | None) -> str:
    """The page."""
    parts = [
        "# Performance",
        "",
        "Made by `python -m benchmarks` from one run; do not edit, but for the notes at the end.",
        "Medians of the rounds, in brackets their range. The peers ran in the same run, interleaved, each in processes "
        "and an environment of its own, with the same messages; nothing is switched off on our side.",
        "",
        *_machine(machine),
        "",
        *_judged(judge(results)),
        *_delivery(results),
        *(_images(results, plot_folder) if plot_folder is not None else []),
    ]
    for scenario in SCENARIOS.values():
        parts += _section(results, scenario)
    parts += [*_peers(results), *_failures(results), NOTES[0], notes, NOTES[1], ""]
    return "\n".join(parts)


def _machine(machine: Mapping[str, Any]) -> list[str]:
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items() if found)
    return [
        "## Where",
        "",
        f"- {machine['date']}, commit `{machine['commit']}`, load {machine['load']} at the start",
        f"- {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}",
        f"- {machine['python']}; {packages}",
        "",
        "```console",
        f"$ {machine['command']}",
        "```",
    ]


def _judged(judgements: Sequence[Judgement]) -> list[str]:
    if not judgements:
        return []
    lines = [
        [
            judgement.goal.title,
            f"{number(judgement.ratio.value)} ({number(judgement.ratio.low)} – {number(judgement.ratio.high)})",
            f"{'≤' if judgement.goal.smaller_is_better else '≥'} {judgement.goal.at_least:g}",
            f"{judgement.goal.aim:g}",
            VERDICTS[judgement.verdict],
        ]
        for judgement in judgements
    ]
    heads = ["goal", "measured (range over the rounds)", "at least", "aim", ""]
    return ["## Goals", "", *_table(heads, lines), ""]


def _delivery(results: Results) -> list[str]:
    found = faults(results)
    return [
        f"Of {number(found['messages'])} messages of ours in all rounds {found['lost']} were lost, "
        f"{found['reordered']} reordered, {found['duplicates']} came twice.",
        "",
    ]


def _images(results: Results, folder: str) -> list[str]:
    drawn = draw(results)
    return [line for name in drawn for line in (f"![{name.removesuffix('.svg')}]({folder}/{name})", "")]


def _section(results: Results, scenario: Scenario) -> list[str]:
    lines = rows(results, scenario)
    if not lines:
        return []
    return [f"## {scenario.title}", "", scenario.about, "", *_table(titles(scenario), lines), ""]


def _peers(results: Results) -> list[str]:
    names = {result.case.peer.name for result in results.values()}
    lines = [f"- **{peer.name}**: {peer.about}." for peer in PEERS if peer.name in names]
    return ["## Who does what for a callback", "", *lines, ""]


def _failures(results: Results) -> list[str]:
    failed = [(result.case.key, error) for result in results.values() for error in result.errors]
    if not failed:
        return []
    return ["## What failed", "", *(f"- {key}: {error}" for key, error in failed), ""]


def write_markdown(path: Path, results: Results, machine: Mapping[str, Any], plot_folder: Path | None) -> None:
    """Write the page; notes that stand in it stay."""
    before = path.read_text() if path.exists() else ""
    notes = before.partition(NOTES[0])[2].partition(NOTES[1])[0].strip("\n")
    folder = None
    if plot_folder is not None:
        absolute = plot_folder.resolve()
        parent = path.resolve().parent
        folder = str(absolute.relative_to(parent)) if absolute.is_relative_to(parent) else str(absolute)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(markdown(results, machine, notes, folder))


def write_json(path: Path, results: Results, machine: Mapping[str, Any]) -> None:
    """Write everything that was measured, and where."""
    judged = [
        {"goal": found.goal.title, "value": found.ratio.value, "verdict": found.verdict} for found in judge(results)
    ]
    data = {
        "machine": machine,
        "delivery": faults(results),
        "goals": judged,
        "cases": [result.as_json() for result in results.values()],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


# --- plots ------------------------------------------------------------------------------------------------------


def draw(results: Results) -> dict[str, str]:
    """The plots that there are results for, by file name."""
    drawn = {
        "throughput.svg": _throughput(results),
        "latency.svg": _latency(results),
        "tasks.svg": _tasks(results),
    }
    return {name: text for name, text in drawn.items() if text is not None}


def write_plots(folder: Path, results: Results) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in draw(results).items():
        (folder / name).write_text(text)


def _throughput(results: Results) -> str | None:
    metric = SCENARIOS["throughput"].metrics[0]
    groups: dict[str, list[plots.Bar]] = {}
    for result in of_scenario(results, "throughput"):
        summary = summarise(result.values(metric))
        if summary is not None:
            peer = result.case.peer
            bar = plots.Bar(peer.name, summary.median, summary.low, summary.high, peer.limit)
            groups.setdefault(result.case.transport, []).append(bar)
    if not groups:
        return None
    return plots.bars(
        "Throughput of one connection", "callbacks/s", [plots.BarGroup(*group) for group in groups.items()]
    )


def _latency(results: Results) -> str | None:
    drawn: list[plots.Curve] = []
    labels: list[str] = []
    for result in of_scenario(results, "latency"):
        case = result.case
        if case.variant != LOADED or not result.rounds or case.peer.name == "mcpc+uvloop":
            continue
        middle = sorted(result.rounds, key=lambda values: values["p50"])[len(result.rounds) // 2]
        labels = [f"{point:g}" for point, _ in middle["curve"]]
        name = f"{case.peer.name}, {case.transport}"
        drawn.append(plots.Curve(name, [value for _, value in middle["curve"]], case.peer.limit))
    if not drawn:
        return None
    return plots.curves("Latency of a callback at 1 000/s", "percentile", "µs", labels, drawn)


def _tasks(results: Results) -> str | None:
    metric = SCENARIOS["tasks"].metrics[0]
    found = [result for result in of_scenario(results, "tasks") if result.rounds]
    labels = list(dict.fromkeys(result.case.variant for result in found))
    drawn: dict[str, list[float]] = {}
    for result in found:
        summary = summarise(result.values(metric))
        if summary is not None:
            drawn.setdefault(result.case.transport, []).append(summary.median)
    if len(labels) < 2:
        return None
    lines = [plots.Curve(f"mcpc, {transport}", values) for transport, values in drawn.items()]
    return plots.curves("Throughput by the number of tasks", "tasks at once", "callbacks/s", labels, lines)
