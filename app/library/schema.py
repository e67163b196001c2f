"""The tables of the style library."""

from __future__ import annotations

import sqlalchemy as sql

SCHEMA_VERSION = 1
# The key of PostgreSQL's advisory lock: replicas that start together create the tables in turn.
SCHEMA_LOCK = 0x0ADA

schema = sql.MetaData()
# One row, once the tables exist and the starter styles are in: those that are deleted stay deleted.
library_table = sql.Table("library", schema, sql.Column("version", sql.Integer, primary_key=True))
styles_table = sql.Table(
    "styles",
    schema,
    # Ascends with creation; pages list the styles in this order.
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("id", sql.String(32), nullable=False, unique=True),
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("name_key", sql.Text, nullable=False, unique=True),
    sql.Column("created", sql.DateTime, nullable=False),  # UTC
    sql.Column("thumbnail", sql.LargeBinary, nullable=False),
    sql.Column("picture", sql.LargeBinary, nullable=False),
    # Numbers are never reused, so a page that starts after a deleted style is still right.
    sqlite_autoincrement=True,
)
statistics_table = sql.Table(
    "statistics",
    schema,
    sql.Column(
        "style", sql.ForeignKey(styles_table.c.number, ondelete="CASCADE"), primary_key=True
    ),
    sql.Column("style_size", sql.Integer, primary_key=True),
    sql.Column("encoder", sql.String(64), primary_key=True),
    sql.Column("statistics", sql.LargeBinary, nullable=False),
)
# Styles that the model was trained for, as `Style.to_bytes` writes them.
practised_table = sql.Table(
    "practised",
    schema,
    sql.Column(
        "style", sql.ForeignKey(styles_table.c.number, ondelete="CASCADE"), primary_key=True
    ),
    sql.Column("weights", sql.String(64), nullable=False),
    sql.Column("file", sql.LargeBinary, nullable=False),
)
LISTED = [
    *(styles_table.c[name] for name in ("number", "id", "name", "created")),
    practised_table.c.style.is_not(None).label("practised"),
]
LISTED_FROM = styles_table.outerjoin(practised_table)
