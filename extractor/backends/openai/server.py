"""The server: which of its models is asked, and what makes it unusable as a whole, with what to do about it."""

from __future__ import annotations

from http import HTTPStatus

from extractor.backends.openai.connection import Connection, Exchange, NoReply, Reply, Request
from extractor.backends.openai.credentials import KEY, quote
from extractor.backends.openai.replies import Refusal, ServedModel, Unreadable, read_models
from extractor.config import ServerConfig
from extractor.errors import ModelError

START_LIMIT = 30.0  # seconds that a server may take to list its models, and again to show how it counts tokens

_NOT_LISTED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_MOST_NAMES = 20


def find_model(connection: Connection, config: ServerConfig, name: str | None) -> ServedModel:
    """Return the model of that name, or the only one. Raise ModelError where there is none, or a choice."""
    limit = min(START_LIMIT, config.timeout)
    listed = {model.name: model for model in _listed(config, connection.ask(Request("/models", limit, 1, limit)))}
    if name in listed:
        return listed[name]
    if name and not listed:
        return ServedModel(name)  # a server need not list its models
    if name is None and len(listed) == 1:
        return next(iter(listed.values()))
    raise ModelError(
        f"The server at {config.address} serves " + (f"no {name!r}. " if name else "not one model. ") + _choice(listed)
    )


def check_alive(config: ServerConfig, reply: Exchange) -> None:
    """Raise ModelError unless the reply to a listing shows that the server is there and takes requests."""
    if isinstance(reply, NoReply):
        raise gone(config, reply)
    if isinstance(reply, Refusal) and reply.status not in _NOT_LISTED:
        raise unusable(config, reply) or _not_ready(config, reply)


def gone(config: ServerConfig, failure: NoReply) -> ModelError:
    """Return the error of a server that does not answer."""
    return ModelError(
        f"No server answers at {config.address} ({failure.reason}). Start it, wait until it is up, or correct "
        "--base-url; then the same line resumes."
    )


def unusable(config: ServerConfig, refusal: Refusal) -> ModelError | None:
    """Return the error of a server that refuses whatever it is asked; None where another request may succeed."""
    status = f"(HTTP {refusal.status})"
    if refusal.no_funds:
        return ModelError(
            f"The server at {config.address} answers no more until somebody pays {status}{_words(refusal)} "
            f"Top up the account or set another {KEY}; then the same line resumes."
        )
    if refusal.location:
        return ModelError(
            f"The server at {config.address} sends requests on to {refusal.location} {status}, which is not followed: "
            "documents go nowhere but to --base-url. If that is the server that you mean, give its address."
        )
    if refusal.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ModelError(
            f"The server at {config.address} refuses the key {status}{_words(refusal)} Set {KEY} in the environment."
        )
    if refusal.status == HTTPStatus.NOT_FOUND:
        return ModelError(
            f"There is nothing to ask at {config.address} {status}{_words(refusal)} "
            "Check -m and --base-url, which ends in /v1 with most servers."
        )
    return None


def _listed(config: ServerConfig, reply: Exchange) -> tuple[ServedModel, ...]:
    check_alive(config, reply)
    models = read_models(reply.body) if isinstance(reply, Reply) else ()
    if not isinstance(models, Unreadable):
        return models
    ends = config.address.rstrip("/").endswith("/v1")
    advice = "ends in /v1 with most servers; check the rest of it" if ends else "probably ends in /v1"
    raise ModelError(
        f"What {config.address.rstrip('/')}/models sends is {models.what}, not a list of models: "
        f"the address of --base-url {advice}."
    )


def _choice(listed: dict[str, ServedModel]) -> str:
    if not listed:
        return "It lists no model: name it with -m, and check --base-url, which ends in /v1 with most servers."
    names = [quote(name) for name in sorted(listed)]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"It serves: {', '.join(names[:_MOST_NAMES])}{more}. Name one with -m."


def _not_ready(config: ServerConfig, refusal: Refusal) -> ModelError:
    return ModelError(
        f"The server at {config.address} is not ready (HTTP {refusal.status}){_words(refusal)} Try later."
    )


def _words(refusal: Refusal) -> str:
    """Return the end of a sentence: what the server says, if anything."""
    said = quote(refusal.message).rstrip(".。")
    return f": {said}." if said else "."
