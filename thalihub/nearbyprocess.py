"""The process that finds hubs nearby: it is there only while the owner wants that anywhere."""

from __future__ import annotations


def main(api_port: int) -> None:
    """Find hubs nearby until SIGTERM, or until all of it is switched off."""
    from acl import sql
    from couchapi import javascript
    from thalihub import limits, webprocess
    from thalihub.announcing import DoorServer
    from thalihub.finding import Finding

    server = DoorServer(limits.from_settings())
    finding = Finding(server, api_port)
    server.run_with(finding.live, finding.end, webprocess.calm_the_collector)
    javascript.close()
    sql.close()
