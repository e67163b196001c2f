"""The names of saved styles: which are allowed, and which are alike."""

from __future__ import annotations

import unicodedata

from model.controls import check_range
from model.errors import ParameterError

MAX_NAME_LENGTH = 80
# Zero-width joiner and non-joiner, which Persian, Indic scripts and emoji need inside of words.
JOINERS = "\u200c\u200d"


def clean_name(name: str) -> str:
    """Return a name in the form that is kept: NFC, with single spaces.

    Raises:
        ParameterError: it is empty or too long, or holds what cannot be seen or written.
    """
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    check_range("the length of the name", len(clean), 1, MAX_NAME_LENGTH)
    kinds = {unicodedata.category(c) for c in clean if c not in JOINERS}
    if kinds & {"Cc", "Cf", "Cs", "Cn", "Co"}:
        raise ParameterError(
            "the name holds a control character or another one that cannot be seen; write letters, "
            "digits and signs"
        )
    if clean[0] in JOINERS or clean[-1] in JOINERS:
        raise ParameterError("the name begins or ends with a joiner, which cannot be seen")
    if not any(kind[0] in "LNPS" for kind in kinds):
        raise ParameterError("the name holds nothing that can be seen; write a letter")
    return clean


def name_key(name: str) -> str:
    """Return the form in which names are compared: case-folded NFKC."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
