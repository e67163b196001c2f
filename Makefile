# Everything runs in .venv, made on first use and again when pyproject.toml or the pins change.

VENV := .venv
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
AXE_VERSION := 4.14.1
# As many processes as tests run in, each with one thread.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $(JOBS)
# It installs PyTorch in a fifth of pip's time.
UV := $(VENV)/bin/python -m uv pip install --quiet --compile-bytecode --python $(VENV) --constraint constraints.txt

.PHONY: serve test test-fast lint format bench starters audit clean

serve: $(VENV)/.installed
	ADAIN_HOST=$(HOST) ADAIN_PORT=$(PORT) $(VENV)/bin/adain serve

test: $(VENV)/.installed-dev
	$(PYTEST)

test-fast: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow"

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.installed-dev
	$(VENV)/bin/python -m benchmarks

# Practises the starter styles for the bundled weights: CONTENT is a folder or zip of photographs.
starters: $(VENV)/.installed-dev
	for picture in app/starter/*.webp; do \
	    $(VENV)/bin/python -m training.style $$picture --content $(CONTENT) --steps 110 --detail 0.7 \
	        -o $${picture%.webp}.adain --out runs/starters/$$(basename $$picture .webp) || exit 1; \
	done

# Asks the package index for known weaknesses of the pinned versions: needs the internet.
audit: $(VENV)/.installed
	$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet pip-audit
	$(VENV)/bin/python -m pip_audit --requirement constraints.txt --no-deps --disable-pip

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV); the first time this downloads PyTorch, several GB."
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet uv
	$(UV) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(UV) --editable ".[dev]"
	npm install --silent --no-save --no-package-lock --prefix $(VENV)/axe axe-core@$(AXE_VERSION) \
	    || echo "Without npm the page is not tested for accessibility."
	touch $@
