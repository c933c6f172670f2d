"""The process that finds hubs nearby: it is there only while the owner wants that anywhere."""

from __future__ import annotations

import dataclasses

_CONNECTIONS = 256
"""One more ends the one whose time runs out first: a stranger can hold no other."""


def main(api_port: int) -> None:
    """Find hubs nearby until SIGTERM, or until all of it is switched off."""
    from acl import sql
    from couchapi import javascript
    from thalihub.frontend import limits
    from thalihub.processes import webprocess
    from thalihub.processes.announcing import DoorServer
    from thalihub.processes.finding import Finding

    few = dataclasses.replace(limits.from_settings(), connections=_CONNECTIONS)
    server = DoorServer(few)
    finding = Finding(server, api_port)
    server.run_with(finding.live, finding.end, webprocess.calm_the_collector)
    javascript.close()
    sql.close()
