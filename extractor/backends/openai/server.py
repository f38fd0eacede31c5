"""The server: which of its models is meant, what it says about it, and what a failed connection means.

The key comes from the environment (OPENAI_API_KEY) and goes into the client, nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai

from extractor.config import ServerConfig
from extractor.errors import ModelError

KEY = "OPENAI_API_KEY"
_NO_KEY = "none"  # servers without a key take any; the client insists on one


@dataclass(frozen=True, slots=True)
class Served:
    """A model as its server lists it. `context` is None where the server does not say; `owner` is who serves it."""

    name: str
    context: int | None = None
    owner: str = ""


def credentials(config: ServerConfig) -> dict[str, Any]:
    """What a client is made with."""
    return {
        "base_url": config.base_url,
        "api_key": os.environ.get(KEY) or _NO_KEY,
        "timeout": config.timeout,
        "max_retries": config.retries,
    }


def find(client: openai.OpenAI, config: ServerConfig, name: str | None) -> Served:
    """The model of that name, or without one the only one. Raises ModelError when there is none or a choice."""
    with translated(config):
        try:
            listed = {model.id: _served(model) for model in client.models.list()}
        except openai.NotFoundError:
            listed = {}
    if name in listed:
        return listed[name]
    if name and not listed:
        return Served(name)  # a server need not list its models
    if name is None and len(listed) == 1:
        return next(iter(listed.values()))
    known = (
        f"It serves: {', '.join(sorted(listed))}. Name one with -m."
        if listed
        else "It lists no model: name it with -m."
    )
    raise ModelError(
        f"The server at {config.place} serves " + (f"no {name!r}. " if name else "not one model. ") + known
    )


def _served(model: openai.types.Model) -> Served:
    said = model.model_extra or {}
    meta = said.get("meta") if isinstance(said.get("meta"), dict) else {}
    lengths = [length for length in (said.get("max_model_len"), (meta or {}).get("n_ctx")) if isinstance(length, int)]
    return Served(model.id, lengths[0] if lengths else None, str(model.owned_by or ""))


@contextmanager
def translated(config: ServerConfig) -> Iterator[None]:
    """What makes a server useless as a whole becomes a ModelError that says what to do."""
    try:
        yield
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise ModelError(
            f"The server at {config.place} refuses the key (HTTP {error.status_code}). Set {KEY} in the environment."
        ) from error
    except openai.NotFoundError as error:
        raise ModelError(
            f"There is nothing at {error.request.url.path} of {config.place} (HTTP 404): "
            "check -m and --base-url, which ends in /v1 with most servers."
        ) from error
    except openai.APIConnectionError as error:
        raise ModelError(
            f"No server answers at {config.place} ({reason(error)}). Start it, wait until it is up, or correct "
            "--base-url; the same line then goes on."
        ) from error
    except openai.APIStatusError as error:
        raise ModelError(f"The server at {config.place} is not ready (HTTP {error.status_code}). Try later.") from error


def reason(error: openai.APIConnectionError) -> str:
    """One line about a connection that failed."""
    if isinstance(error, openai.APITimeoutError):
        return "it took too long"
    said = error.__cause__ or error
    return next(iter(str(said).splitlines()), type(said).__name__)
