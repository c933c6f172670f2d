"""What tools ask of a CouchDB cluster: a hub is one node, and its configuration cannot be written.

Obsidian LiveSync refuses a server whose configuration it cannot read or does not like, so there is
one to read (design/couch-api.md, "Who asks for what").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http.response import HttpResponseBase

from acl.core.policy import Right
from couchapi import renderers
from couchapi.core.errors import NotFound
from couchapi.endpoints.base import OWNER, Endpoint, Handler

NODE = "nonode@nohost"
_NAMES = ("_local", NODE)


class Membership(Endpoint):
    """`GET /_membership`."""

    rights = {"GET": OWNER}

    async def get(self, request: Any) -> HttpResponseBase:
        """Name the one node, by the name that an unconfigured CouchDB has."""
        return renderers.json({"all_nodes": [NODE], "cluster_nodes": [NODE]})


class Config(Endpoint):
    """`GET /_node/_local/_config`, a section of it, or one value."""

    rights = {"GET": Right.APPLICATION}

    def handler(self, method: str) -> Handler:
        """Take a write for one to nothing: this configuration is not there to be changed."""
        if method in ("PUT", "DELETE"):
            raise NotFound
        return super().handler(method)

    async def get(
        self, request: Any, node: str, section: str = "", key: str = ""
    ) -> HttpResponseBase:
        """Return what a client may rely on, in the words of CouchDB's configuration."""
        if node not in _NAMES:
            raise NotFound(f"no such node: {node}")
        if not section:
            return renderers.json(CONFIGURATION)
        values = CONFIGURATION.get(section, {})
        if not key:
            return renderers.json(values)
        if key not in values:
            raise NotFound("unknown_config_value")
        return renderers.json(values[key])


CONFIGURATION: Mapping[str, Mapping[str, str]] = {
    "admins": {},
    "chttpd": {
        "enable_cors": "true",
        "max_http_request_size": "4294967296",
        "require_valid_user": "true",
    },
    "chttpd_auth": {"require_valid_user": "true"},
    "cors": {
        "credentials": "true",
        # Those of LiveSync.  Which pages may really act for whom is in the ACLs.
        "origins": "app://obsidian.md,capacitor://localhost,http://localhost",
    },
    # LiveSync wants to see this number; what it writes are chunks of some kilobytes.
    "couchdb": {"max_document_size": "50000000"},
    # A 401 asks for nothing all the same: browsers would ask for a password in a window.
    "httpd": {"WWW-Authenticate": 'Basic realm="couchdb"', "enable_cors": "true"},
}
"""What clients check: always strings, as in CouchDB's own files."""
