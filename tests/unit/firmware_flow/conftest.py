"""What several of these test files need."""

import os

import pytest


@pytest.fixture
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fsync: thousands of stores in seconds. That stores are durable is the subject of other tests."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
