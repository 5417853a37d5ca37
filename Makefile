# Two commands matter: `make demo` and `make test`. Both set up what they need; `make help` lists the rest.
# PYTHON chooses the interpreter (3.11 or later), ONCE=1 lets the demo end by itself.

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
            $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/runtime.installed
DEV := $(VENV)/dev.installed
TESTS ?= tests
JOBS ?= 2

# Everything comes from the lock files, with hashes; sources are built by the pinned setuptools, not by one fetched meanwhile.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-build-isolation --no-deps
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench chaos lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## See the whole road work, on a real Kafka of its own (ONCE=1: end by itself).
	@$(BIN)/espmail demo $(if $(ONCE),--once)

test: $(DEV) ## Run every test, on real servers that the tests start themselves (TESTS=path: only those; JOBS=n: n files at a time).
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(TESTS)

check: $(DEV) ## Format, lint and types.
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

format: $(DEV) ## Format the code, and mend what the linter can.
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

bench: $(DEV) ## Measure the outgoing road beside smtp-source, in one run.
	@$(BIN)/python -m benchmarks

chaos: $(DEV) ## Kill processes at random for some minutes, and check that nothing was lost or doubled.
	@$(BIN)/python -m tests.chaos

lock: ## Choose the versions of the dependencies anew (needs the network), within pyproject.toml.
	@$(PYTHON) -m venv var/lock && var/lock/bin/python -m pip --quiet --disable-pip-version-check install uv
	@var/lock/bin/$(LOCK) --upgrade pyproject.toml -o requirements.lock
	@var/lock/bin/$(LOCK) --upgrade --extra dev pyproject.toml -o requirements-dev.lock
	@echo 'setuptools>=77' | var/lock/bin/$(LOCK) --upgrade --no-annotate - -o requirements-build.lock

clean: ## Remove the virtual environment and the caches; the var folder, with the mail in it, stays.
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

$(VENV)/bin/python:
	@$(if $(PYTHON),,echo 'make: espmail needs Python 3.11 or later; install it, or run make PYTHON=/path/to/python' >&2; exit 1)
	@echo 'Setting up $(VENV) (once; it takes a minute or some)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'make: no virtual environment; on Debian: apt-get install python3-venv' >&2; exit 1; }

$(RUNTIME): $(VENV)/bin/python requirements-build.lock requirements.lock pyproject.toml
	@$(PIP) --require-hashes -r requirements-build.lock
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
