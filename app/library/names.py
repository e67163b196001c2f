"""The names of saved styles: which are allowed, and which are alike."""

from __future__ import annotations

import unicodedata

from model.controls import check_range
from model.errors import ParameterError

MAX_NAME_LENGTH = 80


def clean_name(name: str) -> str:
    """Return a name in the form that is kept: NFC, with single spaces.

    Raises:
        ParameterError: it is empty or too long, or holds what cannot be seen or written.
    """
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    check_range("the length of the name", len(clean), 1, MAX_NAME_LENGTH)
    kinds = {unicodedata.category(character) for character in clean}
    if kinds & {"Cc", "Cs", "Cn", "Co"}:
        raise ParameterError(
            "the name holds a control character or one that is none; write letters, digits, signs"
        )
    if not any(kind[0] in "LNPS" for kind in kinds):
        raise ParameterError("the name holds nothing that can be seen; write a letter")
    return clean


def name_key(name: str) -> str:
    """Return the form in which names are compared: case-folded NFKC."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
