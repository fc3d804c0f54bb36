# The image in which every component runs; two variants from this one file:
#   docker build -t seglib:cpu .
#   docker build -t seglib:gpu --build-arg VARIANT=gpu .
# `make image` does the same and adds commit and version. Runs as user 1000, with a
# read-only root file system too, if /tmp can be written.
# A base pinned by digest builds the same image again: `make base-digest`, or
# --build-arg BASE=python:3.11-slim@sha256:…
ARG VARIANT=cpu
ARG BASE=python:3.11-slim

# hadolint ignore=DL3006
FROM ${BASE} AS base
SHELL ["/bin/sh", "-euc"]
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1

FROM base AS lock-cpu
COPY requirements.lock /lock/requirements.lock

FROM base AS lock-gpu
COPY requirements-gpu.lock /lock/requirements.lock

# What seglib itself requires, in the versions of the lock file; and of kfp, which only
# starts a component's function here, the package alone.
# hadolint ignore=DL3006
FROM lock-${VARIANT} AS requirements
ARG VARIANT
COPY pyproject.toml /lock/
RUN python3 -c "\
import re, tomllib;\
from pathlib import Path;\
lock = Path('/lock/requirements.lock').read_text();\
pins = dict(re.findall(r'^([\w.-]+)(==\S+)', lock, re.MULTILINE));\
project = tomllib.loads(Path('/lock/pyproject.toml').read_text())['project'];\
extras = {'pretrained', 'mlflow', 'export', '${VARIANT}'} & {*project['optional-dependencies']};\
wanted = sum(map(project['optional-dependencies'].get, extras), project['dependencies']);\
named = [re.match(r'([\w.-]+)(\[.*\])?', one) for one in sorted(wanted)];\
lines = [one.group() + pins[one[1]] for one in named];\
Path('/lock/seglib.txt').write_text('\n'.join(lines) + '\n');\
Path('/lock/kfp.txt').write_text('kfp' + pins['kfp'] + '\n')"

# Everything but the project itself: changes with the lock file only.
FROM base AS environment
# Any version of strip will do, and Debian keeps only the newest.
# hadolint ignore=DL3008
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
COPY requirements-uv.lock /lock/
RUN python3 -m pip install --no-cache-dir --require-hashes \
      -r /lock/requirements-uv.lock \
    && python3 -m venv --without-pip /opt/venv
COPY --from=requirements /lock/requirements.lock /lock/seglib.txt /lock/kfp.txt /lock/
# Compiled ahead, because user 1000 may not write beside the sources and every step
# would compile TensorFlow anew.
RUN --mount=type=cache,target=/cache \
    install() { \
      uv pip install --python /opt/venv/bin/python --cache-dir /cache --link-mode copy \
        --compile-bytecode --require-hashes --constraints /lock/requirements.lock \
        --build-constraints /lock/requirements.lock "$@"; } \
    && install -r /lock/seglib.txt \
    && install --no-deps -r /lock/kfp.txt \
    && echo /opt/seglib > /opt/venv/lib/python3.11/site-packages/seglib.pth
# What nobody needs at run time: headers and clang, for building operators of one's own;
# libraries' own tests; symbols for a debugger.
RUN site=/opt/venv/lib/python3.11/site-packages \
    && rm -r "$site/tensorflow/include" "$site/clang" \
    && for package in numpy pandas pyarrow scipy sklearn; do \
         find "$site/$package" -name tests -type d -prune -exec rm -r {} +; \
       done \
    && rm -rf "$site/tools" "$site/tests" "$site/examples" \
    && find "$site/tensorflow" -name '*.so*' -type f -exec strip --strip-unneeded {} +

FROM environment AS project
WORKDIR /source
COPY pyproject.toml ./
COPY seglib seglib
RUN uv pip install --python /opt/venv/bin/python --target /opt/seglib --no-deps \
      --no-build-isolation --compile-bytecode --no-cache .

# What TensorFlow logs: errors; on a processor it would log one each time that it finds no
# GPU, and its real errors are exceptions as well.
FROM base AS quiet-cpu
ENV TF_CPP_MIN_LOG_LEVEL=3

FROM base AS quiet-gpu
ENV TF_CPP_MIN_LOG_LEVEL=2

# hadolint ignore=DL3006
FROM quiet-${VARIANT}
# Libraries look their user up; HOME is where caches can be written.
RUN useradd --uid 1000 --user-group --home-dir /tmp --no-create-home seglib \
    && install -d -o seglib -g seglib /work
ENV PATH=/opt/seglib/bin:$PATH \
    HOME=/tmp \
    USER=seglib \
    NO_ALBUMENTATIONS_UPDATE=1 \
    MPLBACKEND=Agg \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=1 \
    GIT_PYTHON_REFRESH=quiet \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=environment /opt/venv /opt/venv
COPY --from=project /opt/seglib /opt/seglib
USER 1000:1000
WORKDIR /work
# An image that cannot import what its components import is not built.
RUN --mount=type=tmpfs,target=/tmp python3 -c "\
import importlib, pkgutil, seglib;\
[importlib.import_module(module.name)\
 for module in pkgutil.walk_packages(seglib.__path__, 'seglib.')\
 if not module.name.endswith('__main__')];\
import tensorflow, keras, mlflow, albumentations, grain, cv2" \
    && _KFP_RUNTIME=true python3 -c "import kfp.dsl.executor_main"
ARG COMMIT=unknown
ARG VERSION=unknown
ENV GIT_COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="seglib" \
      org.opencontainers.image.description="Semantic segmentation steps and components" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}"
CMD ["seglib", "--help"]
