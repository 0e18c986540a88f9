# `make demo` and `make test` are all a fresh machine needs: both make .venv and install first.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
DEMO_OUT ?= demo-output

# What an installation costs, as measured (docs/performance.md); CUDA libraries come with torch's wheel, used or not.
define ABOUT
Installing into .venv first, once: 3.3 GB to download (2.5 GB of them the CUDA libraries that torch brings along,
with and without a GPU), 6 GB on disk. 2 minutes where the network is no limit, 10 minutes at 50 Mbit/s.
endef
define ABOUT_DEMO
Then the demo: 5 to 9 minutes on two cores, 1.6 GiB of memory, 350 MB in $(DEMO_OUT). Interrupted, it continues with the same command.
endef
export ABOUT ABOUT_DEMO

.PHONY: demo test test-slow check docs format fuzz bench profile clean

demo: .venv/installed
	$(BIN)/comoto demo --out $(DEMO_OUT)

# A file is a process's own: what its tests share is made once. (--dist loadgroup groups nothing with pytest 9.2.)
test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What takes long: kills, interruptions, damage, studies, the whole way with names in every header. CI runs it too.
test-slow: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'slow and not gpu'

check: .venv/installed-dev
	$(BIN)/ruff format --check src tests benchmarks fuzz docs/_site
	$(BIN)/ruff check src tests benchmarks fuzz docs/_site
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_examples.py tests/test_links.py

# The site, in site/: every link is checked, and nothing is fetched from elsewhere when it is read.
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

FUZZ_COUNT ?= 2000
FUZZ_SEED ?= 0

# Damaged DICOM files by the thousand, within 20 minutes; see docs/reliability.md.
fuzz: .venv/installed-dev
	$(BIN)/python fuzz/dicom.py --count $(FUZZ_COUNT) --seed $(FUZZ_SEED) --minutes 20

THREADS ?= 1

# Every task the common way and by this package, in turns: docs/performance.md. Hours; CASE=name runs one case.
bench: .venv/installed-dev
	$(BIN)/python benchmarks/run_all.py --threads $(THREADS) $(if $(CASE),--case $(CASE))

# Where a training step and a volume spend their time: docs/pictures/profile.png.
profile: .venv/installed-dev
	$(BIN)/python benchmarks/time_spent.py --threads $(THREADS)

format: .venv/installed-dev
	$(BIN)/ruff format src tests benchmarks fuzz docs/_site
	$(BIN)/ruff check --fix src tests benchmarks fuzz docs/_site

clean:
	rm -rf .venv site $(DEMO_OUT)

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "comoto needs Python 3.11 or 3.12; name one with: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is incomplete; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "$$ABOUT"
	@$(if $(filter-out demo,$(MAKECMDGOALS)),true,echo "$$ABOUT_DEMO")
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ .venv/installed

.venv/installed-docs: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@ .venv/installed
