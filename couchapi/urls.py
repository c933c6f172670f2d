"""The routes of the CouchDB API.  Paths are matched while they are still percent-encoded.

The commonest routes stand first: Django tries them in order.
"""

from __future__ import annotations

from django.urls import path, re_path

from couchapi import converters  # noqa: F401 - registers the converters
from couchapi.endpoints import (
    administration,
    attachments,
    bulk,
    changes,
    cluster,
    databases,
    design,
    documents,
    listings,
    local_documents,
    mango,
    revs,
    server,
    session,
)
from couchapi.endpoints.base import Endpoint

_database = {
    "_bulk_docs": bulk.BulkDocs,
    "_changes": changes.Changes,
    "_bulk_get": bulk.BulkGet,
    "_revs_diff": revs.RevsDiff,
    "_find": mango.Find,
    "_explain": mango.Explain,
    "_index": mango.Indexes,
    "_index/_bulk_delete": mango.BulkDelete,
    "_all_docs": listings.AllDocs,
    "_all_docs/queries": listings.AllDocsQueries,
    "_design_docs": listings.DesignDocs,
    "_design_docs/queries": listings.DesignDocsQueries,
    "_local_docs": listings.LocalDocs,
    "_missing_revs": revs.MissingRevs,
    "_security": administration.Security,
    "_revs_limit": administration.RevsLimit,
    "_purged_infos_limit": administration.PurgedInfosLimit,
    "_ensure_full_commit": administration.EnsureFullCommit,
    "_compact": administration.Compact,
    "_view_cleanup": administration.ViewCleanup,
    "_purge": administration.Purge,
    "_purged_infos": administration.PurgedInfos,
    "_temp_view": databases.TemporaryView,
}
_server = {
    "_up": server.Up,
    "_uuids": server.Uuids,
    "_session": session.Session,
    "_all_dbs": server.AllDatabases,
    "_dbs_info": server.DatabasesInfo,
    "_db_updates": server.DatabaseUpdates,
    "_membership": cluster.Membership,
    "_node/<str:node>/_config": cluster.Config,
    "_node/<str:node>/_config/<str:section>": cluster.Config,
    "_node/<str:node>/_config/<str:section>/<str:key>": cluster.Config,
}


def _route(pattern: str, endpoint: type[Endpoint]) -> object:
    return path(pattern, endpoint.as_view())


urlpatterns = [
    _route("<db:db_name>/<docid:docid>", documents.Document),
    *[_route(f"<db:db_name>/{name}", endpoint) for name, endpoint in _database.items()],
    _route("<db:db_name>/<local:docid>", local_documents.LocalDocument),
    _route("<anydb:db_name>", databases.Database),
    _route("<anydb:db_name>/", databases.Database),
    _route("<db:db_name>/_index/<design:docid>/json/<view:name>", mango.OneIndex),
    _route("<db:db_name>/_index/<docid:docid>/json/<view:name>", mango.OneIndex),
    _route("<db:db_name>/_compact/<docid:design>", administration.Compact),
    _route("<db:db_name>/<design:docid>", documents.Document),
    _route("<db:db_name>/<design:docid>/_view/<view:name>", design.View),
    _route("<db:db_name>/<design:docid>/_view/<view:name>/queries", design.ViewQueries),
    _route("<db:db_name>/<design:docid>/_info", design.Info),
    _route("<db:db_name>/<docid:docid>/<attachment:name>", attachments.Attachment),
    _route("<db:db_name>/<design:docid>/<attachment:name>", attachments.Attachment),
    *[_route(name, endpoint) for name, endpoint in _server.items()],
    re_path(r"^$", server.Root.as_view()),
]
