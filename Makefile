# ikkan: `make up` to use it, `make test` to trust it.
# Every step is repeatable and skips what is already there. PYTHON and IKKAN_HOME may be set by you.

PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
IKKAN_HOME  ?= $(CURDIR)/.ikkan
CACHE       := $(CURDIR)/.cache
export IKKAN_HOME
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup up test lint bench bench-peers prove fuzz new-app models test-setup clean

help: ## The verbs of this house
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# ---- set-up, shared by `up` and `test` ------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ikkan needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install -q -c constraints.txt -e '.[postgres]'
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/pip install -q -c constraints.txt 'torch==2.13.0'
	$(BIN)/pip install -q -c constraints.txt -e '.[train,postgres,dev]'
	@touch $@

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js (Debian: apt-get install nodejs npm), then run this again"; exit 1; }
	npm ci --silent --prefix web

setup: $(VENV)/.base web/node_modules/.package-lock.json ## Environment, page assets, default models; starts nothing
	@$(BIN)/ikkan model pull --defaults

up: setup ## Everything a fresh machine needs, then start; prints the address and three things to try
	@$(BIN)/ikkan up

# ---- tests ----------------------------------------------------------------------------------------------------------

test-setup: $(VENV)/.dev web/node_modules/.package-lock.json
	@tests/install-system-packages.sh
	@IKKAN_HOME=$(CACHE)/test-home $(BIN)/ikkan model pull --defaults

test: test-setup lint ## Everything: style, types, import contracts, all tests
	IKKAN_TEST_MODELS=$(CACHE)/test-home/models $(BIN)/pytest -q -n 2 --dist loadfile --durations 40

lint: $(VENV)/.dev ## ruff, import contracts, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/lint-imports
	$(BIN)/mypy

# ---- measurements ---------------------------------------------------------------------------------------------------

bench-peers: $(BIN)/python ## Install the programs we measure beside, in an environment of their own (compiles llama.cpp: 20 minutes)
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install -q -r benchmarks/peers.txt
	benchmarks/install_llama.sh .venv-peers

bench: $(VENV)/.dev ## Every benchmark (quiet machine, please): the engine's table takes hours, the others one JSON line a figure
	IKKAN_HOME=$(CACHE)/test-home $(BIN)/ikkan bench engine --json test-output/engine.json --plot test-output/engine.png
	@for subject in benchmarks/*.py; do echo "# $$subject"; IKKAN_TEST_MODELS=$(CACHE)/test-home/models $(BIN)/python $$subject || exit 1; done

prove: $(VENV)/.dev ## Does use make it better? LEARNABLE=shop.next_item DATA=ratings.csv SEEDS=5; minutes to hours, goes on after a stop
	@test -n "$(LEARNABLE)" || { echo "say which: make prove LEARNABLE=shop.next_item DATA=../shared/data/shop/ml-latest-small/ratings.csv"; exit 1; }
	@mkdir -p test-output
	IKKAN_HOME=$(CACHE)/test-home $(BIN)/ikkan prove flywheel --learnable $(LEARNABLE) $(if $(DATA),--data $(DATA)) --seeds $(or $(SEEDS),5) \
		--json test-output/proof-$(LEARNABLE).json --report test-output/proof-$(LEARNABLE).html

fuzz: $(VENV)/.dev ## Two minutes of mutated model files for each reader; SECONDS_EACH=600 for longer
	@test -d .venv-fuzz/atheris || $(BIN)/pip install -q --no-deps --target .venv-fuzz 'atheris==3.0.0'
	PYTHONPATH=.venv-fuzz $(BIN)/python tools/fuzz.py $(or $(SECONDS_EACH),120)

new-app: $(VENV)/.dev ## make new-app NAME=parking: an app with the house's seven files, green before you type
	@test -n "$(NAME)" || { echo "say which: make new-app NAME=parking"; exit 1; }
	$(BIN)/python tools/new_app.py $(NAME)

clean: ## Remove what set-up and tests made (never $(IKKAN_HOME))
	rm -rf $(VENV) .venv-peers .venv-fuzz web/node_modules build .cache test-output .mypy_cache .ruff_cache .pytest_cache
