"""How much of each file its own tests reach: `make coverage`, or `make coverage OF=server` for one room alone.

A file's own tests are those of its name in the room's folder: `mcpc/server/journal.py` has
`tests/server/test_journal.py`. What other tests reach of it does not count. Lines that run when a file is imported do.
"""

import importlib
import sys
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "kits"))

from house_kit import HOMES, MODULES, ROOT, path_of

__all__: list[str] = []

TESTS = ROOT / "tests"

QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""What is measured was imported before pytest could rewrite its asserts."""


def own_tests(module: str) -> Path | None:
    """The test file of a module's name."""
    package, *parts = module.split(".")
    room = "transports" if package == "mcpc_transports" else (parts[0] if len(parts) > 1 else "core")
    if not parts:
        return None
    found = TESTS / room / f"test_{'_'.join(parts[1:]) if len(parts) > 1 else parts[0]}.py"
    return found if found.is_file() else None


class ByFile:
    """Tells the measurement which test file is running."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._measured.switch_context(str(item.path))
        result = yield
        self._measured.switch_context("")
        return result


def measure(files: set[Path]) -> tuple[coverage.Coverage, int]:
    """Run the test files once, and keep for each line which of them reached it."""
    measured = coverage.Coverage(data_file=None, source=[str(home) for home in HOMES.values()], config_file=False)
    measured.start()
    for module in MODULES:
        if not module.endswith("__main__"):
            importlib.import_module(module)
    code = pytest.main([*map(str, sorted(files)), "-p", "no:xdist", *QUIET], plugins=[ByFile(measured)])
    measured.stop()
    return measured, int(code)


def reached(measured: coverage.Coverage, path: Path, tests: Path) -> tuple[int, int]:
    """How many of a file's statements its own tests reach, and how many it has."""
    data = measured.get_data()
    data.set_query_contexts(["^$", f"^{tests}$"])
    lines = set(data.lines(str(path)) or ())
    data.set_query_contexts(None)
    statements = set(measured.analysis2(str(path))[1])
    return len(lines & statements), len(statements)


def main(wanted: str = "") -> int:
    """Measure the modules whose names begin with `mcpc.` and what is wanted; all, where nothing is."""
    modules = [module for module in MODULES if f"{module}.".startswith(f"mcpc.{wanted}." if wanted else "")]
    own = {module: tests for module in modules if (tests := own_tests(module)) is not None}
    measured, code = measure(set(own.values()))
    for module, tests in own.items():
        count, of = reached(measured, MODULES[module], tests)
        print(f"{100 * count / max(of, 1):5.0f} %  {path_of(module):52} {tests.relative_to(ROOT)}")
    for module in sorted({*modules} - own.keys()):
        if MODULES[module].name not in ("__init__.py", "__main__.py"):
            print(f"   no test file of its name: {path_of(module)}")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
