"""Databases and documents in the admin: to look at, not to edit.

Documents change through the API alone, where every write makes a revision.
"""

from __future__ import annotations

from typing import Any

import orjson
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from acl.admin import ReadOnly
from acl.models import Principal
from couchapi import pages
from couchapi.models import Database, Document, Index, LocalDocument, Purge, Revision, Share

_MOST_SHOWN = 200_000


@admin.register(Database)
class DatabaseAdmin(ReadOnly):
    """The databases, and the way to their documents."""

    list_display = ("name", "documents", "queries", "conflict_policy", "update_seq")
    list_filter = ("conflict_policy",)
    search_fields = ("name",)
    ordering = ("name",)
    fields = (
        "name",
        "documents",
        "queries",
        "doc_del_count",
        "body_size",
        "conflict_policy",
        "revs_limit",
        "update_seq",
        "purge_seq",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Database]:
        """Leave out what is deleted and only waits to be cleared away."""
        return super().get_queryset(request).filter(dropped=False)

    @admin.display(description=_("Documents"), ordering="doc_count")
    def documents(self, database: Database) -> str:
        """Show how many documents there are, as a link to them."""
        query = urlencode({"database": database.pk})
        url = f"{reverse('admin:couchapi_document_changelist')}?{query}"
        count = database.doc_count
        said = ngettext("%(n)s document", "%(n)s documents", count) % {"n": count}
        return format_html('<a href="{}">{}</a>', url, said)

    @admin.display(description=_("Queries"))
    def queries(self, database: Database) -> str:
        """Lead to the pages about views, indexes and Mango."""
        return format_html(
            '<a href="{}">{}</a> · <a href="{}">{}</a>',
            reverse("admin:couchapi_database_indexes", args=[database.pk]),
            _("Views and indexes"),
            reverse("admin:couchapi_database_query", args=[database.pk]),
            _("Find documents"),
        )

    def get_urls(self) -> list[Any]:
        """Add the pages about one database's queries."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/indexes/", wrap(pages.indexes), name="couchapi_database_indexes"),
            path("<int:pk>/query/", wrap(pages.query), name="couchapi_database_query"),
            path("<int:pk>/view/", wrap(pages.view), name="couchapi_database_view"),
            *super().get_urls(),
        ]


@admin.register(Document)
class DocumentAdmin(ReadOnly):
    """The documents of one database, each as the API would show it."""

    list_display = ("docid", "database_name", "rev", "deleted", "has_conflicts")
    list_filter = ("deleted",)
    search_fields = ("docid",)
    search_help_text = _("Search by the beginning of the id.")
    ordering = ("database_id", "docid")
    list_per_page = 50
    show_full_result_count = False
    fields = ("docid", "database_name", "rev", "seq", "deleted", "leaf_count", "content")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        """Leave out documents of deleted databases."""
        documents = super().get_queryset(request).select_related("database")
        return documents.filter(database__dropped=False)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Let a database's own page lead here."""
        return lookup == "database" or super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Document], search_term: str
    ) -> tuple[QuerySet[Document], bool]:
        """Search by the beginning of the id, which an index serves."""
        if not search_term:
            return queryset, False
        # The last character of Unicode follows every other, so this is "starts with".
        last = search_term + "\U0010ffff"
        return queryset.filter(docid__gte=search_term, docid__lte=last), False

    @admin.display(description=_("Database"), ordering="database_id")
    def database_name(self, document: Document) -> str:
        """Name the database."""
        return document.database.name

    @admin.display(description=_("Conflicts"), boolean=True)
    def has_conflicts(self, document: Document) -> bool:
        """Tell whether there is more than one leaf."""
        return document.leaf_count > 1

    @admin.display(description=_("Content"))
    def content(self, document: Document) -> str:
        """Show the winner's body; of a very large one only that it is."""
        kept = Revision.objects.filter(document_id=document.pk, rev=document.rev).first()
        text = bytes(kept.body) if kept else b"{}"
        if len(text) > _MOST_SHOWN:
            return gettext("%(n)s bytes, which is too much for this page.") % {"n": len(text)}
        shown = orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
        return format_html("<pre>{}</pre>", shown)


class OfDatabase(ReadOnly):
    """Rows that belong to a database."""

    list_select_related = ("database",)

    @admin.display(description=_("Database"), ordering="database__name")
    def database_name(self, row: Any) -> str:
        """Name the database."""
        name: str = row.database.name
        return name


@admin.register(Index)
class IndexAdmin(OfDatabase):
    """What is kept ready of views and for queries."""

    list_display = ("signature", "database_name", "language", "seq", "size", "has_failed")
    list_filter = ("language",)
    search_fields = ("signature", "database__name")
    fields = ("signature", "database_name", "language", "seq", "purge_seq", "size", "last_error")

    @admin.display(description=_("Failed"), boolean=True)
    def has_failed(self, index: Index) -> bool:
        """Tell whether a document could not be taken in."""
        return bool(index.last_error)


@admin.register(LocalDocument)
class LocalDocumentAdmin(OfDatabase):
    """Documents that are not replicated: checkpoints, most of all."""

    list_display = ("docid", "database_name", "owner", "rev")
    search_fields = ("docid", "database__name", "owner")
    fields = ("docid", "database_name", "owner", "rev")


@admin.register(Purge)
class PurgeAdmin(OfDatabase):
    """What was purged."""

    list_display = ("docid", "database_name", "seq")
    search_fields = ("docid", "database__name")
    fields = ("docid", "database_name", "seq", "revs")


@admin.register(Share)
class ShareAdmin(ReadOnly):
    """What people and applications have put here; the page of storage sets their limits."""

    list_display = ("name", "size", "quota")
    search_fields = ("key",)
    fields = ("name", "key", "size", "quota")

    @admin.display(description=_("Who"))
    def name(self, share: Share) -> str:
        """Name the principal; somebody who is not known any more by the key."""
        found = Principal.objects.filter(key=share.key).first()
        return found.name if found else share.key
