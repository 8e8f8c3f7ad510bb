# Everything a user needs: `make demo` and `make test` set up what they use by themselves.
.POSIX:
.PHONY: help demo test quick learn bench mutants lint clean

# TensorFlow's notices about the machine would bury what is being said.
RUN = TF_CPP_MIN_LOG_LEVEL=3 PYTHONUNBUFFERED=1
PY = $(RUN) .venv/bin/python
# What belongs together runs on one worker (tests/conftest.py groups it), the dearest first.
PYTEST = $(PY) -m pytest -q -n 2 --dist=loadgroup --no-loadscope-reorder

help:
	@echo 'make demo     train a model on embedded data, draw samples, export it (under 5 minutes)'
	@echo 'make test     lint, and every test but most of what make learn runs'
	@echo 'make quick    lint, and the tests that take seconds (under 3 minutes)'
	@echo 'make learn    the trainings that prove that each model learns'
	@echo 'make lint     ruff check and ruff format --check'
	@echo 'make mutants  break the code in small ways, and fail if no test notices'
	@echo 'make bench    compare the speed with other libraries, in an environment of their own'
	@echo 'make clean    remove the environments and caches; runs/ stays'

demo: .venv/installed
	@echo 'Training a VAE on 8x8 digits: runs/demo'
	@$(PY) -m apps.vae --run_dir=runs/demo --overwrite
	@echo 'Pictures:    runs/demo/samples.png'
	@echo 'Measured:    runs/demo/metrics.json'
	@echo 'SavedModel:  runs/demo/export (TF Serving: runs/demo/export/models.config)'
	@echo 'Next:        .venv/bin/python -m apps.vae sample --run_dir=runs/demo --num=64 --seed=7'
	@echo '             .venv/bin/python -m apps.vae --help'
	@echo '             .venv/bin/tensorboard --logdir=runs'

test: lint
	@echo 'Testing (make quick leaves out what is slow)'
	@$(PYTEST) -m 'not learn or learn(always=True)'

quick: lint
	@$(PYTEST) -m 'not slow and not learn'

learn: .venv/installed
	@$(PYTEST) -m learn

lint: .venv/installed
	@.venv/bin/python -m ruff check -q --output-format=concise . && \
	  .venv/bin/python -m ruff format -q --check .

mutants: .venv/installed
	@$(PY) -m tests.mutants

bench: .venv-bench/installed
	@set -e; for file in $$(grep -l __main__ tests/benchmarks/*.py); do \
	  name=$$(basename "$$file" .py); echo "Benchmark $$name"; \
	  $(RUN) .venv-bench/bin/python -m tests.benchmarks.$$name; done

clean:
	@rm -rf .venv .venv-bench build dist tfgen.egg-info .hypothesis .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# PYTHON names another interpreter: make PYTHON=/opt/python3.11/bin/python3 demo
FIND_PYTHON = for python in $${PYTHON:-python3.11 python3}; do \
	  "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' \
	    2>/dev/null && break; python=; done; \
	test -n "$$python" || { echo "error: no Python 3.11 with its venv module under" \
	  "$${PYTHON:-python3.11, python3}: install it or set PYTHON=/path/to/python3.11" >&2; exit 1; }
INSTALL = -m pip install -q --disable-pip-version-check --no-input
# `venv --clear` empties what a link points to.
REFUSED = is a link, and making it anew would empty the folder it points to: remove the link

.venv/installed: requirements.txt
	@test ! -L .venv || { echo 'error: .venv $(REFUSED)' >&2; exit 1; }
	@$(FIND_PYTHON); \
	echo 'Installing TensorFlow and the rest of requirements.txt into .venv (a few minutes)'; \
	"$$python" -m venv --clear .venv && .venv/bin/python $(INSTALL) -r requirements.txt && touch $@

.venv-bench/installed: requirements.txt tests/benchmarks/requirements.txt
	@test ! -L .venv-bench || { echo 'error: .venv-bench $(REFUSED)' >&2; exit 1; }
	@$(FIND_PYTHON); \
	echo 'Installing the libraries to compare with into .venv-bench'; \
	"$$python" -m venv --clear .venv-bench && .venv-bench/bin/python $(INSTALL) \
	  -r requirements.txt -r tests/benchmarks/requirements.txt && touch $@
