# Kinemesh. `make` prints what there is.

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.kinemesh-setup
SYSTEM_PYTHON := $(shell for p in python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
PROMPT ?= a red ball bouncing on green grass
PROMPTS ?= 100
SEEDS ?= 20
MINUTES ?= 0
CASES ?= 4000
STREAMS ?= 5000
JOBS ?= 50
SECONDS ?= 30
BASE ?= HEAD
export PROMPT

.DEFAULT_GOAL := help
.PHONY: help setup run up down status logs test chaos fuzz check breaking protos studio train train-video train-audio train-speech train-turbo eval bench-models bench-checkpoints bench-streams bench-gateway bench-abuse clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

chaos: setup ## kill everything under load, 20 seeds and the long tests: SEEDS=100, or MINUTES=60 of seeds
	$(PYTHON) -m tests.chaos --seeds $(SEEDS) --minutes $(MINUTES)
	$(PYTHON) -m pytest -m long tests/chaos tests/integration/replicas tests/integration/models

fuzz: setup ## send what the OpenAPI document allows and forbids, as two users, with every check: CASES=4000
	$(PYTHON) -m tests.fuzz --cases $(CASES)

check: setup ## style, types, import boundaries, contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	cd protos && ../$(VENV)/bin/buf lint && ../$(VENV)/bin/buf format --diff --exit-code
	$(PYTHON) protos/generate.py --check
	$(PYTHON) -m gateway.openapi.generate --check

breaking: setup ## say what in the contracts would break clients of a revision: BASE=HEAD
	base=$$(mktemp -d) && trap 'rm -rf "$$base"' EXIT && git archive $(BASE) protos | tar -x -C "$$base" && \
		cd protos && ../$(VENV)/bin/buf breaking --against "$$base/protos"

protos: setup ## generate the Python code of the contracts, and the OpenAPI document
	$(PYTHON) protos/generate.py
	$(PYTHON) -m gateway.openapi.generate

studio: setup ## build the web page anew, after a change in gateway/studio or protos (needs Node 20)
	cd gateway/studio && npm ci && ./generate.sh && npm run build

train: train-video train-audio train-speech train-turbo ## train the REFERENCE weights anew; runs resume where they stopped

train-video: setup ## train text encoder, VAE and video transformer (hours on two cores)
	$(PYTHON) -m triton_models.training.text
	$(PYTHON) -m triton_models.training.latents
	$(PYTHON) -m triton_models.training.vae --minutes 15
	$(PYTHON) -m triton_models.training.upsample --minutes 12
	$(PYTHON) -m triton_models.training.dit --minutes 120

train-audio: setup ## train the audio models, after train-video
	for stage in ambience prepare autoencoder reader dit publish; do $(PYTHON) -m triton_models.training.audio.$$stage || exit 1; done

train-speech: setup ## train the voice and the lips, after train-video
	for stage in prepare acoustic letters publish lips; do $(PYTHON) -m triton_models.training.speech.$$stage || exit 1; done

train-turbo: setup ## distil the video transformer to 4 steps, after train-video
	$(PYTHON) -m triton_models.training.turbo.paths
	$(PYTHON) -m triton_models.training.turbo.student --minutes 15
	$(PYTHON) -m triton_models.training.turbo.quantise

eval: setup ## measure how well video and sound do what prompts say: make eval PROMPTS=100
	$(PYTHON) -m triton_models.training.evaluate --prompts $(PROMPTS)
	$(PYTHON) -m triton_models.training.audio.evaluate
	$(PYTHON) -m triton_models.training.speech.evaluate

bench-models: setup ## measure what a clip costs, stage by stage, and each acceleration
	$(PYTHON) -m triton_models.benchmarks.models

bench-checkpoints: setup ## measure what checkpoints cost at the default interval
	$(PYTHON) -m triton_models.benchmarks.checkpoints

bench-streams: setup ## measure event streams of real jobs through Envoy: STREAMS=5000 JOBS=50 SECONDS=30
	$(PYTHON) -m tests.benchmarks.streams --streams $(STREAMS) --jobs $(JOBS) --seconds $(SECONDS)

bench-gateway: setup ## measure what requests cost, against a bare echo and against durable commits
	$(PYTHON) -m tests.benchmarks.cost

bench-abuse: setup ## measure how others are served while the gateway is attacked
	$(PYTHON) -m tests.benchmarks.abuse

clean: down ## delete the mesh's data and every cache; keeps .venv and training runs
	test ! -d .kinemesh || find .kinemesh -mindepth 1 -maxdepth 1 ! -name training -exec rm -rf {} +
	rm -rf out build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
