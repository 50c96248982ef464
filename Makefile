# Kinemesh. `make` prints what there is.

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.kinemesh-setup
SYSTEM_PYTHON := $(shell for p in python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
PROMPT ?= a red ball bouncing on green grass
export PROMPT

.DEFAULT_GOAL := help
.PHONY: help setup run up down status logs test check protos clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv; does nothing when that is done

$(STAMP): pyproject.toml requirements.lock deploy/local/servers.lock
	@test -n "$(SYSTEM_PYTHON)" || { echo "Kinemesh needs Python 3.11; none is on the PATH (e.g. apt-get install python3.11 python3.11-venv)"; exit 1; }
	@test -x $(PYTHON) || $(SYSTEM_PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(SYSTEM_PYTHON) cannot make a virtual environment: apt-get install $(SYSTEM_PYTHON)-venv"; exit 1; }
	$(PYTHON) -m pip install --quiet --constraint requirements.lock torch==2.13.0
	$(PYTHON) -m pip install --quiet --requirement requirements.lock
	$(PYTHON) -m pip install --quiet --no-deps --require-hashes --requirement deploy/local/servers.lock
	$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

run: setup ## make a video: make run PROMPT="a red ball bouncing on green grass"
	@$(PYTHON) -m deploy.local run "$$PROMPT"

up: setup ## start the whole mesh in the background
	@$(PYTHON) -m deploy.local up

down: ## stop the mesh; its data stays in .kinemesh
	@$(PYTHON) -m deploy.local down

status: ## say which processes of the mesh run
	@$(PYTHON) -m deploy.local status

logs: ## follow the logs of all processes
	@$(PYTHON) -m deploy.local logs --follow

test: check ## every check and every test
	$(PYTHON) -m pytest

check: setup ## style, types, import boundaries, contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	cd protos && ../$(VENV)/bin/buf lint && ../$(VENV)/bin/buf format --diff --exit-code
	$(PYTHON) protos/generate.py --check

protos: setup ## generate the Python code of the contracts
	$(PYTHON) protos/generate.py

clean: down ## delete the mesh's data and every cache; keeps .venv
	rm -rf .kinemesh out build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
