# Everything runs from .venv, which is built from requirements.lock on first use. Needs only make and Python 3.11+.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
PYTEST_ARGS ?=
SOAK_ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
STAMP := .venv/.installed
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --no-strip-extras --no-header --annotation-style line

# sam looks for the interpreter of the functions on the path.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export AWS_EC2_METADATA_DISABLED := true

.PHONY: help venv demo test unit integration e2e lint format types contracts templates fuzz rights soak bench schemas lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Build .venv from requirements.lock

# The lock names every package, so nothing is left for pip to resolve; `pip check` proves it.
# The project's own metadata is in the prerequisites: a change of its console script has to be installed too.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Muster needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --require-hashes --no-deps -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	$(PIP) check
	@touch $@

demo: $(STAMP) ## Show the product at work on a local AWS, from sam deploy to a clean end
	$(BIN)/python -m local.demo

# What needs an AWS runs in three processes, since it waits a good deal, a file as a whole in one of them: each has a
# local AWS and a control plane of its own. The longest files come first.
test: $(STAMP) ## Unit, integration and end-to-end tests
	$(BIN)/python -m pytest tests/unit tests/proof tests/fuzz tests/races tests/rights tests/scale tests/soak -n auto --dist worksteal $(PYTEST_ARGS)
	$(BIN)/python -m pytest tests/e2e tests/slurm tests/integration -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

unit integration e2e: $(STAMP)
	$(BIN)/python -m pytest tests/$@ $(PYTEST_ARGS)

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## Let ruff put right what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## Strict type check
	$(BIN)/basedpyright

contracts: $(STAMP) ## Import contracts: who may import whom
	$(BIN)/lint-imports

templates: $(STAMP) ## Check the control plane's template
	$(BIN)/sam validate --lint --template template.yaml --region us-east-1
	$(BIN)/cfn-lint template.yaml

fuzz: $(STAMP) ## 20,000 cases each: specs, damaged items, rows of nodes, items and events through the handlers
	$(BIN)/python -m tests.fuzz --cases 20000

rights: $(STAMP) ## Take each right from each role in turn; prints how many are missed
	$(BIN)/python -m pytest tests/rights/mutants.py tests/rights/test_table.py -n 2 $(PYTEST_ARGS)

soak: $(STAMP) ## 200 clusters on a local AWS, 20 minutes of edits, 5% of calls failing; SOAK_ARGS for less
	$(BIN)/python -m tests.soak $(SOAK_ARGS)

bench: $(STAMP) ## Print one figure a line, write bench/results.json
	$(BIN)/python -m bench

schemas: $(STAMP) ## Generate the published JSON Schemas from the models
	$(BIN)/python -m reconciler.cluster.schema > schemas/cluster.v1.json.new
	mv schemas/cluster.v1.json.new schemas/cluster.v1.json

lock: ## Resolve the dependencies anew (needs uv)
	$(COMPILE) --generate-hashes --all-extras --upgrade -o requirements.lock pyproject.toml
	$(COMPILE) --no-annotate -c requirements.lock -o lambda/requirements.txt lambda/requirements.in

clean: ## Remove all that is made here, .venv too
	rm -rf .venv .aws-sam .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
