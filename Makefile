# LLM Gateway: `make run` starts everything, `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Test processes; each has its own database in one PostgreSQL. One more than there are cores, because tests wait for servers
# half of the time. Each process runs consecutive tests, so that few browsers and gateways start; an idle one takes over tests.
JOBS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1 )))

# The first suitable Python that can create virtual environments; `make PYTHON=… run` selects another.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
  if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' \
    >/dev/null 2>&1; then echo $$python; break; fi; done)

BIN := .venv/bin
TOOLS := .venv-tools

.PHONY: help run port-is-free install console console-types install-dev test check static bench quality load lock format clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | awk -F '\t' '{printf "make %-14s %s\n", $$1, $$2}'

run: port-is-free install ## install and start everything (HOST, PORT, DATA_DIR)
	@$(BIN)/python scripts/build_console.py --optional --tidy
	@STOP_WITH_PARENT=1 exec $(BIN)/gateway serve $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)") \
	  $(if $(DATA_DIR),--data-dir "$(DATA_DIR)")

# Checked before the installation, because a used port will not become free meanwhile.
port-is-free:
	@$(call with_python) scripts/port_is_free.py "$(HOST)" "$(PORT)"

install: ## create .venv and install the locked requirements
	@$(call with_python) scripts/set_up.py

console: install ## build the browser console (`make run` does it if possible)
	@$(BIN)/python scripts/build_console.py

console-types: install-dev ## regenerate the console's API types (after a change of request or response bodies)
	@$(BIN)/python scripts/build_console.py --types

install-dev:
	@$(call with_python) scripts/set_up.py --dev

test: install-dev ## run the whole test suite on real PostgreSQL and Valkey
	@$(BIN)/python scripts/build_console.py --optional
	@$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal $(EXAMPLES)

# Property tests use random examples by default; `check` uses the same examples each time.
check: EXAMPLES := --hypothesis-profile=ci
check: static test ## run all checks that a change has to pass

static: install-dev ## format, lint, types, import rules, migrations match models
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.support.check_migrations
	@$(BIN)/python scripts/build_console.py --check --optional

faults: install-dev ## run the fault tests against two workers (SOAK_SECONDS; docs/RELIABILITY.md)
	@$(BIN)/python -m pytest tests/faults -m "" -n 1 -p tests.faults.summary --faults-summary faults.json; \
	  status=$$?; $(BIN)/python -m tests.faults.report faults.json; exit $$status

bench: install-dev ## compare the gateway with the LiteLLM proxy (Linux)
	@$(BIN)/python -m bench

quality: install-dev ## measure routing, intents, guards and semantic cache on DATA (a folder of public datasets; docs/QUALITY.md)
	@$(BIN)/python -m bench.quality.evaluate "$(DATA)"

LOAD := .venv-load
USERS ?= 50
SECONDS ?= 120
load: ## load-test a running gateway with a realistic mix (ADMIN_EMAIL, ADMIN_PASSWORD, API_KEY, HOST_URL, USERS, SECONDS)
	@test -x $(LOAD)/bin/locust || { $(call with_python) -m venv $(LOAD) && \
	  $(LOAD)/bin/python -m pip install --quiet --no-deps --require-hashes -r tests/load/requirements.txt; }
	@ADMIN_EMAIL="$(ADMIN_EMAIL)" ADMIN_PASSWORD="$(ADMIN_PASSWORD)" API_KEY="$(API_KEY)" \
	  $(LOAD)/bin/locust --locustfile tests/load/locustfile.py --headless --only-summary \
	  --host "$(or $(HOST_URL),http://127.0.0.1:8000)" --users $(USERS) --spawn-rate 10 --run-time $(SECONDS)s

format: install-dev ## format the code and apply automatic fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

COMPILE = $(TOOLS)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" --quiet pyproject.toml --group build

lock: $(TOOLS)/bin/uv ## resolve the locked versions from pyproject.toml (UPGRADE=--upgrade for the newest)
	@$(COMPILE) $(UPGRADE) -o requirements.txt
	@$(COMPILE) --group dev -c requirements.txt $(UPGRADE) -o requirements-dev.txt
	@$(subst pyproject.toml --group build,tests/load/requirements.in,$(COMPILE)) $(UPGRADE) -o tests/load/requirements.txt
	@$(subst pyproject.toml --group build,requirements-web.in,$(COMPILE)) $(UPGRADE) -o requirements-web.txt

$(TOOLS)/bin/uv:
	@$(call with_python) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet uv

clean: ## remove the virtual environments and caches, not the data
	@rm -rf .venv .venv-web $(TOOLS) $(LOAD) web/node_modules gateway/console/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

define with_python
if [ -z "$(PYTHON)" ]; then echo "No Python 3.11 to 3.14 with venv was found. Install one (on Debian and Ubuntu:\
 python3 and python3-venv), or select it: make PYTHON=/path/to/python3 run" >&2; exit 1; fi; $(PYTHON)
endef
