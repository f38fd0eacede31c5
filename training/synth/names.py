"""Names of fields as other writers, forms and programmers have them."""

from __future__ import annotations

import re
from random import Random

from training.synth import basics


def varied(rng: Random, name: str, english: bool) -> str:
    """Return a name as another writer would have it."""
    if english or name.isascii():
        changed = [name.lower(), name.upper(), name.title(), f"{name} (if any)", f"The {name.lower()}", f"{name} *"]
        return rng.choice(changed)
    return rng.choice(
        [
            f"本次{name}", f"{name}信息", f"{rng.choice('该其本原现')}{name}", " ".join(name), "　".join(name),
            f"{name}（{basics.junk(rng)}）", f"{basics.junk(rng)}{name}", f"*{name}", f"{name}（必填）",
            f"{name[:2]}的{name[2:]}" if len(name) > 3 else f"{name}项", f"{rng.randint(1, 12)}.{name}",
            f"{name[: len(name) - 1]}" if len(name) > 3 else name, f"{name}为" if len(name) < 3 else name,
        ]
    )  # fmt: skip


def shorter(rng: Random, name: str) -> str:
    """Return a Chinese name without one or two of its characters, an English one without one of its words."""
    kept = name.split(" ") if name.isascii() else list(name)
    shortest = 1 if name.isascii() else 2
    for _ in range(rng.choice([1, 1, 2])):
        if len(kept) > shortest:
            del kept[rng.randrange(len(kept))]
    return (" " if name.isascii() else "").join(kept)


def identifier(rng: Random, names: tuple[str, ...]) -> str:
    """Return a name as programmers write it."""
    parts: list[str] = re.findall(r"[a-z0-9]+", rng.choice(names).lower()) or ["field"]
    if rng.random() < 0.7:
        return "_".join(parts)
    return parts[0] + "".join(part.capitalize() for part in parts[1:])
