"""SQLite gets a local disk and a build without known faults, or says why not."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from medbertde.store import sqlite
from medbertde.types import StorageError


@dataclass(frozen=True)
class Mounted:
    """A mounted file system."""

    mountpoint: str
    fstype: str
    opts: str = "rw"


LOCAL = (Mounted("/", "ext4"), Mounted("/data", "overlay"), Mounted("/proc", "proc"))


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ([*LOCAL, Mounted("/data/share", "nfs4")], "nfs4"),
        ([*LOCAL, Mounted("/data/share", "CIFS")], "cifs"),
        ([*LOCAL, Mounted("/data/share/x", "fuse.sshfs")], "fuse.sshfs"),
        ([*LOCAL, Mounted("/data/share", "9p", "rw,aname=drvfs;path=C:")], "9p"),
        ([*LOCAL, Mounted("/data/share", "ext4"), Mounted("/data/share", "ceph")], "ceph"),
        ([Mounted("/data", "", "rw,remote")], "remote"),
    ],
)
def test_a_network_file_system_is_refused_by_name(mounts: list[Mounted], kind: str) -> None:
    with pytest.raises(StorageError) as refusal:
        sqlite.require_local_disk(Path("/data/share/x/var"), mounts)
    assert refusal.value.de.startswith(f"Der Ordner /data/share/x/var liegt auf einem Netzlaufwerk ({kind}).")
    assert "PostgreSQL" in refusal.value.en


@pytest.mark.parametrize(
    "mounts",
    [
        list(LOCAL),
        [*LOCAL, Mounted("/other", "nfs")],
        [*LOCAL, Mounted("/data/sha", "nfs")],
        [*LOCAL, Mounted("/data/share", "nfs"), Mounted("/data/share/x", "xfs")],
        [Mounted("/", "9p", "rw,trans=fd")],
        [],
    ],
)
def test_a_local_disk_is_taken_also_beside_or_below_a_network_one(mounts: list[Mounted]) -> None:
    sqlite.require_local_disk(Path("/data/share/x/var"), mounts)


def test_a_build_without_the_fault_is_used_where_one_is_installed() -> None:
    driver = sqlite.driver()
    assert driver.sqlite_version_info >= sqlite.GOOD_VERSION
    assert (driver is sqlite3) == (sqlite3.sqlite_version_info >= sqlite.GOOD_VERSION)
    assert sqlite.old_build_notice() is None


def test_an_old_build_says_what_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        sqlite_version, sqlite_version_info = "3.40.1", (3, 40, 1)

    monkeypatch.setattr(sqlite, "driver", lambda: Old)
    notice = sqlite.old_build_notice()
    assert notice is not None
    assert notice.en.startswith("SQLite 3.40.1 has a fault")
