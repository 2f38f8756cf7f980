# Everything a developer needs. Plain `make` lists the targets.
#
#   make run ARGS="--port 9000"      options of `manage.py up`
#   make test ARGS="-k cleanup"      options of pytest
#   make lock UPGRADE=1              newest versions instead of the fewest changes
#   make PYTHON=python3.13 run       the interpreter that .venv is made with, if there is none yet
#   make HASHES=0 …                  install wheels that are not the published files, as some mirrors rebuild them

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test test-long test-pythons test-browser check bench lock clean venv

VENV := .venv
IN_VENV := $(VENV)/bin
REQUIREMENTS := requirements-dev.txt
# Named after what is installed, so that a second run starts at once and a changed lock installs again.
INSTALLED := $(VENV)/installed-$(shell cksum < $(REQUIREMENTS) | cut -d ' ' -f 1)
COMPILE := $(IN_VENV)/python -m uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	--python-version 3.11 $(if $(UPGRADE),--upgrade)
# A moved directory or an upgraded system leaves a .venv that does not run.
ifneq ($(shell $(IN_VENV)/python -c 'print(1)' 2>/dev/null),1)
$(INSTALLED): broken-venv
.PHONY: broken-venv
broken-venv:
endif

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-20s %s\n", $$1, $$2 }'

run: $(INSTALLED) ## start everything: PostgreSQL, Valkey, web, worker and scheduler
	@exec $(IN_VENV)/python manage.py up $(ARGS)

test: $(INSTALLED) ## run the tests against real servers
	$(IN_VENV)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-long: $(INSTALLED) ## run the long tests: chaos on real processes, some six minutes
	$(IN_VENV)/python -m pytest -m long -n 2 --dist loadfile $(ARGS)

test-pythons: ## run the tests with every Python 3.11 to 3.14 that is installed
	@tested=; for python in python3.11 python3.12 python3.13 python3.14 /usr/bin/python3 $(HOME)/.pyenv/versions/3.1[1234].*/bin/python; do \
		version=$$("$$python" -c 'import platform; print(platform.python_version())' 2> /dev/null) || continue; \
		case "$$tested" in *" $$version "*) continue;; esac; tested="$$tested $$version "; \
		echo "With Python $$version, $$python:"; \
		$(MAKE) VENV=.venvs/$$version PYTHON="$$python" test || exit 1; \
	done; echo "Passed with$$tested."

test-browser: $(INSTALLED) ## run the browser tests, and fail when there is no browser
	REQUIRE_BROWSER=1 $(IN_VENV)/python -m pytest tests/browser $(ARGS)

check: $(INSTALLED) ## check style, types, imports, migrations, settings and container files
	$(IN_VENV)/python -m ruff check .
	$(IN_VENV)/python -m ruff format --check .
	$(IN_VENV)/python -m mypy .
	$(IN_VENV)/basedpyright --project pyproject.toml
	$(IN_VENV)/lint-imports
	LOG_LEVEL=ERROR DATABASE_POOL_TIMEOUT=0.1 $(IN_VENV)/python -W ignore manage.py makemigrations --check --dry-run
	ENV_FILE=/dev/null ENVIRONMENT=production DATABASE_URL=postgres://db/check REDIS_URL=redis://broker/0 \
		ALLOWED_HOSTS=example.com SECRET_KEY="$$($(IN_VENV)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
		$(IN_VENV)/python manage.py check --deploy --fail-level WARNING
	$(IN_VENV)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(IN_VENV)/hadolint --failure-threshold warning Dockerfile

bench: $(INSTALLED) ## measure beside other systems; QUICK=1 for two minutes, SOAK=1 for an hour and millions of runs
	QUICK=$(QUICK) SOAK=$(SOAK) $(IN_VENV)/python -m tests.benchmarks $(ARGS)

lock: $(INSTALLED) ## write the requirements files from pyproject.toml
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --group dev --output-file requirements-dev.txt
	$(COMPILE) --group pyproject.toml:bench --output-file requirements-bench.txt

clean: ## remove what make installed and every cache, but not the data in .data
	rm -rf $(VENV) .venvs .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles test-results
	find . -name __pycache__ -not -path './.data/*' -prune -exec rm -rf {} +

venv: $(INSTALLED) ## only install the requirements into .venv

# Debian's python3 without python3-venv can make a .venv only without pip. Names like python3.13 may be
# there without running, as pyenv leaves them.
$(INSTALLED):
	@$(IN_VENV)/python -c '' 2> /dev/null || { \
		found=; for name in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3; do \
			"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2> /dev/null \
				&& found=$$name && break; done; \
		test -n "$$found" || { echo "No Python 3.11 to 3.14 is on PATH. Install one and run make again." >&2; exit 1; }; \
		echo "Making $(VENV) with $$found."; \
		rm -rf $(VENV); "$$found" -m venv $(VENV) > /dev/null 2>&1 \
			|| { rm -rf $(VENV) && "$$found" -m venv --without-pip $(VENV) && "$$found" -m pip --python $(IN_VENV)/python install -q pip; } \
			|| { echo "$$found can make no virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }; }
	@echo "Installing $(REQUIREMENTS) into $(VENV); this takes a minute, once."
	@if test "$(HASHES)" = 0; then sed -e '/^ *--hash/d' -e 's/ *\\$$//' $(REQUIREMENTS) > $(VENV)/requirements.txt; \
		else cp $(REQUIREMENTS) $(VENV)/requirements.txt; fi
	@$(IN_VENV)/python -m pip install --quiet --disable-pip-version-check --requirement $(VENV)/requirements.txt \
		|| { echo "The requirements could not be installed. If only hashes differ: make HASHES=0 venv" >&2; exit 1; }
	@rm -f $(VENV)/installed-* && touch $@
