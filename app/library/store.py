"""The style library: saved pictures, and what they are encoded as at each size."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sql
from PIL import Image
from sqlalchemy.exc import IntegrityError

from app.errors import ServiceError
from app.library.database import Database
from app.library.names import clean_name, name_key
from app.library.rows import (
    SavedStyle,
    has_id,
    insert_practised,
    insert_style,
    new_row,
    read_style,
    refusing_taken,
    require_row,
    to_saved_style,
)
from app.library.schema import (
    LISTED,
    LISTED_FROM,
    SCHEMA_LOCK,
    SCHEMA_VERSION,
    library_table,
    practised_table,
    schema,
    statistics_table,
    styles_table,
)
from model.controls import fit_saved_style, practice_applies
from model.errors import ParameterError
from model.images import encode_image, read_image

if TYPE_CHECKING:
    from model.style import Style

Result = TypeVar("Result")
# Threads of the library alone: a slow database must not hold up the threads that decode pictures.
THREADS = 4
# Styles that are read at a time where all are asked for.
PAGE = 200


@dataclass(frozen=True, slots=True)
class Starter:
    """A style that a library begins with.

    Attributes:
        name: in the library.
        file: the picture's file.
        practised: the file of the practised style, where there is one.
    """

    name: str
    file: bytes
    practised: bytes | None = None


class StyleLibrary:
    """Saved styles in a database, safe to use from several threads and processes.

    Every method may raise ServiceError: unknown-style, name-taken, library-full, library-busy or
    library-unavailable. A library that could not be reached is tried again at the next call.
    """

    def __init__(
        self,
        database: Database,
        capacity: int,
        starters: Callable[[], Iterable[Starter]] = tuple,
    ) -> None:
        """Set up the library; nothing is opened or written yet.

        Args:
            database: where it is.
            capacity: most styles that it takes.
            starters: called once, for the styles that a new library begins with. In one that has
                them, they are practised as these are.
        """
        self.database = database
        self.capacity = capacity
        self._starters = starters
        self._prepared = False
        self._preparing = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="library")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread of the library's own, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Finish what runs, and close the database."""
        self._threads.shutdown(cancel_futures=True)
        self.database.close()

    def prepare(self) -> None:
        """Create the tables and insert the starter styles, or bring those up to date."""
        with self._preparing:
            if self._prepared:
                return
            version = self._begin()
            if version is None:
                # Decoded outside of any transaction: others would wait for their turn to write.
                starters = [
                    (new_row(each.name, each.file, read_image(each.file)), each.practised)
                    for each in self._starters()
                ]
                version = self._begin(starters)
            elif version == SCHEMA_VERSION:
                # A full disk, for instance, is no reason to refuse what can be read.
                with contextlib.suppress(ServiceError):
                    self._renew_starters()
            if version != SCHEMA_VERSION:
                raise ServiceError(
                    "library-unavailable",
                    f"the style library has version {version}, and this program reads "
                    f"{SCHEMA_VERSION}; use the program that wrote it",
                )
            self._prepared = True

    def _begin(
        self, starters: Sequence[tuple[sql.Insert, bytes | None]] | None = None
    ) -> int | None:
        """Create the tables, and insert the starter styles if they are given and not yet there.

        Returns:
            The version of the library, None before its starter styles are in.
        """
        with self.database.write() as connection:
            self.database.lock(connection, SCHEMA_LOCK)
            schema.create_all(connection)
            version: int | None = connection.scalar(sql.select(library_table.c.version))
            if version is None and starters is not None:
                connection.execute(library_table.insert().values(version=SCHEMA_VERSION))
                for row, practised in starters:
                    insert_style(connection, row, practised)
                return SCHEMA_VERSION
        return version

    def _renew_starters(self) -> None:
        """Have starter styles practised as now; they are known by their pictures, not names."""
        own = practised_table.c
        joined = styles_table.outerjoin(practised_table)
        with self.database.write() as connection:
            for starter in self._starters():
                if starter.practised is None:
                    continue
                stale = sql.select(styles_table.c.number).select_from(joined)
                stale = stale.where(
                    styles_table.c.picture == starter.file,
                    own.file.is_distinct_from(starter.practised),
                )
                for number in connection.scalars(stale).all():
                    connection.execute(practised_table.delete().where(own.style == number))
                    insert_practised(connection, number, starter.practised)

    def add(self, name: str, picture: Image.Image, practised: Style | None = None) -> SavedStyle:
        """Save a style.

        Args:
            name: 1 to 80 characters of any script; white space is trimmed.
            picture: any PIL image; kept with at most 1024 pixels on the shorter side.
            practised: what a model was trained to make of it; models with other weights go by the
                picture.

        Raises:
            ParameterError: the name is empty, too long, or has control characters.
        """
        self.prepare()
        name = clean_name(name)
        fitted = fit_saved_style(picture)
        file = encode_image(fitted, "png")
        row = new_row(name, file, fitted)
        practised_file = None if practised is None else practised.to_bytes()
        with refusing_taken(name), self.database.write() as connection:
            count = connection.scalar(sql.select(sql.func.count()).select_from(styles_table)) or 0
            if count >= self.capacity:
                raise ServiceError(
                    "library-full",
                    f"the library has {count} styles, and at most {self.capacity} are allowed; "
                    "delete one that nobody needs",
                    limit=self.capacity,
                    value=count,
                )
            number = insert_style(connection, row, practised_file)
            listed = sql.select(*LISTED).select_from(LISTED_FROM)
            return to_saved_style(
                connection.execute(listed.where(styles_table.c.number == number)).one()
            )

    def rename(self, id: str, name: str) -> SavedStyle:
        """Give a style another name; see `add` for which."""
        self.prepare()
        name = clean_name(name)
        change = styles_table.update().where(has_id(id)).values(name=name, name_key=name_key(name))
        listed = sql.select(*LISTED).select_from(LISTED_FROM).where(has_id(id))
        with refusing_taken(name), self.database.write() as connection:
            connection.execute(change)
            return to_saved_style(require_row(connection.execute(listed).one_or_none(), id))

    def remove(self, id: str) -> bool:
        """Delete a style and what it was encoded as; return whether it was there."""
        self.prepare()
        with self.database.write() as connection:
            done = connection.execute(styles_table.delete().where(has_id(id)))
        return done.rowcount > 0

    def page(self, limit: int, after: int = 0) -> list[SavedStyle]:
        """Return up to `limit` styles in the order of creation, from behind the number `after`."""
        self.prepare()
        query = sql.select(*LISTED).select_from(LISTED_FROM).where(styles_table.c.number > after)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(styles_table.c.number).limit(limit)).all()
        return [to_saved_style(row) for row in rows]

    def all(self) -> Iterator[SavedStyle]:
        """Yield all styles, in the order in which they were saved."""
        after = 0
        while styles := self.page(PAGE, after):
            yield from styles
            after = styles[-1].number

    def get(self, id: str) -> SavedStyle:
        """Return a style."""
        return to_saved_style(require_row(self._row(has_id(id), *LISTED, source=LISTED_FROM), id))

    def find(self, name: str) -> SavedStyle:
        """Return the style of a name or an id."""
        # PostgreSQL refuses queries for text that cannot be a name.
        key = name_key(name) if name.isprintable() else ""
        same = sql.or_(styles_table.c.name_key == key, has_id(name))
        return to_saved_style(require_row(self._row(same, *LISTED, source=LISTED_FROM), name))

    def thumbnail(self, id: str) -> bytes:
        """Return a WebP file of at most 256 pixels a side."""
        column = styles_table.c.thumbnail
        return bytes(require_row(self._row(has_id(id), column), id)[0])

    def picture(self, id: str) -> Image.Image:
        """Return the picture of a style, RGB."""
        column = styles_table.c.picture
        return read_image(bytes(require_row(self._row(has_id(id), column), id)[0]))

    def encoded(self, id: str, style_size: int, weights: str) -> Style | None:
        """Return what `keep` was given last for these, or None: encode `picture`, and keep that.

        A style that was practised with these weights is that, where `practice_applies`.

        Args:
            id: the style's id.
            style_size: at which it is seen, in pixels.
            weights: fingerprint of the model; what was made by another one is stale.
        """
        table, own, number = statistics_table, practised_table, styles_table.c.number
        same = (table.c.style == number, table.c.style_size == style_size)
        joined = styles_table.outerjoin(
            own, sql.and_(own.c.style == number, own.c.weights == weights)
        ).outerjoin(table, sql.and_(*same, table.c.encoder == weights))
        column: sql.ColumnElement[bytes] = table.c.statistics
        if practice_applies(style_size):
            column = sql.func.coalesce(own.c.file, column)
        row = require_row(self._row(has_id(id), column, source=joined), id)
        try:
            return read_style(row[0])
        except ParameterError:
            return None  # damaged: computed anew

    def keep(self, id: str, style_size: int, style: Style) -> None:
        """Keep an encoded style for later requests, unless the style was deleted."""
        self.prepare()
        table = statistics_table
        key = {"style_size": style_size, "encoder": style.weights}
        number = sql.select(styles_table.c.number).where(has_id(id))
        same = [table.c[name] == value for name, value in key.items()]
        try:
            with self.database.write() as connection:
                saved = connection.scalar(number)
                if saved is None:
                    return
                connection.execute(table.delete().where(table.c.style == saved, *same))
                row = {"style": saved, "statistics": style.to_bytes(), **key}
                connection.execute(table.insert().values(row))
        except IntegrityError:
            pass  # another process kept the same, or deleted the style, in this moment

    def _row(
        self,
        condition: sql.ColumnElement[bool],
        *columns: sql.ColumnElement[Any],
        source: sql.FromClause = styles_table,
    ) -> sql.Row[Any] | None:
        self.prepare()
        with self.database.read() as connection:
            query = sql.select(*columns).select_from(source).where(condition)
            return connection.execute(query).first()
