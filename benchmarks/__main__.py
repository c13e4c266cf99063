"""`python -m benchmarks`: picks what to measure, runs it, prints and writes the results."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks import machine, report
from benchmarks.catalogue import PEERS, TRANSPORTS
from benchmarks.environments import DEFAULT_FOLDER
from benchmarks.goals import is_judged, judge
from benchmarks.profiling import profile_table
from benchmarks.runner import Result, Runner
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import QUICK, Case, Scale

__all__ = ["main", "parser", "select"]


def _names(known: Sequence[str]) -> Any:
    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in found if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are: {', '.join(known)}")
        return found

    return names


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    peers = [peer.name for peer in PEERS]
    options.add_argument("--scenarios", type=_names(list(SCENARIOS)), help=f"of {', '.join(SCENARIOS)}")
    options.add_argument("--transports", type=_names(TRANSPORTS), help=f"of {', '.join(TRANSPORTS)}")
    options.add_argument("--peers", type=_names(peers), help=f"of {', '.join(peers)}")
    options.add_argument("--no-external", action="store_true", help="only what needs no environment of its own")
    options.add_argument("--rounds", type=int, help="how often a case is run that a goal is about (5; quick: 1)")
    options.add_argument("--other-rounds", type=int, help="how often any other is run (2; quick: 1)")
    options.add_argument("--goals", action="store_true", help="only the cases that a goal is about")
    options.add_argument("--quick", action="store_true", help="little of everything: to see that it works")
    options.add_argument("--seconds", type=float, help="of one throughput measurement (1)")
    options.add_argument("--sizes", type=_numbers, help="bytes of the larger messages (4096,65536,1048576)")
    options.add_argument("--connections", type=_numbers, help="in `connections` (100,1000,4000)")
    options.add_argument("--fanout", type=int, help="connections in `fanout` (1000)")
    options.add_argument("--idle", type=int, help="connections in `memory` (500)")
    options.add_argument("--tasks", type=_numbers, help="in `tasks` (1,100,10000)")
    options.add_argument("--tailed", type=int, help="channels in `tailed` (1000)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    options.add_argument("--markdown", type=Path, metavar="FILE", help="write the page")
    options.add_argument("--plots", type=Path, metavar="DIR", help="write SVG")
    options.add_argument(
        "--profile", type=Path, metavar="DIR", help="sample our scripts, and print where the time goes"
    )
    options.add_argument("--environments", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="the peers'")
    options.add_argument("--list", action="store_true", help="print the cases, and measure nothing")
    return options


def select(options: argparse.Namespace) -> list[Case]:
    """The cases that the options ask for."""
    given = {
        name: getattr(options, name)
        for name in ("seconds", "sizes", "connections", "fanout", "idle", "tasks", "tailed")
    }
    scale = replace(QUICK if options.quick else Scale(), **{k: v for k, v in given.items() if v is not None})
    cases = [case for scenario in SCENARIOS.values() for case in scenario.cases(scale)]
    return [case for case in cases if _wanted(case, options)]


def _wanted(case: Case, options: argparse.Namespace) -> bool:
    if options.profile is not None and case.peer.script != "mcpc_client.py":
        return False
    if options.goals and not is_judged(case):
        return False
    return (
        (options.scenarios is None or case.scenario in options.scenarios)
        and (options.transports is None or case.transport in options.transports)
        and (options.peers is None or case.peer.name in options.peers)
        and not (options.no_external and case.peer.is_external)
    )


def _run(runner: Runner, console: Console) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=runner.steps)
        runner.prepare(lambda text: progress.update(bar, description=text))

        def before(case: Case, number: int) -> None:
            progress.update(bar, description=f"{case.key} [dim](round {number + 1})[/dim]")

        def after(result: Result) -> None:
            progress.advance(bar)
            if result.errors and len(result.errors) + len(result.rounds) == 1:
                progress.console.print(f"[red]{result.case.key}: {result.errors[-1]}")

        runner.run(before, after)


def _show(runner: Runner, console: Console) -> None:
    for scenario in SCENARIOS.values():
        lines = report.rows(runner.results, scenario)
        if lines:
            table = Table(*report.titles(scenario), title=scenario.title, title_justify="left")
            for line in lines:
                table.add_row(*line)
            console.print(table)
    for found in judge(runner.results):
        mark = report.VERDICTS[found.verdict].strip("*")
        console.print(f"{found.goal.title}: {report.number(found.ratio.value)} ({mark})")
    delivery = report.faults(runner.results)
    console.print("ours: " + ", ".join(f"{name} {count:,}".replace(",", " ") for name, count in delivery.items()))


def _write(options: argparse.Namespace, runner: Runner, where: dict[str, Any]) -> None:
    if options.json is not None:
        report.write_json(options.json, runner.results, where)
    if options.plots is not None:
        report.write_plots(options.plots, runner.results)
    if options.markdown is not None:
        report.write_markdown(options.markdown, runner.results, where, options.plots)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 if all of ours gave results and no message of ours was lost, reordered or doubled."""
    options = parser().parse_args(arguments)
    cases = select(options)
    console = Console()
    if options.list or not cases:
        console.print("\n".join(case.key for case in cases) or "no such case")
        return 0 if cases else 2
    where = machine.describe()
    if options.profile is not None:
        options.profile.mkdir(parents=True, exist_ok=True)
    rounds = options.rounds or (1 if options.quick else 5)
    others = options.other_rounds or min(rounds, 2)
    runner = Runner(
        cases, lambda case: rounds if is_judged(case) else others, folder=options.environments, profile=options.profile
    )
    _run(runner, console)
    _show(runner, console)
    _write(options, runner, where)
    if options.profile is not None:
        console.print(profile_table(options.profile, runner.results))
    return 0 if _sound(runner) else 1


def _sound(runner: Runner) -> bool:
    ours = [result for result in runner.results.values() if not result.case.peer.is_external]
    delivery = report.faults(runner.results)
    return not any(result.errors for result in ours) and not any(
        count for name, count in delivery.items() if name != "messages"
    )


if __name__ == "__main__":
    sys.exit(main())
