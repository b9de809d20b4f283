# One door for people and for CI. Every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
STORY := both
# Three files of tests at once on two cores: many wait for the processes that they start. A worker that
# dies ends the session: one that takes its place would be waited for, for ever. In the order of folders:
# tests/conftest.py gives some of them whole to one worker.
WORKERS := -n 3 --no-loadscope-reorder --max-worker-restart 0

.PHONY: demo test test-all check bench screenshots lock clean

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) (about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
# On all cores, where pip compiles on one; what is hardly ever imported waits until it is. Some
# packages carry templates that are no Python.
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/|/transformers/models/' $(VENV)/lib || true
	@touch $@

demo: $(STAMP) ## the whole loop, in two stories; STORY=meter or STORY=hotline tells one
	@$(BIN)/dizuo demo --story $(STORY)

check: $(STAMP) ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## what CI runs
	$(BIN)/python -m pytest -m "not slow" $(WORKERS) --cov --cov-report=term

test-all: check ## the slow campaigns too
	$(BIN)/python -m pytest $(WORKERS) --cov --cov-report=term

bench: $(STAMP) ## every figure in docs/benchmarks.md
	$(BIN)/python -m benchmarks.check_in --sites 10000
	$(BIN)/python -m benchmarks.vision_scenarios
	$(BIN)/python -m benchmarks.vision_update
	$(BIN)/python -m benchmarks.update
	$(BIN)/python -m benchmarks.scenarios
	$(BIN)/python -m benchmarks.runtime
	$(BIN)/python -m benchmarks.attention
	$(BIN)/python -m benchmarks.labels --jobs 2
	$(BIN)/python -m benchmarks.console

screenshots: $(STAMP) ## pictures of the console, from a demo that was left running by --keep
	$(BIN)/python -m docs.screenshots

lock: ## renew requirements.lock from pyproject.toml
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet torch==2.13.0
	build/lock/bin/python -m pip install --quiet ".[dev]"
	build/lock/bin/python -m pip freeze --exclude dizuo | sed 's/+cpu$$//' > requirements.lock

clean:
	rm -rf build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .dizuo-demo
