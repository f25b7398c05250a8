# `make` alone lists what there is. Nothing needs an activated environment: everything runs from .venv, which `make install` fills.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := streamer agents state load_tests tests

# `make demo EVENTS=5000 RATE=500 DATA=events.csv`
EVENTS ?=
RATE ?=
DATA ?=
INPUTS ?=
ARGS ?=

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'
	@echo
	@echo "  Habits: make check before every commit, make test before every push; one file: .venv/bin/pytest tests/core/test_profile.py"
	@echo "  The program itself: .venv/bin/streamer --help"

.PHONY: install
install: $(STAMP) ## create .venv with the versions of requirements.lock (Python 3.11 or newer is all it needs)

# A python on the PATH may be a shim for a version that is not there, so each is asked to run before it is taken.
$(STAMP): pyproject.toml requirements.lock
	@if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found=; \
	    for python in $${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do \
	        if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "No Python 3.11 or newer with venv was found. Install one (Debian: apt install python3 python3-venv), or name it: make install PYTHON=/path/to/python3" >&2; \
	        exit 1; \
	    fi; \
	    echo "Creating $(VENV) with $$($$found --version)"; \
	    rm -rf $(VENV); \
	    $$found -m venv $(VENV); \
	fi
	@echo "Installing (two minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: $(STAMP) ## embedded Kafka, one worker, real shop events in, push candidates out; EVENTS= RATE= DATA= choose others
	@$(BIN)/streamer demo $(if $(EVENTS),--events $(EVENTS)) $(if $(RATE),--rate $(RATE)) $(if $(DATA),--data "$(DATA)") $(ARGS)

.PHONY: test
test: $(STAMP) ## the whole suite, with real Kafka started once
	@$(BIN)/python -m tests $(ARGS)

.PHONY: check
check: lint fast ## what must be green before a commit, in about a minute: lint, format, types, layers, the quick tests that need no broker

.PHONY: lint
lint: $(STAMP) ## ruff, its formatting, mypy, import-linter
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: fast
fast: $(STAMP)
	@$(BIN)/python -m tests --fast $(ARGS)

.PHONY: format
format: $(STAMP) ## put the code into its one format and fix what ruff can fix
	@$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.PHONY: bench
bench: $(STAMP) ## throughput, latency, recovery, take-over, outage and timers on this machine, in bench/*.json (three quarters of an hour)
	@mkdir -p bench
	@$(BIN)/python -m load_tests.throughput --json bench/throughput.json
	@$(BIN)/python -m load_tests.latency --json bench/latency.json
	@$(BIN)/python -m load_tests.recovery --json bench/recovery.json
	@$(BIN)/python -m load_tests.takeover --json bench/takeover.json
	@$(BIN)/python -m load_tests.outage --json bench/outage.json
	@$(BIN)/python -m load_tests.timers --json bench/timers.json

# `make faults ROUNDS=50 SEED=1`; more by ARGS, such as ARGS="--only zombie,cut --json bench/faults.json"
ROUNDS ?= 3
SEED ?= 1

.PHONY: faults
faults: $(STAMP) ## kill, stop, cut and corrupt a system under load, and hold it to its invariants; ROUNDS= SEED= (a minute or two each)
	@mkdir -p bench
	@$(BIN)/python -m tests.faults --rounds $(ROUNDS) --seed $(SEED) --json bench/faults.json $(ARGS)

# `make fuzz INPUTS=100000 SEED=7`
.PHONY: fuzz
fuzz: $(STAMP) ## a million spoilt records, replica rows and files: nothing raises, each is accounted for; INPUTS= SEED=
	@$(BIN)/python -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS)) --seed $(SEED) $(ARGS)

.PHONY: soak
soak: $(STAMP) ## half an hour at 5,000 events/s: memory, files, disk, commits and lag, as bench/soak.json and bench/soak.svg
	@mkdir -p bench
	@$(BIN)/python -m load_tests.soak --json bench/soak.json --svg bench/soak.svg $(ARGS)

# `make experiment SHOPS=fashion SEEDS=2`; more by ARGS, such as ARGS="--days 4 --set core.policy.per_day=2"
SHOPS ?= fashion,grocery,electronics
SEEDS ?= 5

.PHONY: experiment
experiment: $(STAMP) ## policies against one another in simulated shops, as bench/experiment/report.html; SHOPS= SEEDS= (an hour)
	@$(BIN)/python -m load_tests.experiment --shops $(SHOPS) --seeds $(SEEDS) --out bench/experiment $(ARGS)

# `make governance SHOPS=fashion SEED=2`
.PHONY: governance
governance: $(STAMP) ## simulated shops with killed workers, held to every rule of governance; SHOPS= SEED= (minutes)
	@$(BIN)/python -m tests.governance --shops $(SHOPS) --seed $(SEED) $(ARGS)

.PHONY: console
console: $(STAMP) ## a Python prompt in the project's environment
	@$(BIN)/python

.PHONY: lock
lock: ## resolve pyproject.toml anew into requirements.lock (then: make check test)
	@rm -rf build/lock && python=$$($(BIN)/python -c 'import sys; print(sys._base_executable)') && $$python -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --upgrade setuptools ".[dev]"
	@{ sed -n 1p requirements.lock; build/lock/bin/python -m pip freeze --all | grep -viE '^(pip|streamer)\b'; } > build/requirements.lock
	@mv build/requirements.lock requirements.lock && rm -rf build/lock

.PHONY: clean
clean: ## remove what was made here: the environment, caches, reports
	@rm -rf $(VENV) build dist bench *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-report.json evaluate.json
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
