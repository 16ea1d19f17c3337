# syntax=docker/dockerfile:1
# The image of the bot and the workers: locked dependencies, one wheel, no compiler, no package manager of ours, not root.
ARG PYTHON_VERSION=3.13
# Any image with this Python as `python` and its venv module.
ARG BASE=python:${PYTHON_VERSION}-slim

FROM ${BASE} AS build
WORKDIR /src
ENV PYTHONDONTWRITEBYTECODE=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
COPY requirements/uv.txt requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/uv.txt \
 && /opt/build/bin/uv pip sync --no-cache --python /opt/build/bin/python --require-hashes requirements/uv.txt requirements/build.txt \
 && python -m venv --without-pip /opt/pilothouse \
 && /opt/build/bin/uv pip sync --no-cache --python /opt/pilothouse/bin/python --require-hashes requirements/runtime.txt
# Pilothouse needs the client library's connections and kubeconfigs, not its generated models, which it would import when one is asked for.
RUN cd /opt/pilothouse/lib/python*/site-packages/kubernetes \
 && rm -rf aio \
 && find client/api client/models -name '*.py*' ! -name '__init__.*' -delete
# What changes often comes last, so that the layers above are kept.
COPY pyproject.toml README.md LICENSE ./
COPY pilothouse pilothouse
COPY bot bot
COPY jobs jobs
COPY config config
COPY sandbox sandbox
RUN /opt/build/bin/uv build --wheel --offline --no-build-isolation --python /opt/build/bin/python --out-dir /wheels . \
 && /opt/build/bin/uv pip install --no-cache --python /opt/pilothouse/bin/python --offline --no-deps /wheels/*.whl
# What the image consists of, the packages of its base too.
RUN /opt/pilothouse/bin/pilothouse sbom --system > /opt/pilothouse/sbom.cdx.json

FROM ${BASE}
# An ARG from before the first FROM is known to a stage that repeats it.
ARG PYTHON_VERSION
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="Pilothouse" \
      org.opencontainers.image.description="A Slack bot that releases software on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}" \
      pilothouse.python="${PYTHON_VERSION}"
RUN groupadd --gid 10001 pilothouse && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin pilothouse
COPY --from=build /opt/pilothouse /opt/pilothouse
# Nothing is written but to /tmp, so the root file system may be read-only.
ENV PATH=/opt/pilothouse/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /tmp
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["pilothouse"]
CMD ["bot"]
