"""Runs the cases: each in processes of its own, interleaved (A B C A B C …), a failure of one no harm to the others."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environments import DEFAULT_FOLDER, Environment, EnvironmentFailed, variables
from benchmarks.scenarios.base import Case, Metric

__all__ = ["Failure", "Result", "Runner"]

SCRIPTS = Path(__file__).parent / "peers"
FAULTS = ("lost", "reordered", "duplicates")


class Failure(Exception):
    """A case gave no results; the text says why."""


@dataclass
class Result:
    """What the rounds of one case gave."""

    case: Case
    rounds: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    errors: list[str] = field(default_factory=list[str])

    def values(self, metric: Metric) -> list[float]:
        """One number of each round."""
        found = [values.get(metric.name) for values in self.rounds]
        return [value / metric.divide_by for value in found if value is not None]

    def fault(self, name: str) -> int:
        """How many messages were lost, reordered or duplicated, in all rounds."""
        return sum(values.get(name, 0) for values in self.rounds)

    @property
    def messages(self) -> int:
        """How many messages came, in all rounds."""
        return sum(values.get("count", 0) for values in self.rounds)

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        case = self.case
        return {
            "scenario": case.scenario,
            "peer": case.peer.name,
            "transport": case.transport,
            "variant": case.variant,
            "job": case.argument(),
            "rounds": self.rounds,
            "errors": self.errors,
        }


class Runner:
    """Runs cases and keeps what they gave.

    Args:
        cases: The cases, in the order of a round.
        rounds: How often each is run: a number, or a function of the case.
        folder: Where the peers' environments are.
        profile: A folder for the samples of our scripts; None for no sampling.
    """

    def __init__(
        self,
        cases: Iterable[Case],
        rounds: int | Callable[[Case], int],
        *,
        folder: Path = DEFAULT_FOLDER,
        profile: Path | None = None,
    ) -> None:
        self.results = {case.key: Result(case) for case in cases}
        self._rounds = rounds
        self._folder = folder
        self._profile = profile
        self._unusable: dict[str, str] = {}

    def rounds_of(self, case: Case) -> int:
        """How often a case is run."""
        return self._rounds(case) if callable(self._rounds) else self._rounds

    @property
    def steps(self) -> int:
        """How many runs there are."""
        return sum(self.rounds_of(result.case) for result in self.results.values())

    @property
    def environments(self) -> Sequence[Environment]:
        """The environments that the cases need."""
        return list(dict.fromkeys(result.case.peer.environment for result in self.results.values()))

    def prepare(self, tell: Callable[[str], None]) -> None:
        """Make the environments. One that cannot be made fails its cases, not the others."""
        for environment in self.environments:
            if not environment.is_made(self._folder):
                tell(f"making the environment of {environment.name}")
            try:
                environment.make(self._folder)
            except EnvironmentFailed as exc:
                self._unusable[environment.name] = str(exc)

    def run(self, before: Callable[[Case, int], None], after: Callable[[Result], None]) -> None:
        """Run everything: scenario by scenario, and within each round by round."""
        for scenario in dict.fromkeys(result.case.scenario for result in self.results.values()):
            mine = [result for result in self.results.values() if result.case.scenario == scenario]
            for number in range(max(self.rounds_of(result.case) for result in mine)):
                for result in mine:
                    if number < self.rounds_of(result.case):
                        before(result.case, number)
                        self._run_one(result)
                        after(result)

    def _run_one(self, result: Result) -> None:
        unusable = self._unusable.get(result.case.peer.environment.name)
        try:
            if unusable is not None:
                raise Failure(unusable)
            result.rounds.append(self.measure(result.case))
        except Failure as exc:
            result.errors.append(str(exc))

    def measure(self, case: Case) -> dict[str, Any]:
        """Run one case once.

        Raises:
            Failure: it failed, or took too long.
        """
        environment = case.peer.environment
        job = case.argument()
        if self._profile is not None:
            job["profile"] = str(self._profile / f"{case.scenario}-{case.transport}")
        command = [environment.python(self._folder), str(SCRIPTS / case.peer.script), json.dumps(job)]
        output, errors, status = _call(command, dict(variables(environment)), case.timeout)
        lines = output.strip().splitlines()
        if status != 0 or not lines:
            raise Failure(_last_words(errors) or f"no results (exit status {status})")
        try:
            return json.loads(lines[-1])
        except ValueError as exc:
            raise Failure(f"not results: {lines[-1][:200]}") from exc


def _call(command: list[str], environment: dict[str, str], timeout: float) -> tuple[str, str, int]:
    """Run a script and what it starts in a process group of their own, so that none of them outlives its time."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _end_group(process)
        raise Failure(f"no results within {timeout:g} s") from None
    except BaseException:
        _end_group(process)
        raise
    return output, errors, process.returncode


def _end_group(process: "subprocess.Popen[str]") -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()


def _last_words(errors: str) -> str:
    """The line of a traceback that says what happened."""
    lines = [line.strip(" |+-") for line in errors.splitlines()]
    telling = [line for line in lines if line and not line.startswith(("File ", "Traceback"))]
    return telling[-1][:300] if telling else ""
