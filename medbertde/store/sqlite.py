"""SQLite's own matters: which build of it to use, where its file may lie, and what its errors mean.

Owns the choice of the driver. A build before 3.51.3 can damage a write-ahead log when two processes write and fold it
back at the same moment (the "WAL-reset" bug); Python brings whatever build the system has, so the pinned `pysqlite3`
takes its place where that one is too old. Knows no table and no transaction.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Protocol

import psutil

from medbertde.types import Notice, StorageError

GOOD_VERSION = (3, 51, 3)
ADDRESS = "MEDBERTDE_DATABASE_URL"  # what the address of the database is called, where nothing else names it
_NETWORK = {
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs", "afs", "ceph", "lustre",
    "gpfs", "beegfs", "glusterfs", "ocfs2", "gfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.davfs",
    "fuse.davfs2", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "osxfuse", "drvfs",
}  # fmt: skip


class Mount(Protocol):
    """What is asked of a mounted file system, as psutil gives it."""

    mountpoint: str
    fstype: str
    opts: str


@cache
def driver() -> ModuleType:
    """The DB-API module: Python's own when its SQLite is good, else `pysqlite3` where it is installed."""
    if sqlite3.sqlite_version_info >= GOOD_VERSION:
        return sqlite3
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3


def old_build_notice() -> Notice | None:
    """What to say at the start when only an old SQLite is at hand: one process is safe, several are not."""
    found = driver().sqlite_version
    if driver().sqlite_version_info >= GOOD_VERSION:
        return None
    return Notice(
        "old_sqlite",
        f"SQLite {found} hat einen Fehler, der die Datenbank beschädigen kann, wenn mehrere Programme zugleich "
        "speichern. Solange nur diese App läuft, ist nichts zu befürchten. Bitte keine Befehle nebenher ausführen oder "
        "eine neuere SQLite-Fassung bereitstellen (pip install pysqlite3).",
        f"SQLite {found} has a fault that can damage the database when several programs save at the same time. As long "
        "as only this app runs there is nothing to fear. Please run no commands beside it or provide a newer SQLite "
        "(pip install pysqlite3).",
    )


def create_file(path: Path) -> None:
    """The file and its folder on a local disk; a new file is readable by its owner only (its log gets the same)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        require_local_disk(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    except OSError as error:
        raise StorageError(
            f"Die Datenbankdatei {path} lässt sich nicht anlegen oder öffnen ({error.strerror}). Bitte den Ordner und "
            "die Zugriffsrechte prüfen.",
            f"The database file {path} cannot be created or opened ({error.strerror}). Please check the folder and the "
            "access rights.",
        ) from error


def require_local_disk(folder: Path, mounts: Sequence[Mount] | None = None) -> None:
    """`StorageError` when `folder` lies on a network file system: its locks do not hold what SQLite relies on."""
    kind = _network_kind(folder.resolve(), psutil.disk_partitions(all=True) if mounts is None else mounts)
    if kind is None:
        return
    raise StorageError(
        f"Der Ordner {folder} liegt auf einem Netzlaufwerk ({kind}). Dort kann SQLite Daten verlieren. Bitte "
        "MEDBERTDE_VAR oder MEDBERTDE_DATABASE_URL auf eine lokale Platte legen oder PostgreSQL verwenden.",
        f"The folder {folder} lies on a network file system ({kind}). SQLite can lose data there. Please point "
        "MEDBERTDE_VAR or MEDBERTDE_DATABASE_URL to a local disk or use PostgreSQL.",
    )


def _network_kind(folder: Path, mounts: Sequence[Mount]) -> str | None:
    """The kind of network file system that `folder` lies on, None when the disk is local."""
    above = [mount for mount in mounts if folder.is_relative_to(mount.mountpoint)]
    if not above:
        return "UNC" if str(folder).startswith("\\\\") else None
    nearest = max(reversed(above), key=lambda mount: len(Path(mount.mountpoint).parts))  # of two the later covers
    kind = nearest.fstype.lower()
    remote = kind in _NETWORK or "drvfs" in nearest.opts or "remote" in nearest.opts.split(",")
    return (kind or "remote") if remote else None


@contextmanager
def as_sentences() -> Iterator[None]:
    """Errors of the driver itself become sentences; programming errors stay what they are."""
    try:
        yield
    except driver().Error as error:
        known = sentence(error)
        if known is None:
            raise
        raise known from error


def sentence(error: BaseException | None, address: str = ADDRESS) -> StorageError | None:
    """What the user is told about a driver's error; None for an error of the code (wrong SQL, wrong types).

    `address`: what the database's address is called.
    """
    name = getattr(error, "sqlite_errorname", None) or ""
    known = (words for prefix, words in SENTENCES.items() if name.startswith(prefix))
    found = next(known, None)
    return None if found is None else StorageError(*(words.format(address=address) for words in found))


LOCKED = (
    "Die Datenbank ist gerade durch einen anderen Vorgang gesperrt. Es wurde nichts gespeichert. Bitte gleich noch "
    "einmal versuchen.",
    "The database is locked by another process at the moment. Nothing was saved. Please try again shortly.",
)
FULL = (
    "Der Speicherplatz für die Datenbank ist voll. Es wurde nichts gespeichert. Bitte Platz schaffen und noch einmal "
    "versuchen.",
    "The disk of the database is full. Nothing was saved. Please free some space and try again.",
)
READ_ONLY = (
    "Die Datenbank ist schreibgeschützt. Es wurde nichts gespeichert. Bitte die Zugriffsrechte prüfen.",
    "The database is read-only. Nothing was saved. Please check the access rights.",
)
SENTENCES = {
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
    "SQLITE_FULL": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_CANTOPEN": (
        "Die Datenbankdatei lässt sich nicht öffnen. Bitte den Ordner und die Zugriffsrechte prüfen.",
        "The database file cannot be opened. Please check the folder and the access rights.",
    ),
    "SQLITE_NOTADB": (
        "Die Datei ist keine SQLite-Datenbank. Bitte {address} prüfen oder eine Sicherung einspielen.",
        "The file is not an SQLite database. Please check {address} or restore a backup.",
    ),
    "SQLITE_CORRUPT": (
        "Die Datenbankdatei ist beschädigt. Bitte die App beenden und eine Sicherung einspielen.",
        "The database file is damaged. Please stop the app and restore a backup.",
    ),
    "SQLITE_IOERR": (
        "Beim Zugriff auf die Datenbankdatei ist ein Gerätefehler aufgetreten. Es wurde nichts gespeichert. Bitte den "
        "Datenträger prüfen.",
        "Reading or writing the database file failed. Nothing was saved. Please check the disk.",
    ),
}
