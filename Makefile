# `make` lists the targets. The two that matter, `make bench` and `make test`, set up all they need
# in .venv from nothing but Python, make and git; calling them again reinstalls nothing.  `make quick-test` is for
# before each commit.

PYTHON ?= python3
VENV ?= .venv
# More arguments for pytest, e.g. make unit ARGS='tests/pgrad/test_optimizer_resume.py -k Adam'
ARGS ?=
# Worker processes of pytest; 0 runs in this one, for a debugger.
WORKERS ?= 2
# For `make constraints`: --upgrade moves every pin to its newest release.
COMPILE ?=
# For `make gpu`: where its results go, and on which device it runs; DEVICE=cpu rehearses it. ARGS go to its command.
OUTPUT ?= runs/gpu
DEVICE ?= cuda

BIN := $(VENV)/bin
, := ,
INPUTS := setup.cfg pyproject.toml constraints.txt
# The stamps carry the interpreter's version, so that another PYTHON gets another environment.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
BENCH := $(VENV)/.bench-$(VERSION)
TEST := $(VENV)/.test-$(VERSION)
GPU := $(VENV)/.gpu-$(VERSION)
DOCS := $(VENV)/.docs-$(VERSION)
CODE := $(wildcard pgrad benchmarks domainbed_ext tests)
# Half of the tests' time goes into imports: compiled once, and kept beside the environment.
COMPILED := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(abspath $(VENV))/compiled

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help bench test quick-test format lint types unit wheel coverage perf gpu card docs release constraints test-core clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*  ## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*  ## /\t/' | sort | awk -F '\t' '{printf "make %-12s %s\n", $$1, $$2}'
	@echo 'PYTHON=python3.12 chooses the interpreter (3.10 or newer) of the environment in $(VENV).'

bench: $(BENCH)  ## quick benchmark: a table of methods on held-out domains
	@$(BIN)/python -m benchmarks quick

perf: $(BENCH)  ## time and memory of a step against the inner optimizer alone
	@$(BIN)/python -m benchmarks performance

gpu: card $(GPU)  ## on a machine with an NVIDIA card: its tests and its table, one JSON in OUTPUT; 8 min, installation included
	@$(BIN)/python -m benchmarks gpu --device $(DEVICE) --output $(OUTPUT) $(ARGS)

# Before gigabytes are installed for nothing: the driver itself says whether there is a card.
DRIVER := import ctypes, sys; sys.exit(ctypes.CDLL("libcuda.so.1").cuInit(0) != 0)

card:
	$(newer)
	@case '$(DEVICE)' in cuda*) $(PYTHON) -c '$(DRIVER)' 2>/dev/null || { \
		echo 'make gpu needs an NVIDIA card and its driver, and libcuda.so.1 is missing or finds no card.' >&2; \
		echo 'Run it where nvidia-smi lists one, or rehearse it without: make gpu DEVICE=cpu' >&2; exit 1; };; esac

test: lint types unit  ## the whole check: format, lint, types, imports, all tests, doctests, wheel; 20 min on two cores

# Files that are slow as a whole, of frameworks that take seconds to import.
UNREAD := $(foreach name,lightning transformers,pgrad/integrations/$(name).py) \
	$(foreach name,docs_frameworks lightning lightning_averages lightning_callbacks transformers,tests/pgrad/integrations/test_$(name).py)

quick-test: lint  ## before each commit: format, lint, imports, and the tests not marked slow; 1 min on two cores
	@printf '\n== tests and doctests without the slow ones\n'
	@$(COMPILED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m 'not slow' $(UNREAD:%=--ignore=%) $(ARGS)

lint: $(TEST)  ## format, lint rules and import direction
	@printf '\n== format and lint\n'
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@printf '\n== import direction\n'
	@$(BIN)/lint-imports --no-logo 2>&1

types: $(TEST)  ## mypy
	@printf '\n== types\n'
	@$(BIN)/mypy $(filter-out tests,$(CODE))

unit: $(TEST)  ## pytest alone: tests, doctests, the wheel; ARGS='...' goes to pytest
	@printf '\n== tests, doctests and the wheel\n'
	@$(COMPILED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

wheel: $(TEST)  ## build the wheel and try it in a fresh environment
	@$(BIN)/python -m pytest tests/packaging $(ARGS)

coverage: $(TEST)  ## pytest with the lines no test reaches
	@$(COMPILED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term $(ARGS)

format: $(TEST)  ## format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Notebooks and examples are run as the site is built, so it belongs to no other check.
docs: $(DOCS)  ## the site in build/site/html, warnings are errors; then its links, pictures and screens; three minutes on two cores
	@printf '\n== the site\n'
	@OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -j 2 -d build/site/doctrees docs build/site/html
	@printf '\n== what is on it\n'
	@SITE=build/site/html $(BIN)/python -m pytest tests/site $(ARGS)
	@echo 'The site begins with build/site/html/index.html'

release: $(TEST)  ## build sdist and wheel and check both; TAG=yes also tags the commit as this version
	@$(BIN)/python tools/release.py $(if $(filter yes,$(TAG)),--tag) $(ARGS)

constraints: $(TEST)  ## renew constraints.txt for Python 3.10 and newer; COMPILE=--upgrade for the newest releases
	@cp constraints.txt $(VENV)/constraints.txt
	@$(BIN)/uv pip compile setup.cfg --all-extras --universal --python-version 3.10 --no-annotate --no-header --no-python-downloads \
		--quiet $(COMPILE) --output-file $(VENV)/constraints.txt >/dev/null
	@{ echo '# Written by `make constraints`: the versions that every extra resolves to, Python 3.10 and newer.'; \
		grep -v '^#' $(VENV)/constraints.txt; } >constraints.txt

clean:  ## remove environments, build outputs and caches
	rm -rf .venv* build dist docs/tutorials/notebooks *.egg-info htmlcov .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find pgrad tests $(wildcard benchmarks domainbed_ext) -name __pycache__ -prune -exec rm -rf {} +

# --- environments -----------------------------------------------------------------------------------------

# The first installation downloads gigabytes: show the progress to whoever watches, and keep it out of logs.
QUIET := $(shell [ -t 2 ] || echo --quiet)

define newer
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "pgrad needs Python 3.10 or newer, but PYTHON=$(PYTHON) is: $$($(PYTHON) --version 2>&1 | tail -n 1)" >&2; \
		echo 'Name a newer one, for example: make test PYTHON=python3.12' >&2; exit 1; }
endef

# $(call environment,DIR): an environment with uv in it. A DIR that holds one made by the same Python is kept,
# unless its last installation broke off: .unfinished stands there from before the first step to after the last.
define environment
	$(newer)
	@if [ -e $(1) ] && ! ls -A $(1) | grep -qE '^[.](uv-|unfinished)'; then \
		echo '$(1) was not made by this Makefile: remove it, or name another folder with VENV=' >&2; exit 1; fi
	@if [ ! -e $(1)/.uv-$(VERSION) ] || [ -e $(1)/.unfinished ]; then \
		echo "== new environment $(1) (Python $(VERSION))"; \
		rm -rf $(1) && mkdir -p $(1) && touch $(1)/.unfinished && \
		{ $(PYTHON) -m venv $(1) || { \
			echo 'Could not make an environment; on Debian and Ubuntu install the package python3-venv.' >&2; exit 1; }; } && \
		$(1)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv && \
		touch $(1)/.uv-$(VERSION); \
	fi
	@touch $(1)/.unfinished
endef

# $(call install,EXTRA,PACKAGES): this checkout with extras, and packages beside it, at the pinned versions.
define install
	$(call environment,$(VENV))
	@echo '== installing pgrad[$(1)]'
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install $(QUIET) -c constraints.txt $(2) -e '.[$(1)]'
	@rm $(VENV)/.unfinished
	@touch $@
endef

$(BENCH): $(INPUTS)
	$(call install,bench)

$(TEST): $(INPUTS)
	$(call install,test)

$(DOCS): $(INPUTS)
	$(call install,docs)

# What the tests marked cuda import beside the benchmarks: a few megabytes where [test] has hundreds.
$(GPU): $(INPUTS)
	$(call install,bench$(,)timm,accelerate hypothesis pytest pytest-timeout)

# The library's own tests against another release of torch: nothing of the extras, and the pins of the few tools
# and libraries they need, since constraints.txt pins torch and what it brings.
TORCH ?= 2.6.0
CORE := .venv-torch$(TORCH)-$(VERSION)
CORE_PACKAGES := hypothesis numpy pytest pytest-timeout
CORE_WITHOUT := $(foreach part,analysis integrations,pgrad/$(part) tests/pgrad/$(part))

test-core: $(CORE)/.core  ## the library's tests against another torch, e.g. TORCH=2.11.0 PYTHON=python3.12
	@OMP_NUM_THREADS=1 $(CORE)/bin/python -m pytest pgrad tests/pgrad $(CORE_WITHOUT:%=--ignore=%) $(ARGS)

$(CORE)/.core: $(INPUTS)
	$(call environment,$(CORE))
	@echo '== installing pgrad with torch $(TORCH)'
	@grep -E '^($(subst $() ,|,$(CORE_PACKAGES)))==' constraints.txt >$(CORE)/constraints.txt
	@VIRTUAL_ENV=$(abspath $(CORE)) $(CORE)/bin/uv pip install $(QUIET) -c $(CORE)/constraints.txt -e . torch==$(TORCH) $(CORE_PACKAGES)
	@rm $(CORE)/.unfinished
	@touch $@
