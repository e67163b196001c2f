"""The library's database: a SQLite file, or PostgreSQL for replicas that share a library."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from app.errors import ServiceError

logger = logging.getLogger("adain")
FILE = "library.sqlite3"
# How long a writer waits for another writer, and a connection for the server.
WAIT_SECONDS = 5
DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
# "disk full" and "could not extend file"; "lock timeout", "query cancelled", deadlock and
# serialization failure (PostgreSQL, appendix A).
FULL_STATES = ("53100", "53000")
BUSY_STATES = ("55P03", "57014", "40P01", "40001")


class Database:
    """Connections to one database, its failures raised as ServiceError.

    Attributes:
        engine: SQLAlchemy's.
        place: what messages call the database: its file, or its address without the password.
    """

    def __init__(self, url: str | None, folder: Path) -> None:
        """Set up the database; nothing is opened or written yet.

        Args:
            url: of SQLite or PostgreSQL; None means a SQLite file in `folder`.
            folder: made on first use.

        Raises:
            ServiceError: `url` is no URL of a database that we use.
        """
        target = (
            sql.URL.create("sqlite", database=str(folder / FILE)) if url is None else parse(url)
        )
        self._sqlite = target.drivername == "sqlite"
        target = target.set(drivername=DRIVERS[target.drivername])
        self.place = target.render_as_string() if not self._sqlite else str(target.database)
        self._folder = Path(self.place).parent if self._sqlite else None
        options: dict[str, Any] = {"timeout": WAIT_SECONDS}
        if not self._sqlite:
            milliseconds = 1000 * WAIT_SECONDS
            waits = f"-c lock_timeout={milliseconds} -c statement_timeout={4 * milliseconds}"
            options = {"connect_timeout": WAIT_SECONDS, "options": waits}
        # pool_pre_ping: requests survive a restart of the database server.
        self.engine = sql.create_engine(target, connect_args=options, pool_pre_ping=True)
        if self._sqlite:
            sql.event.listen(self.engine, "connect", prepare_sqlite)
            sql.event.listen(self.engine, "begin", begin_sqlite)

    @contextmanager
    def read(self) -> Iterator[sql.Connection]:
        """A connection for one SELECT."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sql.Connection]:
        """A transaction, committed to the disk at its end, or rolled back as a whole."""
        with self._translated():
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            with self.engine.connect() as connection:
                connection = connection.execution_options(writes=True)
                with connection.begin():
                    yield connection

    def lock(self, connection: sql.Connection, key: int) -> None:
        """Lock `key` against all other connections until the transaction ends.

        In SQLite, whose transactions that write come one after another, that is so already.
        """
        if not self._sqlite:
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(key)))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise database failures as ServiceError, except IntegrityError."""
        try:
            yield
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise self._service_error(error) from error

    def _service_error(self, error: Exception) -> ServiceError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        primary = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        state = getattr(cause, "sqlstate", None)
        if primary == sqlite3.SQLITE_FULL or state in FULL_STATES:
            return ServiceError(
                "library-full", "the disk of the style library is full; free some space, try again"
            )
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or state in BUSY_STATES:
            return ServiceError(
                "library-busy",
                f"others held the style library for more than {WAIT_SECONDS} seconds; try again",
            )
        # Paths and addresses go to the log only: HTTP clients need not know them.
        reason = str(cause).strip() or type(cause).__name__
        logger.error("style library at %s: %s", self.place, reason)
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return ServiceError(
                "library-unavailable",
                "the style library is damaged: put a sound copy in the place of its file, which "
                "the log names, or move it away to begin a new one",
            )
        return ServiceError(
            "library-unavailable",
            "the style library cannot be used, and the log says why; check ADAIN_DATA_DIR or "
            "ADAIN_DATABASE_URL",
        )


def parse(url: str) -> sql.URL:
    """Return the URL of a database; no message shows it, as it may hold a password.

    Raises:
        ServiceError: it is none, or one of a database that we do not use.
    """
    wanted = "it must begin with postgresql:// or sqlite:///"
    try:
        parsed = sql.make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ServiceError(
            "library-unavailable", f"ADAIN_DATABASE_URL is no database URL: {wanted}"
        ) from error
    kind = parsed.drivername.partition("+")[0]
    if kind not in DRIVERS:
        raise ServiceError(
            "library-unavailable", f"ADAIN_DATABASE_URL names {kind[:40]!r}: {wanted}"
        )
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ServiceError(
            "library-unavailable", "ADAIN_DATABASE_URL names no file: write sqlite:////path/to/file"
        )
    return parsed.set(drivername=kind)


def prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    """Make a new connection safe among other writers and against a kill or a power cut."""
    # None: no implicit BEGIN by the driver, so that schema changes are transactional too.
    connection.isolation_level = None
    # Readers continue while one connection writes.
    connection.execute("PRAGMA journal_mode = WAL")
    # A write that was confirmed is on the disk.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def begin_sqlite(connection: sql.Connection) -> None:
    """Begin a transaction; a writing one takes the lock first, where SQLite waits for it."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
