"""A Docker engine of the test's own, stand-ins for the official images, and projects on it.

The stand-ins are one small Debian with Python, PostgreSQL and Redis, made by debootstrap from the
mirror that this machine's apt uses; they take the same settings as the images whose names they get.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from thalihub.tests.hubprocess import SOURCE, Person, PinnedContext, eventually

_PACKAGES = "ca-certificates,python3-venv,redis-server,postgresql,tor,tini"
_POSTGRES = "/usr/lib/postgresql/15/bin"
_PATH = f"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{_POSTGRES}"
_IMAGES = ("python:3.11-slim-bookworm", "redis:7-bookworm", "postgres:15-bookworm")
_LEFT_OUT = ("./var/cache/apt/*", "./var/lib/apt/lists/*", "./usr/share/doc", "./usr/share/man")
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


class Engine:
    """A dockerd with its own data, ended by its process id; use it as a context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hub-engine-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        places = (("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid"))
        command = [
            shutil.which("dockerd") or "/usr/sbin/dockerd",
            *(word for option, name in places for word in (option, str(self.folder / name))),
            *("--host", self._host, "--bridge", "none"),
        ]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(lambda: self.try_run("docker", "info").returncode == 0, what="dockerd answers")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=60)
        mounted = self.folder / "exec" / "netns" / "default"  # The engine leaves this one.
        subprocess.run(["umount", mounted], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

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
        root = self.folder / "rootfs"
        _bootstrap(self, root)
        left_out = [f"--exclude={name}" for name in _LEFT_OUT]
        for image in _IMAGES:
            entry = ["-c", 'ENTRYPOINT ["entrypoint"]'] if image.startswith("postgres") else []
            given = ["-c", f"ENV {_PATH}", "-c", f"ENV PIP_CERT={_BUNDLE}", *entry]
            with subprocess.Popen(
                ["tar", "-C", root, *left_out, "-c", "."], stdout=subprocess.PIPE
            ) as packed:
                self.run("docker", "import", *given, "-", image, stdin=packed.stdout)
            assert packed.returncode == 0
        shutil.rmtree(root)
        index = self.try_run("python3", "-m", "pip", "config", "get", "global.index-url")
        given = ["--build-arg", f"PIP_INDEX_URL={index.stdout.strip()}"] if index.stdout else []
        self.run(
            "docker", "build", "-q", "--network", "host", "-t", "thali-device-hub", *given, "."
        )


_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def _bootstrap(engine: Engine, root: Path) -> None:
    uri = "$(REPO_URI)"
    mirrors = engine.run(
        "apt-get", "indextargets", "--format", uri, "Created-By: Packages", "Codename: bookworm"
    )
    mirror = mirrors.split()[0]
    engine.run(
        "debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root), mirror
    )
    shutil.copy(os.environ.get("PIP_CERT", _BUNDLE), root / _BUNDLE[1:])
    (root / "usr/local/bin/python3").symlink_to("/usr/bin/python3")
    (root / "usr/local/bin/entrypoint").write_text(_ENTRYPOINT)
    (root / "usr/local/bin/entrypoint").chmod(0o755)
    with (root / "etc/passwd").open("a") as users:  # PostgreSQL runs for nobody without a name.
        users.write("hub:x:1000:1000::/tmp:/bin/sh\n")


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
        self._file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    def compose(self, *words: str) -> str:
        """Run docker-compose on this project."""
        return self._engine.run(
            "docker-compose", "-p", self.name, "--env-file", str(self._file), *words
        )

    def up(self) -> None:
        """Start it, as its owner would."""
        self.compose("up", "-d", *(["single"] if self.serving == "single" else []))
        eventually(lambda: self.health(self.serving) == "healthy", what=f"{self.name} is healthy")

    def down(self) -> None:
        """Remove all containers; the data stays."""
        self.compose("--profile", "single", "down")

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{self.name}_{service}_1"

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine says of a container's state."""
        shown = self._engine.run("docker", "inspect", self.container(service))
        state: dict[str, Any] = json.loads(shown)[0]["State"]
        return state

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
