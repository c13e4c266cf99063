"""What the project set out to reach: ratios between two cases of the same run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.runner import Result
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Case, Metric, Scale
from benchmarks.scenarios.endings import ending
from benchmarks.scenarios.held import ENDED, RUNNING
from benchmarks.scenarios.latency import LOADED
from benchmarks.scenarios.restart import EMPTY, found
from benchmarks.scenarios.shapes import HEADLINE, HELD
from benchmarks.scenarios.tailed import channels
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
    second: tuple[str, str] | None
    """The same of the other; None: the number of the first is judged as it is."""
    at_least: float
    aim: float
    variant: str | None = None
    """None: whichever was measured."""
    smaller_is_better: bool = False
    difference: bool = False
    """Subtract instead of dividing."""
    second_variant: str | None = None
    """Of the second; None: the same as of the first."""
    measure: str | None = None
    """The name of the number that is compared; None: the scenario's first."""

    @property
    def metric(self) -> Metric:
        """The number that is compared."""
        metrics = SCENARIOS[self.scenario].metrics
        return next((metric for metric in metrics if metric.name == self.measure), metrics[0])

    @property
    def sides(self) -> list[tuple[str, str, str | None]]:
        """Peer, transport and variant of both, or of the one."""
        first = (*self.first, self.variant)
        return [first] if self.second is None else [first, (*self.second, self.second_variant or self.variant)]

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


def _shape(title: str, variant: str, at_least: float, aim: float, against: str = HEADLINE) -> Goal:
    """A shape of use, relative to another."""
    ours = ("mcpc", "unix")
    return Goal(title, "shapes", ours, ours, at_least, aim, variant=variant, second_variant=against)


def _size(title: str, transport: str, peer: str, size: str, at_least: float, aim: float) -> Goal:
    """Messages of one size, relative to a peer."""
    return Goal(title, "payloads", ("mcpc", transport), (peer, transport), at_least, aim, variant=size)


def _smaller(title: str, scenario: str, ours: str, theirs: tuple[str, str], at_least: float, aim: float) -> Goal:
    """What a peer does in less time is better."""
    return Goal(title, scenario, ("mcpc", ours), theirs, at_least, aim, smaller_is_better=True)


def _number(
    title: str,
    scenario: str,
    ours: tuple[str, str],
    at_least: float,
    aim: float,
    *,
    variant: str | None = None,
    measure: str | None = None,
) -> Goal:
    """A number of ours alone, of which less is better."""
    return Goal(title, scenario, ours, None, at_least, aim, variant=variant, smaller_is_better=True, measure=measure)


WS, UNIX = ("mcpc", "ws"), ("mcpc", "unix")

OVER_REDIS = ("mcpc+redis", "tcp")
REDIS = (
    Goal("Redis and a worker ÷ no store, callbacks/s over tcp", "throughput", OVER_REDIS, ("mcpc", "tcp"), 0.4, 0.7),
    Goal("Redis and a worker ÷ raw Redis, same batches", "throughput", OVER_REDIS, ("raw redis", "tcp"), 0.2, 0.35),
    Goal("Redis and a worker ÷ FastMCP's Docket", "throughput", OVER_REDIS, ("FastMCP's Docket", "tcp"), 10, 20),
    Goal(
        "Redis and a worker: p50 added at 1 000/s, µs",
        "latency",
        OVER_REDIS,
        ("mcpc", "tcp"),
        1000,
        500,
        variant=LOADED,
        smaller_is_better=True,
        difference=True,
    ),
    Goal(
        "1 000 channels tailed by one server: p50 added by Redis and a worker, µs",
        "tailed",
        OVER_REDIS,
        ("mcpc", "tcp"),
        1000,
        500,
        variant=channels(Scale.tailed),
        smaller_is_better=True,
        difference=True,
    ),
)
"""What a store that processes share may cost."""

GOALS = (
    _shape("handle held ÷ headline shape", HELD, 0.85, 0.95),
    _shape("`async for` ÷ headline shape", "async for", 0.85, 0.95),
    _shape("async listener ÷ headline shape", "async listener", 0.6, 0.7),
    _shape("one filter ÷ headline shape", "one filter", 0.8, 0.9),
    _shape("ten listeners ÷ headline shape", "ten listeners", 0.4, 0.5),
    _shape("sync worker ÷ async worker", "sync worker", 0.6, 0.9, against=HELD),
    _shape("nested JSON ÷ headline shape", "nested JSON", 0.28, 0.35),
    _shape("160 small lists ÷ headline shape", "160 small lists", 0.05, 0.06),
    _size("64 KiB over WebSocket ÷ mcp 1.30", "ws", "mcp 1.30", "64 KiB", 2, 3),
    _size("64 KiB over stdio ÷ mcp 1.30", "stdio", "mcp 1.30", "64 KiB", 1.5, 2.5),
    _size("64 KiB over stdio ÷ original 0.2.6", "stdio", "original 0.2.6", "64 KiB", 1.5, 2.5),
    _size("64 KiB over HTTP ÷ mcp 2.3", "http", "mcp 2.3", "64 KiB", 1.5, 2.5),
    _size("64 KiB over unix ÷ raw", "unix", "raw", "64 KiB", 0.3, 0.5),
    _size("1 MiB over unix ÷ raw", "unix", "raw", "1024 KiB", 0.6, 0.8),
    _smaller("5 MB tool result ÷ SDK's time, stdio", "results", "stdio", ("mcp 2.3", "stdio"), 0.6, 0.35),
    _smaller("5 MB tool result ÷ SDK's time, http", "results", "http", ("mcp 2.3", "http"), 1, 0.9),
    Goal(
        "CPU of a callback ÷ raw line, unix, both sides",
        "throughput",
        UNIX,
        ("raw", "unix"),
        1.05,
        0.9,
        smaller_is_better=True,
        measure="cpu_us",
    ),
    Goal("stdio callbacks/s ÷ original 0.2.6", "throughput", ("mcpc", "stdio"), ("original 0.2.6", "stdio"), 35, 45),
    Goal("stdio ÷ mcp 2.3 notifications", "throughput", ("mcpc", "stdio"), ("mcp 2.3", "stdio"), 35, 80),
    Goal("WebSocket ÷ mcp 1.30 WebSocket", "throughput", WS, ("mcp 1.30", "ws"), 35, 45),
    Goal("Streamable HTTP ÷ mcp 2.3 over HTTP", "throughput", ("mcpc", "http"), ("mcp 2.3", "http"), 45, 60),
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
    Goal("p50 at 1 000/s, WebSocket: mcp 1.30 ÷ ours", "latency", ("mcp 1.30", "ws"), WS, 2.5, 4, variant=LOADED),
    Goal(
        "p50 at 1 000/s: HTTP ÷ WebSocket",
        "latency",
        ("mcpc", "http"),
        WS,
        1.6,
        1.2,
        variant=LOADED,
        smaller_is_better=True,
    ),
    Goal(
        "many WebSocket connections ÷ mcp 1.30",
        "connections",
        WS,
        ("mcp 1.30", "ws"),
        25,
        50,
        variant=f"{Scale.connections[0]} connections",
    ),
    Goal(
        "4 000 WebSocket connections: client CPU of setting one up ÷ at 100",
        "connections",
        WS,
        WS,
        1.5,
        1.1,
        variant="4000 connections",
        second_variant="100 connections",
        smaller_is_better=True,
        measure="set_up_us",
    ),
    Goal("fan-out ÷ `websockets.broadcast`", "fanout", ("mcpc, thin clients", "ws"), ("websockets", "ws"), 1, 1.4),
    _smaller("tool call through us ÷ SDK alone, memory", "roundtrip", "memory", ("mcp 2.3", "memory"), 1.3, 1.15),
    _smaller("tool call through us ÷ SDK alone, http", "roundtrip", "http", ("mcp 2.3", "http"), 1.0, 0.85),
    _smaller("tool call through us ÷ SDK alone, stdio", "roundtrip", "stdio", ("mcp 2.3", "stdio"), 0.6, 0.5),
    Goal(
        "ending 30 000 tasks: µs of each ÷ at 1 000",
        "endings",
        UNIX,
        UNIX,
        2,
        1,
        variant=ending(30_000),
        second_variant=ending(1000),
        smaller_is_better=True,
    ),
    _number("ending 30 000 tasks: µs of each", "endings", UNIX, 110, 80, variant=ending(30_000)),
    _number("memory of a running task, KiB", "held", UNIX, 14, 10, variant=RUNNING),
    _number("memory of a task that has ended, KiB", "held", UNIX, 2, 1, variant=ENDED),
    _number("round trips before the first call, tcp", "first call", ("mcpc", "tcp"), 1, 1, measure="before"),
    _number("`import mcpc` ÷ `import mcp`", "starting", ("mcpc", "stdio"), 1.03, 1.01, measure="import_ratio"),
    _number(
        "a stdio server's first answer ÷ the SDK's", "starting", ("mcpc", "stdio"), 1, 0.95, measure="answer_ratio"
    ),
    _number("tracing and metrics off ÷ CPU of a short task", "watching", ("mcpc", "memory"), 0.01, 0.005),
    Goal("SQLite ÷ no store, callbacks/s over tcp", "throughput", ("mcpc+sqlite", "tcp"), ("mcpc", "tcp"), 0.6, 0.9),
    Goal(
        "SQLite: CPU of the server added a callback, µs",
        "throughput",
        ("mcpc+sqlite", "tcp"),
        ("mcpc", "tcp"),
        2,
        1,
        smaller_is_better=True,
        difference=True,
        measure="server_cpu_us",
    ),
    Goal(
        "SQLite: p50 added at 1 000/s, µs",
        "latency",
        ("mcpc+sqlite", "tcp"),
        ("mcpc", "tcp"),
        300,
        150,
        variant=LOADED,
        smaller_is_better=True,
        difference=True,
    ),
    *REDIS,
    Goal(
        "restart with 10 000 channels and 1 000 running tasks: ms added to the first answer",
        "restart",
        ("mcpc+sqlite", "tcp"),
        ("mcpc+sqlite", "tcp"),
        2000,
        500,
        variant=found(Scale.stored_channels, Scale.stored_tasks),
        second_variant=EMPTY,
        smaller_is_better=True,
        difference=True,
    ),
    Goal(
        "memory of an idle WebSocket above the SDK's own server, KiB",
        "memory",
        WS,
        ("mcp 2.3", "memory"),
        20,
        16,
        smaller_is_better=True,
        difference=True,
    ),
)


def is_judged(case: Case) -> bool:
    """Whether a goal is about this case."""
    return any(goal.scenario == case.scenario and any(_fits(case, side) for side in goal.sides) for goal in GOALS)


def _fits(case: Case, side: tuple[str, str, str | None]) -> bool:
    peer, transport, variant = side
    return (case.peer.name, case.transport) == (peer, transport) and variant in (None, case.variant)


def judge(results: Mapping[str, Result]) -> list[Judgement]:
    """The goals of which both sides were measured."""
    judgements: list[Judgement] = []
    for goal in GOALS:
        values = [[] if found is None else found.values(goal.metric) for found in _sides_of(goal, results.values())]
        first, second = values if len(values) == 2 else (values[0], [1.0] * len(values[0]))
        ratio = compare(first, second, goal.how())
        if ratio is not None:
            judgements.append(Judgement(goal, ratio, goal.verdict(ratio.value)))
    return judgements


def _sides_of(goal: Goal, results: Iterable[Result]) -> list[Result | None]:
    return [_find(results, goal, side) for side in goal.sides]


def _find(results: Iterable[Result], goal: Goal, side: tuple[str, str, str | None]) -> Result | None:
    found = (one for one in results if one.case.scenario == goal.scenario and _fits(one.case, side))
    return next(found, None)
