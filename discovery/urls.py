"""The routes of pairing, on the API's port."""

from __future__ import annotations

from django.urls import path

from discovery import endpoints

_PATH = "_thali/pair/v1/"

urlpatterns = [
    path(f"{_PATH}start", endpoints.start),
    path(f"{_PATH}reveal", endpoints.reveal),
    path(f"{_PATH}confirm", endpoints.confirm),
    path(f"{_PATH}status", endpoints.status),
    path(f"{_PATH}card", endpoints.card),
    path(f"{_PATH}qr", endpoints.scan),
    path(f"{_PATH}moved", endpoints.moved),
]
