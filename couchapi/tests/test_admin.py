"""Databases and documents in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from couchapi.models import Document


@pytest.fixture
def pages(tables: None) -> Client:
    user, _ = get_user_model().objects.get_or_create(
        username="owner", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


async def fetch(pages: Client, path: str) -> str:
    answer = await sync_to_async(pages.get)(path, secure=True)
    assert answer.status_code == 200
    return answer.content.decode()


async def test_databases_are_listed_with_a_link_to_their_documents(
    owner: Any, database: str, pages: Client
) -> None:
    await owner.put(f"{database}/a", {"x": 1})
    path = reverse("admin:couchapi_database_changelist")
    shown = await fetch(pages, f"{path}?q={database[1:]}")
    assert database[1:] in shown
    assert ">1 document<" in shown


async def test_a_document_is_shown_and_cannot_be_changed(
    owner: Any, database: str, pages: Client
) -> None:
    await owner.put(f"{database}/hello", {"greeting": "<b>good day</b>"})
    document = await Document.objects.aget(docid="hello", database__name=database[1:])
    shown = await fetch(pages, reverse("admin:couchapi_document_change", args=[document.pk]))
    assert "&lt;b&gt;good day" in shown
    assert 'name="_save"' not in shown
    refused = await sync_to_async(pages.post)(
        reverse("admin:couchapi_document_delete", args=[document.pk]), secure=True
    )
    assert refused.status_code == 403


async def test_documents_are_found_by_the_beginning_of_their_id(
    owner: Any, database: str, pages: Client
) -> None:
    for docid in ("apple", "apricot", "banana"):
        await owner.put(f"{database}/{docid}", {})
    found = await Document.objects.filter(database__name=database[1:]).afirst()
    assert found is not None
    path = reverse("admin:couchapi_document_changelist")
    shown = await fetch(pages, f"{path}?database={found.database_id}&q=ap")
    assert "apple" in shown and "apricot" in shown
    assert "banana" not in shown


async def test_documents_of_a_deleted_database_are_not_shown(
    owner: Any, database: str, pages: Client
) -> None:
    await owner.put(f"{database}/gone", {})
    document = await Document.objects.aget(docid="gone", database__name=database[1:])
    await owner.delete(database)
    answer = await sync_to_async(pages.get)(
        reverse("admin:couchapi_document_change", args=[document.pk]), secure=True
    )
    assert answer.status_code == 302


async def test_a_very_large_document_does_not_fill_the_page(
    owner: Any, database: str, pages: Client
) -> None:
    await owner.put(f"{database}/large", {"text": "y" * 300_000})
    document = await Document.objects.aget(docid="large", database__name=database[1:])
    shown = await fetch(pages, reverse("admin:couchapi_document_change", args=[document.pk]))
    assert "too much for this page" in shown
    assert len(shown) < 100_000


async def test_names_and_contents_cannot_bring_a_script_into_a_page(
    owner: Any, database: str, pages: Client
) -> None:
    evil = "</pre><script>alert(1)</script>"
    await owner.post(database, {"_id": evil, evil: [evil]})
    document = await Document.objects.aget(docid=evil, database__name=database[1:])
    for name, args in (("change", [document.pk]), ("changelist", [])):
        path = reverse(f"admin:couchapi_document_{name}", args=args)
        assert "<script>alert" not in await fetch(pages, path)
