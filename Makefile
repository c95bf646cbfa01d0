# The two commands: make demo, make test. Both set themselves up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Tests wait more than they work: one worker more than CI has processors.
WORKERS ?= 3

.PHONY: demo test quick long crash bench deb lock lint types contracts setup clean
demo: $(STAMP)
	$(BIN)/possim demo

test: lint types contracts
	$(BIN)/pytest -n $(WORKERS) -m "not long" --cov --cov-report=term:skip-covered

quick: lint
	$(BIN)/pytest -q -n 2 -m "not slow and not long and not peer"

long: $(STAMP)
	$(BIN)/pytest -m long

# Every point, which takes its time; STEP=8 takes every eighth.
STEP ?= 1
crash: $(STAMP)
	$(BIN)/pytest tests/crash --crash-step=$(STEP)

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks

# ARCHITECTURE=arm64 builds that one, on any machine
deb: $(STAMP)
	$(BIN)/python packaging/build.py $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE))

lock: $(STAMP)
	$(BIN)/python packaging/lock.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

setup: $(STAMP)
$(STAMP): setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[simulator,test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
