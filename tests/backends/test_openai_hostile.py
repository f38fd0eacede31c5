"""Servers that misbehave: a reply of any shape costs its document at most; nothing hangs, floods, leaks or moves."""

import contextlib
import gzip
import json
import logging
import math
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extractor import Extractor, ModelConfig, RunConfig, ServerConfig
from extractor.backends.openai import Backend
from extractor.backends.openai.bounded_client import LONGEST_BODY
from extractor.backends.openai.replies import read_answer, read_refusal
from extractor.data import Document, Record, Source
from extractor.errors import ModelError, UsageError
from tests.backends.chat_server import FIELDS, PHONE
from tests.backends.raw_server import MODELS, RawServer, completion, drip, flood, http, serving

CHAT, LIST, TOKENS = "/v1/chat/completions", "/v1/models", "/tokenize"
ANSWER = json.dumps({**FIELDS, "手机号": "18888888888"}, ensure_ascii=False)
GOOD = http(completion(ANSWER))
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
KEY = "sk-very-secret-key"
MIB = 2**20


def _records(url: str, texts: tuple[str, ...] = (PHONE,), timeout: float = 10.0) -> list[Record]:
    server = ServerConfig(url, retries=0, timeout=timeout, context=2048, concurrency=2)
    documents = [Document(str(n), text, Source("", "")) for n, text in enumerate(texts)]
    config = RunConfig(max_attempts=1)
    with Extractor("contact", ModelConfig(server=server), backend="openai", config=config) as extractor:
        found = list(extractor.run(documents))
    assert sorted(record.id for record in found) == [document.id for document in documents]
    return found


def _backend(url: str, timeout: float = 10.0, **options: Any) -> Backend:
    return Backend(ModelConfig(server=ServerConfig(url, retries=0, timeout=timeout), **options))


def _bomb(mebibytes: int) -> bytes:
    """Return a small response that unpacks to this much white space."""
    packer = zlib.compressobj(1, wbits=31)
    packed = b"".join(packer.compress(b" " * MIB) for _ in range(mebibytes))
    return http(packed + packer.flush(), "200 OK", "Content-Encoding: gzip")


SHAPES = [
    http(b"null"),
    http(b"\xff\xfe"),
    http(b"[" * 200_000),
    http(b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    http(b'{"choices": ' + b"9" * 10_000 + b"}"),
    http(b'{"choices": {"0": {"message": {"content": "{}"}}}}'),
    http(b'{"choices": [{"message": "{}"}]}'),
    http(b'{"choices": [{"message": {"content": {"text": "{}"}}}]}'),
    http(completion("{}", finish_reason={"stop": 1})),
    http(completion("{}", finish_reason=["stop"])),
    http(completion("[" * 3_000_000)),
    http(b'{"error": "overloaded"}'),
    http(b"{}", "304 Not Modified"),
    http(b"{}", "599 Odd"),
    http(b"", "204 No Content"),
    http(b"short")[:-2],
    http(b"", "200 OK", "Content-Encoding: gzip"),
    http(GOOD, "200 OK", "Content-Encoding: gzip"),
    http(GOOD, "200 OK", "Content-Encoding: br"),
    http(gzip.compress(gzip.compress(completion(ANSWER))), "200 OK", "Content-Encoding: gzip, gzip"),
    CHUNKED + b"ffffffffffffffffffff\r\n",
    CHUNKED + b"-1\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB,
    b"HTTP/9.9 999 \xff\r\n\r\n",
    b"<html>",
    b"",
]


@pytest.mark.parametrize("reply", SHAPES, ids=lambda reply: repr(reply[:24]) + str(len(reply)))
def test_a_reply_of_any_shape_fails_its_document_and_not_the_run(reply: bytes) -> None:
    replies = iter([reply])
    with serving(RawServer({CHAT: lambda: [next(replies, GOOD)]})) as url:
        found = _records(url, (PHONE, PHONE))
    assert sorted(record.status for record in found) == ["failed", "ok"]
    assert {error.problem.code for record in found for error in record.errors} == {"error"}


@pytest.mark.parametrize(
    "choice",
    [
        {"logprobs": [1, 2]},
        {"logprobs": {"content": [1]}},
        {"logprobs": {"content": [{"token": "x", "logprob": "NaN", "bytes": [999]}]}},
        {"logprobs": {"content": [{"token": ANSWER, "logprob": float("nan")}]}},
        {"logprobs": {"content": [{"token": ANSWER, "logprob": 10**400}]}},
        {"logprobs": {"content": [{"token": ANSWER, "logprob": -0.1, "bytes": [300]}]}},
        {"logprobs": {"content": [{"token": None, "logprob": None, "bytes": None}]}},
        {"finish_reason": None},
        {"finish_reason": "STOP"},
    ],
    ids=lambda choice: json.dumps(choice)[:70],
)
def test_what_is_odd_beside_an_answer_costs_no_more_than_itself(choice: dict[str, Any]) -> None:
    with serving(RawServer({CHAT: http(completion(ANSWER, **choice))})) as url:
        (record,) = _records(url)
    assert (record.status, record.confidence) == ("ok", {})


@pytest.mark.parametrize("usage", [None, "lots", {"prompt_tokens": "many", "completion_tokens": 10**40}, {"x": -1}])
def test_usage_counts_only_where_it_is_a_number_of_tokens(usage: Any) -> None:
    body = {**json.loads(completion(ANSWER)), "usage": usage}
    with serving(RawServer({CHAT: http(json.dumps(body).encode())})) as url:
        (record,) = _records(url)
    assert (record.status, record.usage.prompt_tokens, record.usage.completion_tokens) == ("ok", 0, 0)


def test_a_packed_answer_is_unpacked() -> None:
    packed = http(gzip.compress(completion(ANSWER)), "200 OK", "Content-Encoding: gzip")
    with serving(RawServer({CHAT: packed})) as url:
        assert [record.status for record in _records(url)] == ["ok"]


def test_a_flood_is_cut_off_in_bounded_memory() -> None:
    floods = [flood(CHUNKED, b"100000\r\n" + b" " * MIB + b"\r\n"), [_bomb(100)], flood(CHUNKED, b"1\r\n \r\n" * 1000)]
    replies = iter(floods)
    server = RawServer({CHAT: lambda: next(replies)})
    with serving(server) as url:
        tracemalloc.start()
        records = _records(url, (PHONE, PHONE, PHONE), timeout=2.0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert {record.errors[0].problem.message[:40] for record in records} <= {
        "the server's reply is more than 8 MiB in",
        "no answer within 2 s: raise --timeout or",
    }
    assert server.sent < 16 * LONGEST_BODY
    assert peak < 8 * LONGEST_BODY


@pytest.mark.parametrize(
    "reply",
    [
        lambda: drip(CHUNKED, b"1\r\n \r\n"),
        lambda: drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        lambda: drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda: flood(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
    ],
    ids=["body", "headers", "interim", "a flood of interim responses"],
)
def test_a_request_has_one_limit_of_time_for_all_of_it(reply: Callable[[], Any]) -> None:
    with serving(RawServer({CHAT: reply})) as url:
        (record,) = _records(url, timeout=0.4)
    assert record.errors[0].problem.message.startswith("no answer within 0.4 s")
    with serving(RawServer({LIST: reply})) as url, pytest.raises(ModelError, match=r"no whole reply within 0\.4 s"):
        _backend(url, timeout=0.4)
    with serving(RawServer({TOKENS: reply, CHAT: GOOD})) as url:
        assert [record.status for record in _records(url, timeout=0.4)] == ["ok"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><body>Login</body></html>", "is a web page"),
        (b"\n <!DOCTYPE html>", "is a web page"),
        (b'{"data": [{"id": "\xff"}]}', "is not JSON"),
        (b"{not json", "is not JSON"),
        (b'{"data":' + b"[" * 100_000, "is not JSON"),
        (b" " * (LONGEST_BODY + 1), "is more than 8 MiB"),
        (b"[]", "It lists no model"),
        (b'{"data": null}', "It lists no model"),
        (b'{"data": [5, "a", {"id": 5}, {"id": "\\ud800"}, {"id": ""}]}', "It lists no model"),
    ],
)
def test_a_listing_of_another_shape_ends_the_start_with_what_to_do(body: bytes, said: str) -> None:
    with serving(RawServer({LIST: http(body), "/models": http(body)})) as url:
        for address, advice in ((url, "ends in /v1 with most servers"), (url.removesuffix("/v1"), "ends in /v1")):
            with pytest.raises(ModelError, match=said) as failure:
                _backend(address)
            assert advice in str(failure.value)


def test_a_listing_may_be_a_bare_list_and_its_numbers_are_not_believed() -> None:
    models = [{"id": "a", "max_model_len": -5}, {"id": "b", "max_model_len": 10**40, "meta": {"n_ctx": 700}}]
    with serving(RawServer({LIST: http(json.dumps(models).encode())})) as url:
        assert [_backend(url, model=name).context for name in ("a", "b")] == [4096, 700]


@pytest.mark.parametrize("count", [None, -5, 10**10, "12", 1e3, True, [], {}, [[]] * 100])
def test_a_count_that_cannot_be_is_estimated(count: Any) -> None:
    replies = iter([http(b'{"count": 1}')])
    later = http(json.dumps({"count": count, "tokens": count}).encode())
    with serving(RawServer({TOKENS: lambda: [next(replies, later)]})) as url:
        backend = _backend(url)
        assert backend.count_tokens("手机号") == 5
    with serving(RawServer({TOKENS: later})) as url:
        assert "estimated" in _backend(url).identity


@pytest.mark.parametrize(
    ("later", "asked"),
    [(http(b"{}", "500 Oops"), 2), (http(b"{}", "404 No"), 2), (http(b"too long", "413 Large"), 4), (http(b"<"), 4)],
)
def test_a_server_that_counts_no_more_is_not_asked_again_unless_it_refused_a_text(later: bytes, asked: int) -> None:
    replies = iter([http(b'{"count": 1}')])
    server = RawServer({TOKENS: lambda: [next(replies, later)]})
    with serving(server) as url:
        backend = _backend(url)
        assert [backend.count_tokens("手机号") for _ in range(3)] == [5] * 3
    assert server.paths.count(TOKENS) == asked


def test_a_server_that_closes_the_connection_without_a_reply_is_asked_how_it_counts_again() -> None:
    replies = iter([b"", http(b'{"count": 1}')])
    with serving(RawServer({TOKENS: lambda: [next(replies)]})) as url:
        assert "estimated" not in _backend(url).identity


def test_a_run_ends_when_the_server_that_counts_is_gone() -> None:
    with serving(RawServer({TOKENS: http(b'{"count": 1}')})) as url:
        backend = _backend(url)
    with pytest.raises(ModelError, match="No server answers"):
        backend.count_tokens("手机号")


@pytest.mark.parametrize("path", [CHAT, LIST, TOKENS])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_named_and_not_followed(path: str, status: str) -> None:
    other = RawServer({"/elsewhere": GOOD, TOKENS: GOOD})
    with serving(other) as elsewhere:
        target = elsewhere.replace("/v1", "/elsewhere")
        moved = http(b"", status, f"Location: {target}")
        replies = iter([http(b'{"count": 1}')] if path == TOKENS else [])
        server = RawServer({TOKENS: http(b'{"count": 3}'), CHAT: GOOD, path: lambda: [next(replies, moved)]})
        with serving(server) as url, pytest.raises(ModelError, match="not followed") as failure:
            _records(url)
        assert target in str(failure.value)
    assert other.paths == []


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = RawServer({})
    with serving(proxy) as address, serving(RawServer({CHAT: GOOD})) as url:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, address.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert [record.status for record in _records(url)] == ["ok"]
        assert proxy.paths == []
        with pytest.raises(ModelError):
            _backend("http://far.example/v1")
        assert proxy.paths == ["http://far.example/v1/models"]


ECHO = json.dumps({"error": {"message": f"bad key Bearer {KEY} \x1b[31m\u202e\n0wned " + "x" * 5000}}).encode()


@pytest.mark.parametrize("status", ["401 No", "402 Pay", "403 No", "404 No", "500 Oops"])
def test_the_words_of_a_server_are_escaped_cut_and_without_the_key(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(RawServer({LIST: http(ECHO, status), CHAT: http(ECHO, status)})) as url:
        with pytest.raises(ModelError) as failure:
            _backend(url)
        message = str(failure.value)
    assert KEY not in message
    assert message.isprintable()
    assert len(message) < 600
    assert status.startswith("404") or r"bad key Bearer *** \x1b[31m\u202e 0wned" in message
    assert failure.value.__cause__ is None


def test_the_key_is_in_no_row_and_no_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG, "extractor")
    model = json.dumps({"data": [{"id": f"m{KEY}\x1b[1m", "owned_by": KEY}]}).encode()
    replies = iter([http(ECHO, "400 No"), http(completion("{}", finish_reason=KEY + " \x1b"))])
    server = RawServer({LIST: http(model), CHAT: lambda: [next(replies, GOOD)]})
    with serving(server) as url:
        records = _records(url, (PHONE, PHONE, PHONE))
    assert KEY not in repr(records) + caplog.text
    assert "\x1b" not in repr([record.run for record in records]) + caplog.text
    assert records[0].run.model == r"m***\x1b[1m"


def test_a_key_that_no_header_takes_is_refused_without_being_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nHost: x")
    with pytest.raises(UsageError, match="OPENAI_API_KEY holds characters") as failure:
        _backend("http://127.0.0.1:9/v1")
    assert KEY not in str(failure.value)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")  # as a file gives it
    with serving(RawServer({})) as url:
        assert _backend(url).name == "small"


def _mutations(good: Any) -> st.SearchStrategy[Any]:
    """Return values like a good one in which any part may be any JSON."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
    if isinstance(good, dict):
        part: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {}, optional={key: _mutations(value) for key, value in good.items()}
        )
    elif isinstance(good, list):
        part = st.lists(_mutations(good[0]), max_size=3)
    else:
        part = st.just(good)
    return st.one_of(part, part, part, anything)


TOKEN = {"token": ANSWER, "logprob": -0.5, "bytes": [123, 255, -1]}
CHOICE = {"finish_reason": "stop", "logprobs": {"content": [TOKEN]}}
MESSAGE = {"role": "assistant", "content": ANSWER, "reasoning_content": "x", "refusal": "no"}
COMPLETION = {
    "choices": [{**CHOICE, "message": MESSAGE}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "error": {"message": "x", "code": "x", "type": "y", "param": "seed"},
    "detail": [{"loc": ["body", "seed"], "msg": "no"}],
}
STATUSES = (200, 200, 200, 200, 201, 302, 400, 402, 404, 413, 422, 429, 500)


@settings(max_examples=200, deadline=None)
@given(_mutations(COMPLETION) | st.binary(max_size=40), st.sampled_from(STATUSES))
def test_whatever_a_server_sends_is_read_as_checked_values(sent: Any, status: int) -> None:
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    answer, refusal = read_answer(body), read_refusal(status, {"location": "/x", "retry-after": "9"}, body)
    assert isinstance(answer.text, str)
    assert (answer.finish == "error") == bool(answer.detail)
    assert all(math.isfinite(logprob) and logprob <= 0 for _, logprob in answer.tokens)
    assert answer.prompt_tokens + answer.completion_tokens >= 0
    assert f"{refusal.message}{answer.detail}".isprintable()
    assert refusal.no_funds or status != 402


class _Fuzzed:
    """One server for all examples: what it sends is exchanged under it."""

    listing: bytes = http(MODELS)
    count: bytes = http(b'{"count": 3}')
    answer: bytes = GOOD

    def replies(self) -> dict[str, Any]:
        return {LIST: lambda: [self.listing], TOKENS: lambda: [self.count], CHAT: lambda: [self.answer]}


@pytest.fixture(scope="module")
def fuzzed() -> Any:
    state = _Fuzzed()
    with serving(RawServer(state.replies())) as url:
        yield state, url


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    listing=_mutations(json.loads(MODELS)),
    count=_mutations({"count": 3, "tokens": [1, 2, 3]}),
    answer=_mutations(COMPLETION),
    status=st.sampled_from(STATUSES),
)
def test_whatever_json_a_server_sends_there_is_a_record_for_each_document_or_the_run_ends_with_a_reason(
    fuzzed: tuple[_Fuzzed, str], listing: Any, count: Any, answer: Any, status: int
) -> None:
    state, url = fuzzed
    state.listing = http(json.dumps(listing).encode())
    state.count = http(json.dumps(count).encode())
    state.answer = http(json.dumps(answer).encode(), f"{status} Status", "Location: /x")
    with contextlib.suppress(ModelError):  # exit code 3; a traceback would be another exception
        assert all(record.data is not None or record.errors for record in _records(url, (PHONE, "无")))
