# One image for gateway and workers. The command decides which one runs.
#
#   docker build -t lookstream .
#   docker build -t lookstream --build-arg TORCH_INDEX=<index of torch's CPU wheels> .
#
# The second command leaves out CUDA, about 4 GB. The image works with a read-only root file system: it
# writes only to /tmp.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build

# An additional package index. PIP_INDEX_URL replaces pip's main index.
ARG TORCH_INDEX=""
ARG PIP_INDEX_URL=""
# More extras, separated by commas: gemini, transformers.
ARG EXTRAS=""

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_CONSTRAINT=/source/constraints.txt
WORKDIR /source

# The dependencies without our own code: this layer rarely changes.
COPY pyproject.toml README.md constraints.txt ./
COPY client client
RUN python -m venv --without-pip /opt/lookstream \
    && export PIP_EXTRA_INDEX_URL="${TORCH_INDEX}" \
    && if [ -z "${PIP_INDEX_URL}" ]; then unset PIP_INDEX_URL; fi \
    && pip --python /opt/lookstream/bin/python install ./client ".[all${EXTRAS:+,${EXTRAS}}]"

COPY streams streams
COPY storage storage
COPY agents agents
COPY gateway gateway
COPY lookstream lookstream
RUN if [ -z "${PIP_INDEX_URL}" ]; then unset PIP_INDEX_URL; fi \
    && pip --python /opt/lookstream/bin/python install --no-deps --force-reinstall .


FROM ${PYTHON_IMAGE}

ARG VERSION=0.2.0
ARG REVISION=""
LABEL org.opencontainers.image.title="Lookstream" \
      org.opencontainers.image.description="Event-driven processing of garment photos on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# OpenCV (from mediapipe) needs both libraries. pip is removed: nothing is installed later.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall -y --root-user-action=ignore setuptools wheel pip \
    && groupadd --system --gid 10001 lookstream \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin lookstream

COPY --from=build /opt/lookstream /opt/lookstream

ENV PATH=/opt/lookstream/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LOOKSTREAM_HOME=/tmp/lookstream \
    LOOKSTREAM_LOG_FORMAT=json

# A number lets Kubernetes check that the user is not root.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 9100
STOPSIGNAL SIGTERM

# Checks a worker if LOOKSTREAM_WORKER_PORT is set, else a gateway.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-m", "lookstream.supervisor.probe"]

ENTRYPOINT ["lookstream"]
CMD ["--help"]
