# One image for every process of Signalbox; the command says which:
#
#   python -m signalbox_operator           python -m signalbox_proxy
#   python -m signalbox_ledger.authority   python -m signalbox_simulator
#
#   docker build --build-arg BASE=python:3.11-slim-bookworm -t signalbox .
#
# BASE is any image with glibc, Python 3.11 to 3.13 with venv as `python3`, and certificate authorities. With the same
# BASE, sources and SOURCE_DATE_EPOCH every layer has the same bytes (`buildah build --timestamp`, or BuildKit with
# rewrite-timestamp=true): packages by hash, bytecode without times, no cache left behind.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Where packages come from, if not from the index: "--no-index --find-links /wheels" with a volume there.
ARG PIP_OPTIONS=""
ARG SOURCE_DATE_EPOCH=1767225600
ENV PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY requirements/run.lock requirements/run.lock
RUN python3 -m venv /opt/signalbox \
 && /opt/signalbox/bin/pip install --require-hashes --only-binary :all: ${PIP_OPTIONS} -r requirements/run.lock \
 && /opt/signalbox/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/signalbox/lib
COPY pyproject.toml README.md LICENSE ./
COPY crds/signalbox_api crds/signalbox_api
COPY operator operator
COPY proxy proxy
# What only builds is gone before what stays is checked. Bytecode is trusted unread: nothing can be written where it
# lies.
RUN /opt/signalbox/bin/pip install --no-deps --no-build-isolation --no-index . \
 && /opt/signalbox/bin/pip uninstall --yes hatchling editables pathspec pluggy trove-classifiers \
 && /opt/signalbox/bin/pip check \
 && /opt/signalbox/bin/pip uninstall --yes setuptools pip \
 && /opt/signalbox/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash \
      /opt/signalbox/lib/python3.*/site-packages/signalbox_*

FROM ${BASE}
COPY --from=build /opt/signalbox /opt/signalbox
# USER: who asks for the name of a user that /etc/passwd does not know (kopf does) is answered, whatever its number.
ENV PATH=/opt/signalbox/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp USER=signalbox
# A number, so that a cluster can see that it is not root's.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080 8081 9090 9443
CMD ["signalbox", "--help"]
