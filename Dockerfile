# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# All of the lock as wheels, checked against its hashes; only what nats3 itself needs of them is installed further down.
COPY requirements.lock ./
RUN pip wheel --quiet --no-deps --require-hashes --wheel-dir /wheels --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY actors actors
COPY eventstore eventstore
COPY nats3 nats3
RUN python -m venv /build \
 && /build/bin/pip install --quiet --no-index --find-links /wheels hatchling \
 && /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels .
RUN python -m venv /opt/nats3 \
 && /opt/nats3/bin/pip install --quiet --no-index --find-links /wheels nats3 \
 && /opt/nats3/bin/python -m compileall -q /opt/nats3/lib

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="nats3" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/nats3 /opt/nats3
ENV PATH=/opt/nats3/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that an orchestrator can see that it is not root. Nothing is written: the root may be read-only.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/ping', timeout=4)"]
ENTRYPOINT ["nats3"]
CMD ["serve"]
