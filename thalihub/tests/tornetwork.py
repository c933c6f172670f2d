"""A private Tor network on loopback: three authorities, three relays, no other network.

What it takes was found by measuring (design/tor.md, "A private network for tests").  The product's
own code runs against it: `lines` are what every tor that joins needs, and the hub takes them by
HUB_TOR_LINES.  Making keys costs most of the start, so they are kept, for each user, and
never leave the machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thalihub.tests.hubprocess import eventually

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"])
_FRESH_SECONDS = 300 * 24 * 3600
_AUTHORITIES, _RELAYS = 3, 3
_FIRST_VOTE, _LEAD, _ROUND = 10, 4, 20


@dataclass
class Node:
    """An authority or a relay, with its folder."""

    name: str
    folder: Path
    onion_port: int
    directory_port: int = 0
    fingerprint: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_authority(self) -> bool:
        """Whether it votes."""
        return self.directory_port != 0

    @property
    def authority_key(self) -> str:
        """Return the fingerprint of the key that signs its votes."""
        text = (self.folder / "keys" / "authority_certificate").read_text()
        found = re.search(r"^fingerprint (\w{40})", text, re.MULTILINE)
        assert found is not None
        return found[1]


@dataclass
class TorNetwork:
    """Six nodes below `folder`; use it as a context manager: it is ready when that begins."""

    folder: Path
    nodes: list[Node] = field(default_factory=list)

    def __enter__(self) -> TorNetwork:
        try:
            self._make_nodes()
            self._make_keys()
            self._start()
            for node in self.nodes:
                if node.is_authority:
                    self._wait_for(node)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def lines(self) -> list[str]:
        """What a tor that joins has to have in its torrc."""
        authorities = [
            f"DirAuthority {node.name} orport={node.onion_port} no-v2 "
            f"v3ident={node.authority_key} 127.0.0.1:{node.directory_port} {node.fingerprint}"
            for node in self.nodes
            if node.is_authority
        ]
        return [
            "TestingTorNetwork 1",
            "PathsNeededToBuildCircuits 0.67",
            "CountPrivateBandwidth 0",  # Else clients stay at 95 %.
            "ShutdownWaitLength 0",
            "VanguardsLiteEnabled 0",
            "GeoIPFile /dev/null",
            "GeoIPv6File /dev/null",
            *authorities,
        ]

    def _make_nodes(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ports = _free_ports(2 * _AUTHORITIES + _RELAYS)
        for number in range(_AUTHORITIES):
            name = f"auth{number}"
            self.nodes.append(Node(name, self.folder / name, ports.pop(), ports.pop()))
        for number in range(_RELAYS):
            name = f"relay{number}"
            self.nodes.append(Node(name, self.folder / name, ports.pop()))

    def _make_keys(self) -> None:
        kept = _cache()
        missing = [node for node in self.nodes if not (kept / node.name).is_dir()]
        for node in self.nodes:
            node.folder.mkdir(mode=0o700)
            if node not in missing:
                shutil.copytree(kept / node.name, node.folder / "keys")
        made = [(node, _run(command)) for node in missing for command in _key_commands(node)]
        for node, process in made:
            output, _ = process.communicate(timeout=120)
            if process.returncode:
                raise RuntimeError(f"{node.name}: {output.decode(errors='replace')}")
            _note_fingerprint(node, output.decode(errors="replace"))
        for node in missing:
            _keep(node.folder / "keys", kept / node.name)
        for node in self.nodes:
            node.fingerprint = (node.folder / "keys" / "fingerprint").read_text()

    def _start(self) -> None:
        # The first vote comes when every relay has told of itself.
        offset = int(time.time() + _LEAD) % _FIRST_VOTE
        for node in self.nodes:
            torrc = node.folder / "torrc"
            torrc.write_text("\n".join([*self.lines, *_node_lines(node, offset)]) + "\n")
            command = [_tor(), "--quiet", "--defaults-torrc", "/dev/null", "-f", str(torrc)]
            node.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def _wait_for(self, authority: Node) -> None:
        # On a busy machine a vote may come too early for somebody; the next is 20 s later.
        what = f"{authority.name} knows all"
        eventually(lambda: self._knows_all(authority), what=what, seconds=150, pause=0.1)

    def _knows_all(self, authority: Node) -> bool:
        """Tell whether an authority serves a consensus of all, and all descriptors in it."""
        folder = authority.folder
        with contextlib.suppress(FileNotFoundError):
            consensus = (folder / "cached-microdesc-consensus").read_text()
            texts = [file.read_text() for file in folder.glob("cached-microdescs*")]
            listed = len(re.findall("^r ", consensus, re.MULTILINE))
            described = sum(len(re.findall("^onion-key", text, re.MULTILINE)) for text in texts)
            return min(listed, described) >= len(self.nodes)
        return False

    def _stop(self) -> None:
        running = [node.process for node in self.nodes if node.process is not None]
        for process in running:
            process.kill()  # Nothing of it lasts; an orderly end takes seconds.
            process.wait()


def _node_lines(node: Node, offset: int) -> list[str]:
    lines = [
        f"__OwningControllerProcess {os.getpid()}",
        f"DataDirectory {node.folder}",
        f"Nickname {node.name}",
        f"Log notice file {node.folder}/notice.log",
        f"ORPort 127.0.0.1:{node.onion_port} IPv4Only",
        "Address 127.0.0.1",
        "ContactInfo test@example.com",
        "SocksPort 0",
        "AssumeReachable 1",
        "AvoidDiskWrites 1",
        "ExitRelay 0",
        "NumCPUs 1",
        "ServerDNSDetectHijacking 0",
        "ServerDNSTestAddresses",
        "ServerDNSResolvConfFile /dev/null",
    ]
    if not node.is_authority:
        return [*lines, "DirCache 0"]
    return [
        *lines,
        f"DirPort 127.0.0.1:{node.directory_port} IPv4Only",
        "AuthoritativeDirectory 1",
        "V3AuthoritativeDirectory 1",
        "TestingDirAuthVoteExit *",
        "TestingDirAuthVoteGuard *",
        "TestingMinExitFlagThreshold 0",
        f"TestingV3AuthInitialVotingInterval {_FIRST_VOTE}",
        "TestingV3AuthInitialVoteDelay 2",
        "TestingV3AuthInitialDistDelay 2",
        f"TestingV3AuthVotingStartOffset {offset}",
        f"V3AuthVotingInterval {_ROUND}",
        "V3AuthVoteDelay 2",
        "V3AuthDistDelay 2",
        "V3AuthNIntervalsValid 3",
    ]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _tor() -> str:
    return shutil.which("tor", path=_PATH) or "tor"


def _key_commands(node: Node) -> list[Sequence[str]]:
    keys = node.folder / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    empty = node.folder / "empty"  # It takes no device for a file.
    empty.touch()
    tell = [_tor(), "--quiet", "-f", str(empty), "--defaults-torrc", str(empty), "--orport", "1"]
    commands: list[Sequence[str]] = [
        [*tell, "--datadirectory", str(node.folder), "--list-fingerprint"]
    ]
    if node.is_authority:
        program = shutil.which("tor-gencert", path=_PATH) or "tor-gencert"
        files = ["-i", "authority_identity_key", "-s", "authority_signing_key"]
        files += ["-c", "authority_certificate"]
        files = [one if one.startswith("-") else str(keys / one) for one in files]
        make = [program, "--create-identity-key", "--passphrase-fd", "0", "-m", "12"]
        commands.append([*make, *files])
    return commands


def _run(command: Sequence[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)
    assert process.stdin is not None
    process.stdin.write(b"a passphrase of a test\n")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.flush()
    return process


def _note_fingerprint(node: Node, output: str) -> None:
    lines = output.strip().splitlines()
    found = "".join(lines[-1].split()[1:]) if lines else ""
    if re.fullmatch("[0-9A-F]{40}", found):
        (node.folder / "keys" / "fingerprint").write_text(found)


def _cache() -> Path:
    """Return the folder of the keys; those that a directory would soon refuse are gone."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "thali-hub-tests" / "tor-keys-1"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for node in folder.iterdir():
        if time.time() - node.stat().st_mtime > _FRESH_SECONDS:
            shutil.rmtree(node, ignore_errors=True)
    return folder


def _keep(keys: Path, place: Path) -> None:
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.copytree(keys, draft)
    os.utime(draft)
    try:
        draft.rename(place)
    except OSError:  # Another run was faster.
        shutil.rmtree(draft)
