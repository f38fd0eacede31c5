"""The server: which of its models is asked, what it says about it, and what a failed connection means.

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
class ServedModel:
    """A model as its server lists it. `context` is None where the server does not say; `owner` names what serves it."""

    name: str
    context: int | None = None
    owner: str = ""


def credentials(config: ServerConfig) -> dict[str, Any]:
    """Return the arguments of a client."""
    return {
        "base_url": config.base_url,
        "api_key": os.environ.get(KEY) or _NO_KEY,
        "timeout": config.timeout,
        "max_retries": config.retries,
    }


def find_model(client: openai.OpenAI, config: ServerConfig, name: str | None) -> ServedModel:
    """Return the model of that name, or the only one. Raise ModelError where there is none, or a choice."""
    with wrapped_errors(config):
        try:
            listed = {model.id: _served(model) for model in client.models.list()}
        except openai.NotFoundError:
            listed = {}
    if name in listed:
        return listed[name]
    if name and not listed:
        return ServedModel(name)  # a server need not list its models
    if name is None and len(listed) == 1:
        return next(iter(listed.values()))
    known = (
        f"It serves: {', '.join(sorted(listed))}. Name one with -m."
        if listed
        else "It lists no model: name it with -m."
    )
    raise ModelError(
        f"The server at {config.address} serves " + (f"no {name!r}. " if name else "not one model. ") + known
    )


def _served(model: openai.types.Model) -> ServedModel:
    extra = model.model_extra or {}
    meta = extra.get("meta") if isinstance(extra.get("meta"), dict) else {}
    lengths = [length for length in (extra.get("max_model_len"), (meta or {}).get("n_ctx")) if isinstance(length, int)]
    return ServedModel(model.id, lengths[0] if lengths else None, str(model.owned_by or ""))


@contextmanager
def wrapped_errors(config: ServerConfig) -> Iterator[None]:
    """Wrap what makes a server as a whole unusable in a ModelError that says what to do."""
    try:
        yield
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise ModelError(
            f"The server at {config.address} refuses the key (HTTP {error.status_code}). Set {KEY} in the environment."
        ) from error
    except openai.NotFoundError as error:
        raise ModelError(
            f"There is nothing at {error.request.url.path} of {config.address} (HTTP 404): "
            "check -m and --base-url, which ends in /v1 with most servers."
        ) from error
    except openai.APIConnectionError as error:
        raise ModelError(
            f"No server answers at {config.address} ({reason(error)}). Start it, wait until it is up, or correct "
            "--base-url; then the same line resumes."
        ) from error
    except openai.APIStatusError as error:
        raise ModelError(
            f"The server at {config.address} is not ready (HTTP {error.status_code}). Try later."
        ) from error


def reason(error: openai.APIConnectionError) -> str:
    """Return one line about a connection that failed."""
    if isinstance(error, openai.APITimeoutError):
        return "it took too long"
    cause = error.__cause__ or error
    return next(iter(str(cause).splitlines()), type(cause).__name__)
