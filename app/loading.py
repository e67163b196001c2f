"""What the settings name, the model and the style library, and what follows their loading."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from app.library.database import Database
from app.library.store import StyleLibrary
from app.settings import Settings
from app.starter import starters

if TYPE_CHECKING:
    from model.stylizer import Stylizer


def load_stylizer(settings: Settings) -> Stylizer:
    """Load the model that the settings name."""
    # Imported here because torch takes seconds, and some commands need no model.
    from model.stylizer import Stylizer

    return Stylizer.load(
        encoder=settings.encoder,
        decoder=settings.decoder,
        device=settings.device,
        precision=settings.precision,
        content_cache_bytes=settings.content_cache_bytes,
    )


def freeze_loaded_objects() -> None:
    """Let the collections of garbage to come pass over all objects that there are now.

    A full one takes a quarter of a second otherwise, in which no thread of the process runs.
    """
    gc.freeze()


def load_library(settings: Settings) -> StyleLibrary:
    """Return the style library that the settings name; it is opened on first use.

    Raises:
        ServiceError: the URL of the database is none of a database that we use.
    """
    secret = settings.database_url
    database = Database(secret.get_secret_value() if secret else None, settings.data_dir)
    return StyleLibrary(database, settings.max_saved_styles, starters)
