"""The errors of the service itself."""

from __future__ import annotations

from model.errors import AdainError


class ServiceError(AdainError):
    """An error of the service itself, named by its code in `app.api.problems.PROBLEMS`."""

    def __init__(
        self, code: str, message: str, *, limit: float | None = None, value: float | None = None
    ) -> None:
        super().__init__(message, limit=limit, value=value)
        self.code = code
