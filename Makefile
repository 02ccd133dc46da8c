# Two commands do it all from a clean clone: `make demo` and `make test`. `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
QUICK := tests/unit tests/golden tests/components tests/architecture
STAMP := .venv/.set-up

.PHONY: help setup tools check test prove bench demo clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## the virtual environment with all pinned packages and the grove command

$(STAMP): requirements/dev.txt pyproject.toml operator/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name it: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e operator -e .
	touch $@

tools: setup ## the programs of the local cluster: found, downloaded or built
	$(BIN)/grove tools

check: setup ## lint, types, import rules, generated files and the quick tests; under a minute
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/grove crds --check
	$(BIN)/pytest -q -n 2 $(QUICK)

# The last line of `test`: whole files, so that a story and its cluster stay in one process; end to end first, because
# those files take longest. KWOK is got before it: to build it takes minutes, and a test has five.
test: check tools ## check, then properties, simulations and everything that needs real programs
	$(BIN)/pytest -q -n 2 tests/property tests/sim
	$(BIN)/grove tools kwok
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder tests/e2e tests/conformance

prove: tools ## the full proofs of one issue (ISSUE=n), at most an hour, resumable; writes docs/proofs.md
	$(BIN)/python -m tests.prove $(ISSUE)

bench: tools ## decisions and their quality, then bindings and grove-scale end to end: figures for docs/performance.md
	$(BIN)/python -m tests.bench.decisions
	$(BIN)/python -m tests.bench.quality
	$(BIN)/python -m tests.bench.binding
	$(BIN)/python -m tests.bench.grove_scale --replicas $(or $(REPLICAS),500)

demo: setup ## a local GPU cluster, the stack on it, and what came of it
	examples/demo.sh

clean: ## stop the local cluster; remove .grove, .venv and caches of tools (not the built programs)
	if [ -x $(BIN)/grove ]; then $(BIN)/grove down --delete; fi
	rm -rf .grove .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
