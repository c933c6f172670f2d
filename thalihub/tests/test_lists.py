"""The admin's lists of rows: each can be looked at and searched, and none shows a secret."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from acl.models import ApplicationToken, Principal
from couchapi.models import Database, Index, LocalDocument, Purge, Share
from discovery.models import Contact, NearbyHub, Network, OfferRow, TorEvent
from replication.models import Job, Link
from thalihub.models import BackupRun

SECRET = "never-shown"
OURS = ("acl", "couchapi", "discovery", "replication", "thalihub")
MODELS = [model for model in admin.site._registry if model._meta.app_label in OURS]


@pytest.fixture
def browser(api):
    """The owner's browser; whatever rows a test makes are gone after it."""
    with transaction.atomic():
        client = Client(headers={"host": "hub"})
        owner = User.objects.create_superuser("lists")
        client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
        yield client
        transaction.set_rollback(True)


def page(browser, model, name, *args, **query):
    options = model._meta
    path = reverse(f"admin:{options.app_label}_{options.model_name}_{name}", args=args)
    answer = browser.get(path, query, secure=True)
    return answer.status_code, answer.content.decode()


def rows():
    """Make a row of each kind, with a secret wherever it has one."""
    now, word = timezone.now(), SECRET.encode()
    notes = Principal.objects.create(name="Notes", key="N" * 43, kind="application")
    database = Database.objects.create(name="lists")
    job = Job.objects.create(
        db_name="lists", peer=f"https://ann:{SECRET}@couch.example/lists", there="lists",
        direction="pull", mode="once", priority="normal", created_at=0, options=f'"{SECRET}"',
    )  # fmt: skip
    return [
        ApplicationToken.objects.create(principal=notes, digest=SECRET, made_at=0),
        Index.objects.create(database=database, signature="s" * 32, language="query"),
        LocalDocument.objects.create(database=database, docid="c", owner="", rev=1, body=word),
        Purge.objects.create(database=database, seq=1, uuid="u", docid="gone", revs="[]"),
        Share.objects.create(key="N" * 43),
        OfferRow.objects.create(way="qr", secret=word, expires_at=now),
        NearbyHub.objects.create(
            device="D" * 43, key="K" * 43, way="wifi", address="h:1", certificate=word,
            expires_at=now, seen_at=now,
        ),
        Network.objects.create(mark="m", name="Home", seen_at=now),
        TorEvent.objects.create(at=now, what="on"),
        job,
        Link.objects.create(
            job=job, name=job.peer, direction="pull", state="waiting", due_at=1e15, last_success=5,
        ),
        BackupRun.objects.create(file="b", started_at=0, seen_at=0, state="done"),
    ]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_a_list_can_be_searched_or_filtered(browser, model):
    options = admin.site._registry[model]
    assert options.search_fields or options.list_filter
    assert page(browser, model, "changelist", q="x")[0] == 200


@pytest.mark.slow
def test_a_row_can_be_looked_at_and_its_secrets_stay_where_they_are(browser):
    for row in rows():
        for found in (
            page(browser, type(row), "changelist"),
            page(browser, type(row), "change", row.pk),
        ):
            assert found[0] == 200
            assert "_save" not in found[1]
            assert SECRET not in found[1]
            assert SECRET.encode().hex() not in found[1]


def test_to_delete_a_token_ends_it(browser):
    token = rows()[0]
    path = reverse("admin:acl_applicationtoken_delete", args=[token.pk])
    assert browser.post(path, {"post": "yes"}, secure=True).status_code == 302
    assert not ApplicationToken.objects.filter(pk=token.pk).exists()


def test_a_friend_is_deleted_with_all_that_is_known_of_them(browser):
    friend = Principal.objects.create(name="Berta", key="B" * 43)
    Contact.objects.create(principal=friend, trust="verified", way="qr", paired_at=timezone.now())
    path = reverse("admin:acl_principal_delete", args=[friend.pk])
    assert browser.post(path, {"post": "yes"}, secure=True).status_code == 302
    assert not Principal.objects.filter(pk=friend.pk).exists()
