"""What all learners share: their state, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Part(Protocol):
    """A network, an optimizer or an average."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""

    def load_state_dict(self, state: dict[str, Any], /) -> object:
        """Go on where `state_dict` was called."""


class BaseLearner:
    """A learner whose state is that of its parts."""

    parts: Mapping[str, Part]

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
