# `make help` lists what there is.  Everything is installed below .venv and clients/node_modules.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q
# Three, because tests of whole hubs wait more than they compute.
WORKERS ?= 3
SOURCES := acl couchapi discovery replication thalihub bench manage.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.PHONY: help hub test test-compose test-fast test-nightly lint format bench messages pictures scanner clean programs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

hub: .venv/hub ## install what the hub needs, then run it until Ctrl-C
	@exec $(BIN)/python manage.py hub

test: .venv/test programs clients/node_modules/.installed ## run every test, installing what they need
	@$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not requires_docker" $(ARGS)

test-compose: .venv/test ## build the images and try the containers, on a Docker engine of its own
	@.ci/install-programs compose
	@$(PYTEST) -s -m requires_docker thalihub/tests/test_compose.py $(ARGS)

test-fast: .venv/test ## run the tests that need nothing but Python and take under a minute
	@$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "$(FAST)" $(ARGS)

FAST := not slow and not requires_node and not requires_browser and not requires_redis \
  and not requires_postgres and not requires_tor and not requires_dbus and not requires_netns \
  and not requires_docker and not requires_root

test-nightly: .venv/test programs clients/node_modules/.installed ## run the long fuzz tests
	@$(PYTEST) -n $(WORKERS) --nightly -m nightly --timeout 14400 $(ARGS)

lint: .venv/test ## check style, types, layers and migrations
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@.ci/with-data $(BIN)/python manage.py makemigrations --check --dry-run
	@.ci/with-data $(BIN)/python manage.py check --fail-level WARNING

format: .venv/test ## put the source into shape
	@$(BIN)/ruff check --fix --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

bench: .venv/test clients/node_modules/.installed ## measure CPU per request against the budgets
	@$(BIN)/python -m bench.run $(ARGS)

messages: .venv/test ## bring the pages' texts in other languages up to date
	@.ci/with-data $(BIN)/python -m thalihub.tests.catalogue

pictures: .venv/test programs ## take the documents' pictures of the pages anew
	@$(BIN)/python -m thalihub.tests.pictures

scanner: clients/node_modules/.installed ## renew the pages' QR scanner from its npm package
	@cp $(addprefix clients/node_modules/qr-scanner/,qr-scanner.min.js qr-scanner-worker.min.js LICENSE) static/scanner/

clean: ## remove what the other targets installed and made; the hub's data stays
	@rm -rf .venv clients/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -rf .import_linter_cache bench/results

# The stamps: pip and npm run again only when a list of requirements has changed.

.venv/bin/python:
	@.ci/install-programs venv "$(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed. Name one: make PYTHON=python3.12")'
	@echo "Making the virtual environment in .venv"
	@$(PYTHON) -m venv .venv

.venv/hub: requirements.txt .ci/constraints.txt | .venv/bin/python
	@echo "Installing the hub's requirements"
	@$(BIN)/python -m pip install --quiet -r requirements.txt -c .ci/constraints.txt
	@touch $@

.venv/test: .ci/requirements.txt .venv/hub
	@echo "Installing what the tests and checks need"
	@$(BIN)/python -m pip install --quiet -r .ci/requirements.txt -c .ci/constraints.txt
	@touch $@

clients/node_modules/.installed: clients/package.json clients/package-lock.json clients/.npmrc | programs
	@if command -v npm >/dev/null; then echo "Installing the node packages" \
	  && (cd clients && npm ci --silent --no-progress) && touch $@; fi

programs:
	@.ci/install-programs test
