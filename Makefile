# Donjon. `make up` runs the FAQ's Job on a real cluster; `make check` passes the tests. Both install what they need and say so.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up demo check differential fuzz cluster cluster-down image release reproduce docs pictures format lint types imports test-rooms test-fast test-debian13 meter test-cluster helm3 lock proto bench endurance sgxs-tools siege clean

PYTHON ?= python3
VENV := .venv
ROOMS := $(addprefix tests/,admission attestation audit collateral diagnosis enclave findings fleet formats images kube maa node pki policy sgx signing wrapping)
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

export SGX_NODES PLAIN_NODES MACHINE DRIVER

help: ## Say what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

up: $(READY) ## Cluster up, Donjon installed, the FAQ's Job run; ends with what to try next
	@$(PY) -m testbed.demo

check: $(READY) ## Everything CI runs: format, lint, imports, types, all tests, the cluster's too
	@$(PY) -m tests.check

cluster: $(READY) ## A real Kubernetes cluster on this machine (SGX_NODES=1 PLAIN_NODES=1 MACHINE=dc2ds-v3 DRIVER=in-tree)
	@$(PY) -m testbed up

cluster-down: $(READY) ## Take the cluster away; nothing stays
	@$(PY) -m testbed down

image: $(READY) ## Build the product's image without Docker, an OCI archive, as deploy/images/build-out/donjon.tar
	@deploy/images/build

release: $(READY) ## Everything that a release holds, into dist: wheel, sources, chart, image, bill of materials, checksums
	@$(PY) -m testbed build helm
	@$(PY) -m deploy.release dist "$$(deploy/images/build | tail -n 1)"

docs: $(READY) ## The pages as a site, in dist/site; a dead link is an error
	@$(VENV)/bin/sphinx-build --quiet --fail-on-warning --keep-going -c docs/site -d dist/.read . dist/site
	@echo dist/site/docs/index.html

pictures: $(READY) ## Draw docs/pictures/dashboard.svg anew from the chart's dashboard
	@$(PY) docs/pictures/draw.py

reproduce: $(READY) ## Make the image twice, the second time from nothing, and compare them (root; two minutes)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cp "$$(deploy/images/build | tail -n 1)" "$$folder/first.tar" && \
	  cmp "$$folder/first.tar" "$$(XDG_CACHE_HOME=$$folder deploy/images/build | tail -n 1)" && echo "the image is the same twice"

format: $(READY) ## Format the code
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix-only --quiet .

lint: $(READY) ## Format and lint, as check does
	@$(VENV)/bin/ruff format --check . && $(VENV)/bin/ruff check .

types: $(READY)
	@$(VENV)/bin/mypy

imports: $(READY)
	@$(VENV)/bin/lint-imports

test-rooms: $(READY) ## The tests of what computes, in the rooms below the adapters (a minute)
	@$(VENV)/bin/pytest -q -n auto --dist loadfile $(ROOMS)

test-fast: $(READY) ## The tests that need no cluster, as check runs them
	@$(PY) -m tests.check --fast

test-debian13: $(READY) ## The quick tests on Debian 13, whatever this machine runs on (root; the first time makes its root file system)
	@$(PY) -m tests.debian

meter: $(READY) ## The meter of EPC beside the truth, in QEMU, on Debian's kernels and on the kernel's own SGX driver (root, the first time)
	@$(PY) -m tests.kernel

test-cluster: $(READY) ## The tests on a real cluster, of the chart and of the image (root, or DONJON_TEST_KUBECONFIG=…)
	@$(VENV)/bin/pytest -q tests/cluster tests/deploy

helm3: $(READY) ## An uninstall that fails or is interrupted, and every way out, by Helm 3 in place of 4, on a real cluster (root)
	@DONJON_TEST_HELM=helm3 $(VENV)/bin/pytest -q tests/cluster/test_uninstall.py

endurance: $(READY) ## The attestation service killed 50 times under load; certificates renewed for five minutes, on a real cluster (root)
	@DONJON_ENDURANCE_ROUNDS=50 $(VENV)/bin/pytest -q tests/endurance -k killed
	@DONJON_ENDURANCE_SECONDS=300 $(VENV)/bin/pytest -q tests/cluster/test_webhook.py -k renewed

sgxs-tools: $(READY) ## Fortanix's sgxs-tools built, and tried on what we sign, and we on what they sign (six minutes of one processor, the first time)
	@$(VENV)/bin/pytest -q tests/sgxs

siege: $(READY) ## Every known attack on the attestation service for SECONDS=60, in the chart's memory limit (root; half an hour)
	@$(PY) -m tests.siege

fuzz: $(READY) ## Every parser under a coverage-guided fuzzer, SECONDS_EACH=60; what it finds stays in tests/fuzz/corpus
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@for name in $$($(PY) -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)'); do \
	  echo "== $$name"; $(PY) -m tests.fuzz $$name $${SECONDS_EACH:-60} || exit 1; done

differential: $(READY) ## 100,000 mutants judged by dcap-qvl, too, and every single bit of two quotes turned (a quarter of an hour)
	@$(PY) -m tests.conformance

bench: $(READY) ## The figures of docs/figures.md, each a ratio against a peer or a floor
	@for name in interpreter help_startup beside_intel verify pccs attest admission enclave_admission meter meter_memory metrics plan images measurement enclave_show; do echo "== $$name"; $(PY) -m benchmarks.$$name || exit 1; done

lock: $(READY) ## Lock the newest versions of every dependency again
	@for set in dev proto go fuzz; do $(VENV)/bin/uv pip compile --upgrade --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header requirements/$$set.in -o requirements/$$set.txt || exit 1; done
	@$(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header -c requirements/dev.txt requirements/image.in -o requirements/image.txt

proto: $(READY) ## Generate the gRPC stubs from our .proto files
	@$(PYTHON) -m venv $(VENV)-proto && $(VENV)-proto/bin/pip install -q --require-hashes -r requirements/proto.txt
	@cd src && ../$(VENV)-proto/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
	  --plugin=protoc-gen-grpclib_python=../$(VENV)/bin/protoc-gen-grpclib_python --grpclib_python_out=. donjon/adapters/*/wire/*.proto
	@rm -rf $(VENV)-proto

clean: ## Remove what the build made (the cluster must be down)
	@rm -rf $(VENV) deploy/images/build-out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# The virtual environment, from locked requirements alone.
$(READY): requirements/dev.txt requirements/go.txt pyproject.toml
	@PYTHON=$(PYTHON) requirements/install
	@touch $(READY)
