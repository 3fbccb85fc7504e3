# One image: gateway and agents. The command line decides which it is.
#
#   docker build -t lookstream .
#   docker build -t lookstream --build-arg TORCH_INDEX=<index of torch's CPU wheels> .
#
# The second leaves out CUDA, and with it about 4 GB. It works with a read-only root: only /tmp is
# written to.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build

# Searched besides pip's own index; empty for none. Tell pip another main index by PIP_INDEX_URL.
ARG TORCH_INDEX=""
ARG PIP_INDEX_URL=""
# Extras of ours, comma-separated: gemini, transformers.
ARG EXTRAS=""

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_CONSTRAINT=/source/constraints.txt
WORKDIR /source

# What we depend on, without our own code: a layer that changes seldom.
COPY pyproject.toml README.md constraints.txt ./
RUN python -m venv --without-pip /opt/lookstream \
    && export PIP_EXTRA_INDEX_URL="${TORCH_INDEX}" \
    && if [ -z "${PIP_INDEX_URL}" ]; then unset PIP_INDEX_URL; fi \
    && pip --python /opt/lookstream/bin/python install ".${EXTRAS:+[${EXTRAS}]}"

COPY streams streams
COPY storage storage
COPY agents agents
COPY gateway gateway
COPY lookstream lookstream
RUN if [ -z "${PIP_INDEX_URL}" ]; then unset PIP_INDEX_URL; fi \
    && pip --python /opt/lookstream/bin/python install --no-deps --force-reinstall .


FROM ${PYTHON_IMAGE}

ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="Lookstream" \
      org.opencontainers.image.description="Event-driven processing of garment photos on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# OpenCV, which mediapipe brings along, is linked to both. Nothing is ever installed in here later.
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

# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 9100
STOPSIGNAL SIGTERM

# Of whatever runs in here: a worker where LOOKSTREAM_WORKER_PORT is set, else a gateway.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-m", "lookstream.supervisor.probe"]

ENTRYPOINT ["lookstream"]
CMD ["--help"]
