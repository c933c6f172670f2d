# One image for all parts of the hub; docker-compose.yml says which part a container is.
# amd64 and arm64: all that is compiled comes as wheels of both.

FROM python:3.11-slim-bookworm AS build
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/hub
COPY requirements.txt .ci/constraints.txt /tmp/
RUN /opt/hub/bin/pip install --quiet -r /tmp/requirements.txt -c /tmp/constraints.txt
RUN /opt/hub/bin/pip uninstall --quiet --yes pip setuptools \
 && find /opt/hub -name tests -type d -prune -exec rm -rf {} +
COPY manage.py /srv/hub/
COPY acl /srv/hub/acl
COPY couchapi /srv/hub/couchapi
COPY discovery /srv/hub/discovery
COPY replication /srv/hub/replication
COPY thalihub /srv/hub/thalihub
COPY templates /srv/hub/templates
COPY static /srv/hub/static
RUN /opt/hub/bin/python -m compileall -q /srv/hub

FROM python:3.11-slim-bookworm
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends tor tini >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/hub /opt/hub
COPY --from=build /srv/hub /srv/hub
ENV PATH=/opt/hub/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    HUB_DATA=/data HUB_PAGES_HOST=0.0.0.0
RUN mkdir -m 0700 /data && chown 1000:1000 /data
WORKDIR /srv/hub
USER 1000:1000
VOLUME /data
EXPOSE 6984 8443
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "thalihub.processes.healthy"]
ENTRYPOINT ["tini", "--", "python", "manage.py"]
CMD ["hub"]
