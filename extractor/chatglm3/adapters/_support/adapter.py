"""What an adapter does to a model: changes of its parameters, and tokens that come before every prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Update = Callable[[Tensor], Tensor]
"""Returns a parameter (or some of its rows) with the adapter merged into it, in float32 where it is computed."""


@dataclass(frozen=True, slots=True, eq=False)
class VirtualTokens:
    """Keys and values of tokens that no text has: (layers, tokens, groups, head_size) each, the keys not rotated.

    A prompt's first token has the position `first_position`.
    """

    keys: Tensor = field(repr=False)
    values: Tensor = field(repr=False)
    first_position: int = 0

    def __len__(self) -> int:
        return int(self.keys.shape[1])


@dataclass(frozen=True, slots=True)
class Adapter:
    """Updates by the name of the parameter of `GlmForCausalLM`, in order; `prefix` comes before every prompt."""

    updates: Mapping[str, tuple[Update, ...]] = field(default_factory=dict)
    prefix: VirtualTokens | None = None

    def apply(self, name: str, weight: Tensor) -> Tensor:
        """Return a parameter with all updates of it."""
        for update in self.updates.get(name, ()):
            weight = update(weight)
        return weight

    def followed_by(self, other: Adapter) -> Adapter:
        """Return one adapter that does what this one does, then what the other does."""
        names = self.updates.keys() | other.updates.keys()
        updates = {name: (*self.updates.get(name, ()), *other.updates.get(name, ())) for name in names}
        return Adapter(updates, self.prefix or other.prefix)


NO_ADAPTER = Adapter()
