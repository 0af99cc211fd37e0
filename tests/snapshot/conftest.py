"""A snapshot in which every kind of object and every optional part occurs."""

import pytest

from signalbox_snapshot import snapshot as wire
from support.whole_snapshot import whole_snapshot


@pytest.fixture
def snapshot() -> wire.Snapshot:
    return whole_snapshot()
