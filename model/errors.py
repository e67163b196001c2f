"""Errors that a user can cause and mend, each with a code and a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager


class AdainError(Exception):
    """An error that the caller can mend; the message says what was wrong and what to do.

    Attributes:
        code: stable name of the kind of error; the HTTP layer maps it to a status.
        limit, value: the bound that was passed and the value that passed it, where there are such.
        subject: what `naming` put before the message, such as a file or a form field.
    """

    code = "error"

    def __init__(
        self, message: str, *, limit: float | None = None, value: float | None = None
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.value = value
        self.subject: str | None = None


class ParameterError(AdainError):
    """An argument out of its range, or arguments that do not fit each other."""

    code = "invalid-parameter"


class UnsupportedImageError(AdainError):
    """Bytes that are no picture of a format that we read."""

    code = "unsupported-image"


class CorruptImageError(AdainError):
    """A picture that is empty, cut off or damaged."""

    code = "corrupt-image"


class ImageTooLargeError(AdainError):
    """A picture whose header announces more pixels than the limit."""

    code = "image-too-large"


class WeightsError(AdainError):
    """A weights file that is missing, damaged, or does not fit the network."""

    code = "bad-weights"


class DeviceError(AdainError):
    """A device or precision that is unknown or absent, or whose memory a picture exceeds."""

    code = "bad-device"


@contextmanager
def naming(subject: object) -> Iterator[None]:
    """Prefix the message of an error with `subject`, such as a file or a form field."""
    try:
        yield
    except AdainError as error:
        error.args = (f"{subject}: {error}",)
        error.subject = str(subject)
        raise
