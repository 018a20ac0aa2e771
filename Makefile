# What a person types. `make check` runs what CI runs: .ci/run is the same two targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo results test test-all clients lint check lock hooks clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
# Name another interpreter with `make setup PYTHON=/path/to/python`.
PYTHON ?=
# `make lock` keeps the pins that still fit; `make lock UPGRADE=--upgrade` moves them all.
UPGRADE ?=

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## make .venv from requirements.lock (once; again when the lock changes)

$(STAMP): requirements.lock pyproject.toml
	@python="$(PYTHON)"; \
	for candidate in python3.11 python3.12 python3.13 python3 python; do \
	  test -z "$$python" || break; \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	    >/dev/null 2>&1; then python="$$candidate"; fi; \
	done; \
	if test -z "$$python"; then \
	  echo "threadlite needs Python 3.11, 3.12 or 3.13, and none is on the PATH." >&2; \
	  echo "Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || "$$python" -m venv $(VENV); \
	echo "Installing into $(VENV) with $$($(BIN)/python --version): some minutes the first time."; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## train, optimize, deploy, bench and report on the rendered garments
	@$(BIN)/threadlite run plans/demo.toml
	@for bundle in runs/demo/bundles/*/; do $(BIN)/threadlite deploy verify "$$bundle"; done

PLAN ?= plans/clothing.toml
# More words for `threadlite run`, such as RUN="--weights resnet50-v2-17=FILE".
RUN ?=
results: setup  ## run PLAN (plans/clothing.toml) on DATA and land its results in docs/ and README.md
	@test -n "$(DATA)" || { echo "name the photos: make results DATA=PATH" >&2; exit 2; }
	@$(BIN)/threadlite run $(PLAN) $(RUN) --data "$(DATA)" --out runs/$(basename $(notdir $(PLAN)))
	@$(BIN)/python docs/results/publish.py runs/$(basename $(notdir $(PLAN))) $(PLAN)

# Each worker takes whole files, so that what a file's tests share is made once.
WORKERS ?= 2
test: setup  ## the tests that CI runs
	@$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile

# What the tests of foreign clients need: npm's runtimes of the page and MediaPipe's environment.
# Without them, or without Chromium, those tests are skipped and say so.
clients: setup  ## bring npm's runtimes and MediaPipe into build/clients, for their tests
	@$(BIN)/python -m tests.prepare_clients

test-all: setup  ## every test, the long proofs too
	@$(BIN)/python -m pytest

lint: setup  ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check: lint  ## exactly what CI runs
	@$(MAKE) --no-print-directory test

lock:  ## write requirements.lock again from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv" >&2; exit 1; }
	uv pip compile pyproject.toml --extra dev --output-file requirements.lock --quiet $(UPGRADE) \
	  --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

hooks: setup  ## run the linters before each commit
	$(BIN)/pre-commit install

clean:  ## remove .venv and every cache; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist *.egg-info
