# `make help` lists the targets; `make check` equals CI.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Where it is set (many containers do), every process of the sandbox and of a test would compile all it imports anew.
unexport PYTHONDONTWRITEBYTECODE

python := .venv/bin/python
pytest := $(python) -m pytest
page   := sandbox/slack/page
# More test processes than cores: tests wait for each other's processes, for pods to become ready and for Slack's own pace about
# half of the time. Forks share what was imported and collected; the processes of `make slow` each have it all, and start sandboxes.
forks   ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 4 )))
workers ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )))
# Each test process starts a real control plane of its own (half a GB at first); the tests mostly wait for its controllers.
control_planes ?= 2

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- the environment -------------------------------------------------------------------------------------------------------
.PHONY: venv venv-sandbox
venv:
	@requirements/install.sh dev
venv-sandbox:
	@requirements/install.sh sandbox

# ---- to try it -------------------------------------------------------------------------------------------------------------
.PHONY: sandbox tour
sandbox: venv-sandbox ## a local Slack, a cluster, the bot and a worker; prints one URL (ARGS="--cluster control-plane")
	@exec .venv/bin/pilothouse sandbox $(ARGS)

tour: venv ## a scripted conversation through the sandbox, printed as it goes (STORY=lab for the long one)
	@$(python) -m tests.tour $(STORY)

# ---- to check it -----------------------------------------------------------------------------------------------------------
.PHONY: test check static lint types imports page browser slow control-plane-suite real-node-suite real-node-whole chart
test: venv ## the hermetic tests, a minute on two cores, no Go and no network
	@$(pytest) --forks $(forks) -m "not control_plane and not real_node and not browser and not slow" $(ARGS)

# Each part once, the cheap ones first; `.ci/run` runs the same list.
check: ## everything: test, lint, types, import rules, locks, page, chart, tour, browser, control plane, real nodes
	@$(MAKE) test
	@$(MAKE) check-rest

.PHONY: check-rest
check-rest:
	@for part in static page slow tour chart browser control-plane-suite real-node-suite; do \
	  echo; echo "== make $$part"; began=$$SECONDS; $(MAKE) $$part; echo "== make $$part took $$((SECONDS - began)) s"; \
	done
	@echo; echo "== make simulate (60 seeds)"; $(MAKE) simulate ARGS="--seeds 60 --cores 2"
	@echo; echo "== make faults (a cut of it)"; $(MAKE) faults ARGS="--seconds 45 --seed 7"
	@echo; echo "== make soak (a cut of it)"; $(MAKE) soak ARGS="--seconds 20 --apps 4 --seed 3"
	@echo; echo "== make soak on real nodes (a cut of it)"; $(MAKE) soak ARGS="--cluster real-node --seconds 30 --apps 3 --seed 3"
	@echo; echo "== make mutants (three of them)"; $(MAKE) mutants ARGS="--most 3"

# The import rules run in `make test` too (tests/architecture), so they are not repeated here.
static: lint types locks-check ## lint, types and locks

lint: venv ## ruff and vulture: style, complexity, dead code
	@$(python) -m ruff check .
	@$(python) -m vulture

types: venv ## mypy --strict
	@$(python) -m mypy

imports: venv ## the import rules of pyproject.toml
	@.venv/bin/lint-imports --no-cache

slow: venv ## the further hermetic tests: exhaustive variations, and what proves the sandbox itself
	@$(pytest) -n $(workers) --dist worksteal -m "slow and not control_plane and not real_node and not browser" $(ARGS) || [ $$? -eq 5 ]

browser: venv ## the local Slack's page in a real browser (needs Chromium)
	@$(pytest) -m "browser and not control_plane and not real_node" $(ARGS)

page: ## build the local Slack's page again and compare it with the committed bundle
	@if ! command -v npm >/dev/null; then \
	  if [ "$${CI:-}" = true ]; then echo "npm is missing: CI needs it to check the page's bundle." >&2; exit 1; fi; \
	  echo "SKIPPED: the page's bundle was not checked, because npm is missing (Debian: apt install npm)." >&2; exit 0; \
	fi; \
	cd $(page) && npm ci --no-fund --no-audit --ignore-scripts && npm run --silent check

# ---- the real Kubernetes ---------------------------------------------------------------------------------------------------
.PHONY: control-plane real-node
control-plane: venv ## build the real control plane from Go modules, once (about 6 minutes the first time)
	@$(python) -m sandbox.control_plane build

real-node: venv ## build kubelet, kube-proxy, containerd and runc too, once (about 6 minutes the first time)
	@$(python) -m sandbox.real_node build

control-plane-suite: venv ## what is marked control_plane, against the real kube-apiserver and controllers
	@$(python) -m sandbox.control_plane build --or-skip
	@$(pytest) -n $(control_planes) -m "control_plane and not real_node" --ignore tests/chart $(ARGS)

real-node-suite: venv ## what is marked real_node: pods that run, on nodes in namespaces of their own (needs root)
	@$(python) -m sandbox.real_node build --or-skip
	@$(python) -m sandbox.images build --or-skip
	@$(pytest) -m "real_node and not slow" $(ARGS)

real-node-whole: venv ## real-node-suite and what takes too long for `make check`: the whole contract suite, journeys, the lab
	@$(python) -m sandbox.real_node build --or-skip
	@$(python) -m sandbox.images build --or-skip
	@$(pytest) -m real_node $(ARGS)

chart: venv ## lint, render and validate the helm chart (needs the helm of `make control-plane`)
	@$(python) -m sandbox.control_plane build --or-skip
	@$(pytest) tests/chart $(ARGS)

# ---- to trust it -----------------------------------------------------------------------------------------------------------
.PHONY: bench faults hostile mutants simulate simulate-mutants soak
bench: venv ## the benchmarks, each with its baseline
	@$(python) -m benchmarks $(ARGS)

faults: venv ## cause faults while releases run, and check the invariants
	@$(python) -m tests.faults $(ARGS)

simulate-mutants: venv ## defects of engine, store and delivery, each found by seeds (ARGS="--only lease")
	@$(python) -m tests.simulation.mutants $(ARGS)

simulate: venv ## the whole product in one process, by seeds (ARGS="--releases 1000 --seed 1", ARGS="--shrink 7")
	@$(python) -m tests.simulation $(ARGS)

mutants: venv ## seed defects one at a time; each must make a named test fail
	@$(python) -m tests.mutants $(ARGS)

hostile: venv ## 100,000 hostile texts for every reader of what comes from outside (HOSTILE_SEED=14)
	@HOSTILE_INPUTS=$${HOSTILE_INPUTS:-12000} $(pytest) -n 2 tests/hostile $(ARGS)

soak: venv ## ten minutes of random releases against the real control plane (ARGS="--seconds 60 --cluster real-node")
	@$(python) -m sandbox.control_plane build --or-skip
	@$(python) -m tests.soak $(ARGS)

# ---- to ship it ------------------------------------------------------------------------------------------------------------
.PHONY: locks locks-check dist image local-images clean
locks: venv-sandbox ## renew every lock in requirements/
	@requirements/compile.sh .venv/bin/uv renew

locks-check: venv-sandbox ## do the locks match pyproject.toml?
	@requirements/compile.sh .venv/bin/uv check

dist: venv ## the wheel, the sdist, and the bill of materials (CycloneDX) of the lock, in dist/
	@.venv/bin/uv build --quiet --wheel --sdist --offline --no-build-isolation --python $(python) --out-dir dist .
	@version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); \
	.venv/bin/pilothouse sbom --lock requirements/runtime.txt > "dist/pilothouse-$$version.cdx.json"; ls dist

image: ## build the container image (needs docker or podman; ENGINE=podman, SOURCE=URL of your repository)
	@engine=$${ENGINE:-docker}; \
	command -v "$$engine" >/dev/null || { echo "make image needs $$engine, which is not installed (ENGINE=podman for the other)." >&2; exit 1; }; \
	version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); \
	"$$engine" build --tag "pilothouse:$$version" --build-arg "VERSION=$$version" --build-arg "SOURCE=$${SOURCE:-}" \
	  --build-arg "REVISION=$$(git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null)" .

local-images: venv ## the same image on a base made here from Debian's packages, for the real nodes (needs root, buildah, debootstrap)
	@$(python) -m sandbox.images build

clean: ## remove caches and build output (not .venv)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist test-results
	@find . -path ./.venv -prune -o -name node_modules -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
