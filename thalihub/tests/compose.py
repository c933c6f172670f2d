"""A Docker engine of the test's own, stand-ins for the official images, and projects on it.

The stand-ins are one small Debian with Python, PostgreSQL and Redis, made from the mirror that this
machine's apt uses; it takes the same settings as the images whose names it gets.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from thalihub.tests.hubprocess import SOURCE, Person, PinnedContext, eventually
from thalihub.tests.twonetworks import one_network

_PACKAGES = "ca-certificates,python3-venv,redis-server,postgresql,tor,tini"
_POSTGRES = "/usr/lib/postgresql/15/bin"
_PATH = f"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{_POSTGRES}"
_IMAGES = ("python:3.11-slim-bookworm", "redis:7-bookworm", "postgres:15-bookworm")
_ROOM = 8 * 1024**3
_LEFT_OUT = ("doc", "info", "locale", "man")
# What the official image's entrypoint does with the settings of docker-compose.yml.
_ENTRYPOINT = """#!/bin/sh
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  pg_ctl -s -w -o "-c listen_addresses=" start
  createdb -h /var/run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl -s -w stop
fi
exec postgres -c listen_addresses='*'
"""


def _roomy_memory() -> str | None:
    """Return a folder in memory where the images have room; None means a disk."""
    folder = "/dev/shm"
    is_roomy = Path(folder).is_dir() and shutil.disk_usage(folder).free > _ROOM
    return folder if is_roomy else None


class Engine:
    """A dockerd with its own data, ended by its process id."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hub-engine-", dir=_roomy_memory()))

    def remove(self) -> None:
        """Remove all that it has made."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Run where packages can be fetched; this machine's networks stay as they are."""
        with self._running("--bridge=none", "--iptables=false", "--ip-forward=false"):
            yield

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Run in a network without a way out, and bring this thread into it."""
        with one_network("engine") as side, side.visited(), self._running("--bridge=none"):
            yield

    @contextlib.contextmanager
    def _running(self, *options: str) -> Iterator[None]:
        places = (("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid"))
        command = [
            shutil.which("dockerd") or "/usr/sbin/dockerd",
            *(word for option, name in places for word in (option, str(self.folder / name))),
            *("--host", self._host, *options),
        ]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            eventually(self._answers, what="dockerd answers")
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)
            mounted = self.folder / "exec" / "netns" / "default"  # The engine leaves this one.
            subprocess.run(["umount", mounted], capture_output=True, check=False)

    def _answers(self) -> bool:
        return self.try_run("docker", "info").returncode == 0

    @property
    def _host(self) -> str:
        return f"unix://{self.folder}/engine.sock"

    def try_run(self, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command that talks with this engine, whatever its exit code is."""
        environment = os.environ | {"DOCKER_HOST": self._host, "DOCKER_BUILDKIT": "0"}
        return subprocess.run(
            command,
            cwd=SOURCE,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **more,
        )

    def run(self, *command: str, **more: Any) -> str:
        """Run a command that has to do."""
        done = self.try_run(*command, **more)
        assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def build(self) -> None:
        """Make the stand-ins and build the hub's image."""
        packed = self.folder / "stand-in.tar"
        _bootstrap(self, packed)
        given = ["-c", f"ENV {_PATH}", "-c", f"ENV PIP_CERT={_BUNDLE}"]
        given += ["-c", 'ENTRYPOINT ["entrypoint"]']  # The services without one are PostgreSQL's.
        self.run("docker", "import", *given, str(packed), _IMAGES[0])
        packed.unlink()
        for image in _IMAGES[1:]:
            self.run("docker", "tag", _IMAGES[0], image)
        index = self.try_run("python3", "-m", "pip", "config", "get", "global.index-url")
        given = ["--build-arg", f"PIP_INDEX_URL={index.stdout.strip()}"] if index.stdout else []
        self.run(
            "docker", "build", "-q", "--network", "host", "-t", "thali-device-hub", *given, "."
        )


_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def _bootstrap(engine: Engine, packed: Path) -> None:
    uri = "$(REPO_URI)"
    mirrors = engine.run(
        "apt-get", "indextargets", "--format", uri, "Created-By: Packages", "Codename: bookworm"
    )
    entrypoint = engine.folder / "entrypoint"
    entrypoint.write_text(_ENTRYPOINT)
    certificates = os.environ.get("PIP_CERT", _BUNDLE)
    hooks = [
        f"upload {certificates} {_BUNDLE}",
        f"upload {entrypoint} /usr/local/bin/entrypoint",
        'chmod 755 "$1/usr/local/bin/entrypoint"',
        'ln -s /usr/bin/python3 "$1/usr/local/bin/python3"',
        # PostgreSQL runs for nobody without a name.
        'echo "hub:x:1000:1000::/tmp:/bin/sh" >> "$1/etc/passwd"',
    ]
    engine.run(
        "mmdebstrap",
        *("--variant=minbase", f"--include={_PACKAGES}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
        *(f"--customize-hook={hook}" for hook in hooks),
        *("bookworm", str(packed), mirrors.split()[0]),
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Project:
    """One hub in containers: what docker-compose.yml says, with data of its own."""

    def __init__(self, engine: Engine, name: str, serving: str, net: str) -> None:
        """`serving`: the service that answers, `hub` or `single`."""
        self._engine, self.name, self.serving = engine, name, serving
        self.folder = engine.folder / name
        self.port, self.pages_port = _free_port(), _free_port()
        self.address = f"{net}.4:{self.port}"
        lines = {
            "HUB_FOLDER": str(self.folder),
            "HUB_API_PORT": str(self.port),
            "HUB_PAGES_PORT": str(self.pages_port),
            "HUB_ADDRESSES": self.address,
            "HUB_NET": net,
        }
        self._file = engine.folder / f"{name}.env"
        self._more = engine.folder / f"{name}.yml"
        self._file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    def compose(self, *words: str) -> str:
        """Run docker-compose on this project."""
        given = ("-p", self.name, "--env-file", str(self._file), "-f", "docker-compose.yml")
        more = ("-f", str(self._more)) if self._more.exists() else ()
        return self._engine.run("docker-compose", *given, *more, *words)

    def join(self, network: str) -> None:
        """Let the service that answers be in a network of another project, too."""
        inside = {"networks": {"default": {}, network: {}}}
        more = {"services": {self.serving: inside}, "networks": {network: {"external": True}}}
        self._more.write_text(json.dumps({"version": "3.9"} | more))  # JSON is YAML.

    def up(self) -> None:
        """Start it, as its owner would."""
        self.compose("up", "-d", *(["single"] if self.serving == "single" else []))
        eventually(lambda: self.health(self.serving) == "healthy", what=f"{self.name} is healthy")

    def down(self) -> None:
        """Remove all containers; the data stays."""
        self.compose(*(f"--profile={name}" for name in ("single", "tor", "nearby")), "down")

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{self.name}_{service}_1"

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine says of a container's state."""
        state: dict[str, Any] = self._shown(service)["State"]
        return state

    def _shown(self, service: str) -> dict[str, Any]:
        shown = self._engine.run("docker", "inspect", self.container(service))
        found: dict[str, Any] = json.loads(shown)[0]
        return found

    def lives(self, service: str) -> bool:
        """Return whether a service runs, and has run since it was begun."""
        shown = self._shown(service)
        return bool(shown["State"]["Running"]) and shown["RestartCount"] == 0

    def memory(self, service: str) -> int:
        """Return the bytes of a container's own processes, shared pages divided among them."""
        first = psutil.Process(self.inspect(service)["Pid"])
        processes = (first, *first.children(recursive=True))
        return sum(process.memory_full_info().pss for process in processes)

    def health(self, service: str) -> str:
        """Return "healthy" or what else a container is."""
        return str(self.inspect(service).get("Health", {}).get("Status"))

    def manage(self, *words: str) -> str:
        """Run a command of manage.py where the hub serves."""
        name = self.container(self.serving)
        return self._engine.run("docker", "exec", name, "python", "manage.py", *words)

    def read(self, *words: str) -> Any:
        """Return what a command says with --json."""
        return json.loads(self.manage(*words, "--json"))

    @property
    def data(self) -> Path:
        """The hub's data folder, as this machine sees it."""
        return self.folder / "hub"

    @property
    def status(self) -> dict[str, Any]:
        """What hub.json says."""
        found: dict[str, Any] = json.loads((self.data / "hub.json").read_text())
        return found

    @property
    def owner(self) -> Person:
        """The owner, with the certificate that the hub has made."""
        return Person("owner", self.data / "owner.crt", self.data / "owner.key")

    def context(self) -> PinnedContext:
        """Return the TLS side of a client of the owner."""
        context = PinnedContext(self.status["device_key"])
        context.load_cert_chain(self.owner.certificate, self.owner.private_key)
        return context
