"""Rows of the style library: from pictures and styles to rows, and back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sql
from PIL import Image
from sqlalchemy.exc import IntegrityError

from app.errors import ServiceError
from app.library.names import name_key
from app.library.schema import practised_table, styles_table
from model.files import read_note
from model.images import encode_image, flatten
from model.scaling import resize_longest

if TYPE_CHECKING:
    from model.style import Style

ID = re.compile("[0-9a-f]{16}")
THUMBNAIL_SIDE = 256
THUMBNAIL_FORMAT = "webp"
THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, slots=True)
class SavedStyle:
    """A style of the library.

    Attributes:
        number: its place in the order of creation.
        id: opaque; 16 hexadecimal digits.
        name: 1 to 80 characters, unique.
        created: in UTC.
        practised: whether a model was trained for it.
    """

    number: int
    id: str
    name: str
    created: datetime
    practised: bool


def has_id(id: str) -> sql.ColumnElement[bool]:
    """Return the condition that a style has an id; false for text that cannot be an id."""
    return styles_table.c.id == id if ID.fullmatch(id) else sql.false()


@contextmanager
def refusing_taken(name: str) -> Iterator[None]:
    """Raise ServiceError where the database refuses a name that another style has."""
    try:
        yield
    except IntegrityError as error:
        raise ServiceError(
            "name-taken", f"the library has a style named {name!r}; choose another name"
        ) from error


def new_row(name: str, file: bytes, picture: Image.Image) -> sql.Insert:
    """Return the insertion of a style: its picture's file, and the same decoded."""
    thumbnail = resize_longest(flatten(picture), min(max(picture.size), THUMBNAIL_SIDE))
    return styles_table.insert().values(
        id=secrets.token_hex(8),
        name=name,
        name_key=name_key(name),
        created=datetime.now(UTC).replace(tzinfo=None),
        thumbnail=encode_image(thumbnail, THUMBNAIL_FORMAT, THUMBNAIL_QUALITY),
        picture=file,
    )


def insert_style(connection: sql.Connection, row: sql.Insert, practised: bytes | None) -> int:
    """Insert a style, and the file that it is practised as; return its number."""
    number: int = connection.execute(row.returning(styles_table.c.number)).scalar_one()
    if practised is not None:
        insert_practised(connection, number, practised)
    return number


def insert_practised(connection: sql.Connection, number: int, file: bytes) -> None:
    """Insert the file that a style is practised as."""
    # The note says it without torch, which takes seconds: a new library has practised starters.
    row = {"style": number, "weights": read_note(file)["weights"], "file": file}
    connection.execute(practised_table.insert().values(row))


def read_style(file: bytes | None) -> Style | None:
    """Return the style in a file, if there is one."""
    if file is None:
        return None
    # Imported here because torch takes seconds, and a listing of styles reads no style.
    from model.style import Style

    return Style.from_bytes(bytes(file))


def to_saved_style(row: sql.Row[Any]) -> SavedStyle:
    """Return the row of a style as a value."""
    return SavedStyle(
        row.number, row.id, row.name, row.created.replace(tzinfo=UTC), bool(row.practised)
    )


def require_row(row: sql.Row[Any] | None, name: str) -> sql.Row[Any]:
    """Return `row`, or raise ServiceError where there is none."""
    if row is None:
        raise ServiceError("unknown-style", f"the library has no style {name[:80]!r}")
    return row
