# Everything here sets itself up from nothing but make, Python 3.11 to 3.13 with venv, and a package registry.
# The second call takes seconds: the environment is remade only when requirements/*.lock or pyproject.toml changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && { echo $$p; break; }; done)

UP_FLAGS ?=
WORKERS ?= 2

.PHONY: help setup run apiserver test cluster cluster-up cluster-test cluster-down kind check generate prove prove-nightly mutants bench lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

define install
	@test -n "$(PYTHON)" || { echo "Signalbox needs Python 3.11, 3.12 or 3.13 with venv; set PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON) for $(1) (once; about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(addprefix $(VENV)/.,$(2))  # what a larger set of packages contains is there too
endef

$(VENV)/.run: requirements/run.lock pyproject.toml
	$(call install,run,run)

$(VENV)/.dev: requirements/dev.lock pyproject.toml
	$(call install,dev,run dev)

$(VENV)/.bench: requirements/bench.lock pyproject.toml
	$(call install,bench,run dev bench)

setup: $(VENV)/.dev  ## the Python environment in .venv

run: $(VENV)/.run  ## everything on this machine: no cluster, no keys; Ctrl-C ends it
	@exec $(BIN)/signalbox up manifests/quickstart --simulate --dev-key retail/assistant $(UP_FLAGS)

apiserver:  ## builds kube-apiserver, etcd, kubectl, helm and kubeconform for the tests (once, minutes; without Go those tests are skipped)
	@if command -v go >/dev/null || test "$${CI:-}" = true; then $(PYTHON) tests/cluster/tools/build.py api helm kubeconform; \
	else echo "no Go on the PATH: tests against a Kubernetes API server are skipped"; fi

test: $(VENV)/.dev apiserver  ## the tests, with short forms of the long proofs
	@$(BIN)/python -m pytest -m "not proof" -n $(WORKERS) --dist loadfile $(PYTEST_FLAGS)

prove: $(VENV)/.dev  ## the promises in full: real processes, the simulation, planted bugs; ends with the figures
	@$(BIN)/python tests/prove.py $(PYTEST_FLAGS)

prove-nightly: $(VENV)/.dev  ## the same, as long as a night
	@$(BIN)/python tests/prove.py --nightly $(PYTEST_FLAGS)

mutants: $(VENV)/.dev  ## breaks each promise on purpose and shows the test that goes red
	@$(BIN)/python tests/mutants/run.py

cluster: $(VENV)/.dev  ## a real cluster on this machine (Linux, root, no container engine), the end-to-end tests in it
	@PYTHONPATH=tests $(BIN)/python -m cluster.node run -- $(PYTEST_FLAGS)

cluster-up: $(VENV)/.dev  ## the same cluster, kept: tells which KUBECONFIG to use
	@PYTHONPATH=tests $(BIN)/python -m cluster.node up

cluster-test: $(VENV)/.dev  ## the end-to-end tests in the cluster that is kept
	@PYTHONPATH=tests $(BIN)/python -m cluster.node test -- $(PYTEST_FLAGS)

cluster-down: $(VENV)/.dev  ## ends it
	@PYTHONPATH=tests $(BIN)/python -m cluster.node down

kind: $(VENV)/.dev  ## the end-to-end tests in a cluster that kind makes, where a container engine is
	@PYTHONPATH=tests $(BIN)/python -m cluster.node kind -- $(PYTEST_FLAGS)

check: $(VENV)/.dev  ## types, lint, format, import layers, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m signalbox_api.crd --check crds
	@$(BIN)/python -m signalbox_api.crd_chart --check crds charts/signalbox-crds/templates
	@$(BIN)/python -m signalbox_api.reference --check docs/resources.md

generate: $(VENV)/.dev  ## CRDs, their chart and docs/resources.md from the types in crds/signalbox_api
	@$(BIN)/python -m signalbox_api.crd crds
	@$(BIN)/python -m signalbox_api.crd_chart crds charts/signalbox-crds/templates
	@$(BIN)/python -m signalbox_api.reference docs/resources.md

bench: $(VENV)/.bench  ## this proxy against a minimal pass-through and Envoy, in one interleaved run
	@$(BIN)/python tests/bench/run.py $(BENCH_FLAGS)
	@$(BIN)/python tests/bench/translation.py

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" pyproject.toml --group build

lock:  ## renew requirements/*.lock (needs uv)
	@$(LOCK) --output-file requirements/run.lock
	@$(LOCK) --group dev --constraint requirements/run.lock --output-file requirements/dev.lock
	@$(LOCK) --group dev --group bench --constraint requirements/run.lock --output-file requirements/bench.lock

clean:  ## removes the environment and the state of make run
	@rm -rf $(VENV) .signalbox .cluster .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
