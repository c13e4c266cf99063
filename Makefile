# Everything a newcomer needs: `make demo` and `make test`. Needs Python >= 3.11 and make; the rest is installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint format pytest peers ecosystem browser chromium bench conformance soak kills replicas coverage docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         a server, a client, callbacks live on screen"
	@echo "make test         format, lint, types and tests"
	@echo "make lint         format, lint and types only"
	@echo "make peers        other people's clients and servers, and the table of docs/ecosystem.md; fetches packages once"
	@echo "make browser      only the page of examples/browser, in Chromium, which is installed (Debian, as root)"
	@echo "make ecosystem    writes that table anew, of what they see"
	@echo "make coverage     how much of each file its own tests reach; OF=server for one room"
	@echo "make docs         write what is made from the code: docs/api.md, docs/states.md"
	@echo "make bench        the benchmark (see docs/performance.md)"
	@echo "make conformance  the official suite: tasks, and through the bridge"
	@echo "make soak         200 clients and faults at random, 10 minutes, then each parser under fuzz; SECONDS=20 SEED=7"
	@echo "make kills        kill -9 of a server at each step of its store; SEEDS=1 for a short run; goes on where it was broken off"
	@echo "make replicas     two servers, two workers, one Redis, 100 clients, and kill -9 in the middle; SEEDS=20 SECONDS=60, or ROLLING=1"
	@echo "make clean        remove everything that was made here"

$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mcpc needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)
	$(BIN)/mcpc demo

test: lint pytest

lint: $(READY)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/pyright
	$(BIN)/mypy tests/house/consumer
	$(BIN)/python tests/house/check_types.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pytest: $(READY)
	$(BIN)/pytest --numprocesses 2

peers: $(READY)
	PYTHONPATH=. $(BIN)/python tests/kits/peers_kit.py
	MCPC_PEERS=1 $(BIN)/pytest --timeout 600 tests/peers

ecosystem: $(READY)
	PYTHONPATH=. $(BIN)/python tests/kits/peers_kit.py
	MCPC_PEERS=write $(BIN)/pytest --timeout 600 tests/peers/test_matrix.py

chromium:
	command -v chromium >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; }

browser: $(READY) chromium
	MCPC_BROWSER=required $(BIN)/pytest tests/browser

coverage: $(READY)
	$(BIN)/python tests/house/own_coverage.py $(OF)

docs: $(READY)
	$(BIN)/python docs/make_api.py
	$(BIN)/python docs/make_states.py

bench: $(READY)
	$(BIN)/python -m benchmarks

conformance: $(READY)
	$(BIN)/python tests/conformance/run.py
	$(BIN)/python tests/conformance/bridge.py

SECONDS ?= 600
SEED ?= 1

soak: $(READY)
	$(BIN)/python tests/soak/soak.py --seconds $(SECONDS) --seed $(SEED)
	$(BIN)/python tests/soak/fuzz.py --seconds $$(( $(SECONDS) / 10 )) --seed $(SEED)

SEEDS ?= 20

kills: $(READY)
	$(BIN)/python tests/soak/kills.py --seeds $(SEEDS)

replicas: $(READY)
	$(BIN)/python examples/replicas/run.py --seeds $(if $(filter command line,$(origin SEEDS)),$(SEEDS),1) \
		--seconds $(if $(filter command line,$(origin SECONDS)),$(SECONDS),0) $(if $(ROLLING),--rolling)

clean:
	rm -rf $(VENV) .work .pytest_cache .ruff_cache .hypothesis build dist node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
