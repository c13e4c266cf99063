"""What the project set out to reach: ratios between two cases of the same run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.runner import Result
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Case, Metric
from benchmarks.scenarios.latency import LOADED
from benchmarks.stats import Ratio, compare

__all__ = ["GOALS", "Goal", "Judgement", "is_judged", "judge"]

Verdict = Literal["aim", "least", "missed"]


@dataclass(frozen=True)
class Goal:
    """A ratio, or a difference, and what it shall be."""

    title: str
    scenario: str
    first: tuple[str, str]
    """Peer and transport."""
    second: tuple[str, str]
    at_least: float
    aim: float
    variant: str | None = None
    """None: whichever was measured."""
    smaller_is_better: bool = False
    difference: bool = False
    """Subtract instead of dividing."""

    @property
    def metric(self) -> Metric:
        """The number that is compared."""
        return SCENARIOS[self.scenario].metrics[0]

    def how(self) -> Callable[[float, float], float]:
        """Of two numbers, the one that is judged."""
        return (lambda a, b: a - b) if self.difference else (lambda a, b: a / b if b else float("inf"))

    def verdict(self, value: float) -> Verdict:
        """Which mark it reaches."""
        sign = -1 if self.smaller_is_better else 1
        if sign * value >= sign * self.aim:
            return "aim"
        return "least" if sign * value >= sign * self.at_least else "missed"


@dataclass(frozen=True)
class Judgement:
    """A goal, and what was measured."""

    goal: Goal
    ratio: Ratio
    verdict: Verdict


GOALS = (
    Goal("stdio callbacks/s ÷ original 0.2.6", "throughput", ("mcpc", "stdio"), ("original 0.2.6", "stdio"), 20, 40),
    Goal("stdio ÷ mcp 2.3 notifications", "throughput", ("mcpc", "stdio"), ("mcp 2.3", "stdio"), 35, 80),
    Goal("WebSocket ÷ mcp 1.30 WebSocket", "throughput", ("mcpc", "ws"), ("mcp 1.30", "ws"), 15, 40),
    Goal("Streamable HTTP ÷ mcp 2.3 over HTTP", "throughput", ("mcpc", "http"), ("mcp 2.3", "http"), 10, 30),
    Goal("unix ÷ raw, one write each", "throughput", ("mcpc", "unix"), ("raw", "unix"), 0.5, 1),
    Goal("in memory ÷ mcp 2.3 in memory (auto)", "throughput", ("mcpc", "memory"), ("mcp 2.3", "memory"), 1, 2),
    Goal(
        "p50 at 1 000/s, stdio: original ÷ ours",
        "latency",
        ("original 0.2.6", "stdio"),
        ("mcpc", "stdio"),
        3,
        5,
        variant=LOADED,
    ),
    Goal(
        "p50 at 1 000/s, WebSocket: mcp 1.30 ÷ ours",
        "latency",
        ("mcp 1.30", "ws"),
        ("mcpc", "ws"),
        2.5,
        4,
        variant=LOADED,
    ),
    Goal("many WebSocket connections ÷ mcp 1.30", "connections", ("mcpc", "ws"), ("mcp 1.30", "ws"), 25, 50),
    Goal("fan-out ÷ `websockets.broadcast`", "fanout", ("mcpc, thin clients", "ws"), ("websockets", "ws"), 1, 1.4),
    *(
        Goal(
            f"tool call through us ÷ SDK alone, {transport}",
            "roundtrip",
            ("mcpc", transport),
            ("mcp 2.3", transport),
            1.1,
            1.0,
            smaller_is_better=True,
        )
        for transport in ("stdio", "http", "memory")
    ),
    Goal(
        "tool call through us ÷ SDK over its own streams, memory",
        "roundtrip",
        ("mcpc", "memory"),
        ("mcp 2.3 streams", "memory"),
        1.1,
        1.0,
        smaller_is_better=True,
    ),
    Goal(
        "memory of an idle WebSocket above the SDK's own server, KiB",
        "memory",
        ("mcpc", "ws"),
        ("mcp 2.3", "memory"),
        25,
        16,
        smaller_is_better=True,
        difference=True,
    ),
)


def is_judged(case: Case) -> bool:
    """Whether a goal is about this case."""
    who = (case.peer.name, case.transport)
    return any(
        goal.scenario == case.scenario and who in (goal.first, goal.second) and goal.variant in (None, case.variant)
        for goal in GOALS
    )


def judge(results: Mapping[str, Result]) -> list[Judgement]:
    """The goals of which both sides were measured."""
    judgements: list[Judgement] = []
    for goal in GOALS:
        first, second = _find(results.values(), goal, goal.first), _find(results.values(), goal, goal.second)
        if first is None or second is None:
            continue
        ratio = compare(first.values(goal.metric), second.values(goal.metric), goal.how())
        if ratio is not None:
            judgements.append(Judgement(goal, ratio, goal.verdict(ratio.value)))
    return judgements


def _find(results: Iterable[Result], goal: Goal, who: tuple[str, str]) -> Result | None:
    for result in results:
        case = result.case
        if (case.scenario, case.peer.name, case.transport) == (goal.scenario, *who) and goal.variant in (
            None,
            case.variant,
        ):
            return result
    return None
