"""Served models: the guarantees hold whatever a server sends, and no document is lost."""

import json
import logging
import math
import time
from collections.abc import Callable

import openai
import pytest

from extractor import Extractor, ModelConfig, RunConfig, ServerConfig, backends
from extractor.backends.openai import Backend
from extractor.backends.openai.connection import reason
from extractor.backends.openai.replies import Refusal, read_refusal
from extractor.backends.openai.request_mode import RequestMode
from extractor.backends.openai.token_counting import TokenEstimator
from extractor.chatglm3 import Tokenizer
from extractor.data import Document, Record, Source
from extractor.errors import ModelError, UsageError
from extractor.task.answer_gbnf import MOST_CHARACTERS
from tests.backends.chat_server import FIELDS, PHONE, Body, ChatServer, Fault, prompt_of, read, serving
from tests.cli.conftest import ROOT, SAMPLES


def _extractor(url: str, attempts: int = 3, **settings: object) -> Extractor:
    config = ModelConfig(server=ServerConfig(url, **{"retries": 0, **settings}))  # type: ignore[arg-type]
    return Extractor("contact", config, backend="openai", config=RunConfig(max_attempts=attempts))


def _records(server: ChatServer, *texts: str, **settings: object) -> dict[str, Record]:
    documents = [Document(str(n), text, Source("", "")) for n, text in enumerate(texts)]
    with serving(server) as url, _extractor(url, **settings) as extractor:  # type: ignore[arg-type]
        found = {record.id: record for record in extractor.run(documents)}  # as each is done
    assert found.keys() == {document.id for document in documents}
    return {document.id: found[document.id] for document in documents}


def test_a_served_model_gives_grounded_records_with_confidence_and_usage() -> None:
    server = ChatServer(read)
    with serving(server) as url, Extractor("contact", backend="openai", base_url=url) as extractor:
        record = extractor.extract(PHONE)
    assert (record.status, record.data) == ("ok", {**FIELDS, "手机号": "18888888888", "邮箱": "a@b.cn"})
    assert record.spans == {"/手机号": ((4, 15),), "/邮箱": ((19, 25),)}
    assert record.confidence["/手机号"] == pytest.approx(math.exp(-0.01 * len('"18888888888"')), abs=1e-4)
    assert record.usage.prompt_tokens == len(prompt_of(server.requests[0]))
    assert (record.run.model, record.provenance.decoding) == ("small", ("json_schema",))


def test_a_request_is_greedy_bounded_and_carries_the_schema_of_the_answer() -> None:
    server = ChatServer(read)
    _records(server, PHONE)
    (request,) = server.requests
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("small", 0, 256)
    wanted = request["response_format"]["json_schema"]
    assert wanted["strict"] is True
    assert wanted["schema"]["required"] == list(FIELDS)
    assert wanted["schema"]["additionalProperties"] is False
    assert {"type": "null"} in wanted["schema"]["properties"]["密码"]["anyOf"]
    assert "x-sensitive" not in json.dumps(request)


def test_a_made_up_value_never_gets_through_and_the_model_is_told_why() -> None:
    server = ChatServer(lambda request: json.dumps({**FIELDS, "手机号": "13800000000"}, ensure_ascii=False))
    (record,) = _records(server, PHONE).values()
    assert (record.status, record.data, record.attempts) == ("ok", FIELDS, 3)
    assert {error.problem.code for error in record.errors} == {"ungrounded"}
    assert [(each.field, each.value) for each in record.provenance.withheld] == [("手机号", "13800000000")]
    assert "/手机号: not found in the document" in prompt_of(server.requests[1])
    assert [request["temperature"] for request in server.requests] == [0, 0, 0.7]


def test_a_value_that_a_retry_corrects_is_accepted() -> None:
    def write(request: Body) -> str:
        corrected = read(request)
        return corrected if "not found in the document" in prompt_of(request) else corrected.replace("188", "139", 1)

    (record,) = _records(ChatServer(write), PHONE).values()
    assert (record.status, record.attempts) == ("ok", 2)
    assert record.data is not None
    assert record.data["手机号"] == "18888888888"


@pytest.mark.parametrize(
    ("refuses", "capability", "asked"),
    [(("json_schema",), "json_object", 1 + 3), (("response_format",), "none", 2 + 3)],
    ids=["json_schema", "all"],
)
def test_what_a_server_refuses_is_not_asked_for_again_and_that_is_logged(
    refuses: tuple[str, ...], capability: str, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "extractor")
    server = ChatServer(read, refuses=refuses)
    found = _records(server, PHONE, PHONE, PHONE, concurrency=1)
    assert [record.status for record in found.values()] == ["ok"] * 3
    assert all(record.provenance.decoding == (capability,) for record in found.values())
    assert len(server.requests) == asked
    assert "does not take json_schema" in caplog.text


MAX_TOKENS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)
UNKNOWN = "Failed to deserialize the JSON body into the target type: unknown field `{}`"


@pytest.mark.parametrize(
    ("refuses", "refusal", "left"),
    [
        (('"max_tokens"',), MAX_TOKENS, {"max_completion_tokens": 256, "temperature": 0, "seed": 0}),
        (('"max_tokens"', '"max_completion_tokens"'), "{} 参数不支持", {"temperature": 0, "seed": 0}),
        (('"temperature": 0',), "Only the default (1) value of temperature is supported", {"seed": 0}),
        (('"seed"',), UNKNOWN, {"max_tokens": 256, "temperature": 0}),
        (('"seed"', '"temperature"'), UNKNOWN, {"max_tokens": 256}),
    ],
    ids=["max_tokens", "both limits", "temperature", "seed", "two"],
)
def test_a_parameter_that_a_server_refuses_is_asked_without_once_and_that_is_remembered(
    refuses: tuple[str, ...], refusal: str, left: Body, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "extractor")
    server = ChatServer(read, refuses=refuses, refusal=refusal)
    found = _records(server, PHONE, PHONE, PHONE, concurrency=1)
    assert [record.status for record in found.values()] == ["ok"] * 3
    assert all(record.provenance.decoding == ("json_schema",) for record in found.values())
    assert len(server.requests) == len(refuses) + 3
    names = ("max_tokens", "max_completion_tokens", "temperature", "seed")
    assert {name: server.requests[-1][name] for name in names if name in server.requests[-1]}.items() >= left.items()
    assert not [word for word in refuses if word in json.dumps(server.requests[-1])]
    assert len(caplog.records) == len(refuses)


def test_a_parameter_is_recognised_where_a_server_names_it_apart() -> None:
    prompt = "the request is wrong"
    mode = RequestMode("json_schema")
    assert mode.find_refused(Refusal(400, prompt, param="seed")) == "seed"
    assert (
        mode.find_refused(read_refusal(422, {}, b'{"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}')) == "seed"
    )
    assert mode.find_refused(Refusal(400, "field temperature: no minLength", param="response_format")) is None
    assert mode.find_refused(Refusal(400, "a seedling at room temperatures")) is None


def test_a_server_that_insists_on_a_temperature_gets_its_default() -> None:
    mode = RequestMode("none")
    for _ in range(2):
        refused = mode.find_refused(Refusal(400, "temperature must be 1"))
        assert refused == "temperature"
        mode = mode.without(refused)
    assert mode.sent("temperature") == "temperature=1"
    assert mode.find_refused(Refusal(400, "temperature must be 1")) is None


QUOTA = {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, {"error": {"message": "Insufficient Balance"}}),
        (429, {"error": QUOTA}),
        (429, {"error": {"message": "您的账户已欠费，请充值后重试。", "code": "1113"}}),
        (403, {"message": "Sorry, your account balance is insufficient", "code": 30001}),
        (400, {"error": {"message": "Access denied", "code": "Arrearage"}}),
    ],
)
def test_an_account_without_funds_ends_the_run_with_the_words_of_the_server(status: int, body: Body) -> None:
    server = ChatServer(read, faults=[Fault(status, body=json.dumps(body))] * 8)
    error = body.get("error", body)
    with pytest.raises(ModelError, match="until somebody pays") as failure:
        _records(server, *[PHONE] * 5, retries=5, concurrency=1)
    assert error["message"].rstrip("。") in str(failure.value)
    assert "the same line resumes" in str(failure.value)
    assert len(server.requests) == 1


def test_a_quota_that_comes_back_is_waited_for() -> None:
    body = json.dumps({"error": {"message": "You exceeded your current quota, retry in 1 s"}})
    server = ChatServer(read, faults=[Fault(429, headers={"Retry-After": "1"}, body=body)])
    assert [record.status for record in _records(server, PHONE, retries=1).values()] == ["ok"]


@pytest.mark.parametrize("thought", [{"reasoning_content": "{}"}, {"reasoning": "{}"}])
def test_reasoning_is_not_the_answer(thought: Body) -> None:
    def reply(**message: object) -> Fault:
        return Fault(200, body=json.dumps({"choices": [{"finish_reason": "stop", "message": message}]}))

    faults = [reply(content=None, **thought), reply(content=json.dumps(FIELDS), **thought)]
    found = _records(ChatServer(read, faults=faults), PHONE, PHONE, attempts=1, concurrency=1)
    assert [record.status for record in found.values()] == ["failed", "ok"]
    assert "reasoning and no answer" in found["0"].errors[0].problem.message
    assert found["1"].data == FIELDS


def test_a_fence_that_a_server_cuts_off_the_text_alone_costs_no_confidence() -> None:
    tokens = ["```", "json\n", '{"手机号": ', '"18888888888"', ', "邮箱": null, "账号": null, "密码": null}', "\n```"]
    logprobs = {"content": [{"token": token, "bytes": list(token.encode()), "logprob": -0.5} for token in tokens]}
    choice = {"finish_reason": "stop", "message": {"content": "".join(tokens[2:5])}, "logprobs": logprobs}
    server = ChatServer(read, faults=[Fault(200, body=json.dumps({"choices": [choice]}))])
    (record,) = _records(server, PHONE).values()
    assert record.confidence["/手机号"] == pytest.approx(math.exp(-0.5), abs=1e-4)


def test_without_log_probabilities_there_is_no_confidence_and_nothing_else_changes() -> None:
    (record,) = _records(ChatServer(read, refuses=("logprobs",)), PHONE).values()
    assert (record.status, record.confidence) == ("ok", {})
    assert record.provenance.decoding == ("json_schema",)


def test_a_server_of_vllm_gets_a_grammar_that_confines_values_to_the_document() -> None:
    models = ({"id": "m", "object": "model", "owned_by": "vllm", "max_model_len": 2048},)
    server = ChatServer(read, models=models)
    (record,) = _records(server, PHONE + "\ud800").values()
    (request,) = server.requests
    assert record.provenance.decoding == ("grammar",)
    assert '"substring_chunks"' in request["structured_outputs"]["grammar"]
    assert "response_format" not in request
    refusing = ChatServer(read, models=models, refuses=("structured_outputs",))
    (other,) = _records(refusing, PHONE).values()
    assert (other.status, other.provenance.decoding) == ("ok", ("json_schema",))


def test_without_constraint_only_the_prompt_asks_for_json() -> None:
    server = ChatServer(lambda request: f"好的：\n```json\n{read(request)}\n```")
    config = RunConfig(constrain=False)
    with serving(server) as url, Extractor("contact", backend="openai", base_url=url, config=config) as extractor:
        record = extractor.extract(PHONE)
    assert (record.status, record.provenance.decoding) == ("ok", ("none",))
    assert "response_format" not in server.requests[0]


def test_retries_back_off_as_long_as_the_server_says() -> None:
    server = ChatServer(read, faults=[Fault(429, headers={"Retry-After": "1"}), Fault(500), Fault(503)])
    began = time.monotonic()
    (record,) = _records(server, PHONE, retries=3).values()
    assert (record.status, record.attempts, len(server.requests)) == ("ok", 1, 4)
    assert time.monotonic() - began > 1 + 0.7 * (1 + 0.5)


def test_a_long_retry_after_is_waited_for_until_the_timeout() -> None:
    server = ChatServer(read, faults=[Fault(429, headers={"Retry-After": "1000"})])
    (record,) = _records(server, PHONE, timeout=0.2, attempts=1).values()
    assert record.errors[0].problem.message.startswith("no answer within 0.2 s")
    assert len(server.requests) == 1


def test_what_is_refused_for_one_document_is_still_used_for_the_others() -> None:
    server = ChatServer(read, refuses=("毒",), models=({"id": "m", "object": "model", "owned_by": "vllm"},))
    server.refusal = "the grammar is too large"
    found = _records(server, PHONE, PHONE + "毒", PHONE, concurrency=1)
    assert [found[name].provenance.decoding for name in "02"] == [("grammar",)] * 2
    assert [error.problem.code for error in found["1"].errors] == ["error"] * 3


def test_an_error_that_retries_do_not_help_fails_its_document_and_no_other() -> None:
    server = ChatServer(read, breaks_on="毒")
    found = _records(server, PHONE + "毒", PHONE, retries=1, attempts=2)
    assert [found[name].status for name in "01"] == ["failed", "ok"]
    assert [error.problem.message for error in found["0"].errors] == ["the server answered HTTP 500 after 2 tries"] * 2
    assert found["0"].errors[0].problem.code == "error"


def test_a_slow_answer_fails_its_document_after_the_timeout() -> None:
    server = ChatServer(read, delay=1.0)
    (record,) = _records(server, PHONE, timeout=0.2, attempts=1).values()
    assert record.errors[0].problem.message == "no answer within 0.2 s: raise --timeout or lower --concurrency"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(200, body="<html>login</html>", headers={"Content-Type": "text/html"}),
        Fault(200, body="{"),
        Fault(200, body="{}"),
        Fault(200, body='{"choices": []}'),
        Fault(200, body='{"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}'),
        Fault(200, body='{"choices": [{"text": "x", "finish_reason": "stop"}]}'),
        Fault(200, body='{"choices": [{"message": {"content": [1]}, "finish_reason": "stop"}]}'),
        Fault(418, "no tea"),
    ],
    ids=lambda fault: fault.body or fault.message,
)
def test_a_reply_that_is_not_an_answer_is_a_problem_and_not_a_crash(fault: Fault) -> None:
    found = _records(ChatServer(read, faults=[fault]), PHONE, PHONE, attempts=1, concurrency=1)
    assert [record.status for record in found.values()] == ["failed", "ok"]
    assert found["0"].errors[0].problem.code == "error"
    assert "server" in found["0"].errors[0].problem.message


def test_a_document_that_the_server_finds_too_long_is_asked_about_in_halves() -> None:
    text = "无。" * 60 + PHONE
    server = ChatServer(read, longest=200)
    (record,) = _records(server, text).values()
    assert (record.status, record.provenance.chunks) == ("ok", 2)
    assert [text[slice(*span)] for span in record.spans["/手机号"]] == ["18888888888"]


def test_a_rate_limit_in_tokens_is_not_a_prompt_that_is_too_long() -> None:
    server = ChatServer(read, faults=[Fault(429, "Limit reached: maximum of 10000 tokens a minute.")])
    (record,) = _records(server, PHONE, attempts=1).values()
    assert record.errors[0].problem.code == "error"
    assert "HTTP 429" in record.errors[0].problem.message


@pytest.mark.parametrize(("cause", "said"), [(OSError("reset\nby peer"), "reset"), (EOFError(), "EOFError")])
def test_a_broken_connection_has_a_reason_even_without_a_message(cause: Exception, said: str) -> None:
    error = openai.APIConnectionError(request=None)  # type: ignore[arg-type]
    error.__cause__ = cause
    assert reason(error) == said


def test_no_more_requests_are_in_flight_than_allowed() -> None:
    server = ChatServer(read, delay=0.05)
    found = _records(server, *[PHONE] * 12, concurrency=3)
    assert {record.status for record in found.values()} == {"ok"}
    assert server.busiest == 3


def test_the_fingerprint_covers_the_model_but_neither_the_address_nor_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(model: str, **settings: object) -> str:
        models = ({"id": model, "object": "model", "owned_by": "x"},)
        with serving(ChatServer(read, models=models)) as url:
            server = ServerConfig(url, **settings)  # type: ignore[arg-type]
            return backends.make("openai", ModelConfig(server=server)).identity

    first = identity("a", concurrency=2)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert identity("a", concurrency=9) == first
    assert identity("b") != first
    assert identity("a", context=1000) != first
    assert "127.0.0.1" not in first
    assert "sk-" not in identity("a")


def test_the_only_model_is_used_and_one_of_several_must_be_named() -> None:
    models = tuple({"id": name, "object": "model", "owned_by": "x", "max_model_len": 900} for name in ("a", "b"))
    with serving(ChatServer(read, models=models)) as url:
        with pytest.raises(ModelError, match="It lists no model: name it with -m"):
            Backend(ModelConfig(server=ServerConfig(url.removesuffix("/v1"))))
        server = ServerConfig(url)
        with pytest.raises(ModelError, match=r"It serves: a, b\. Name one with -m"):
            Backend(ModelConfig(server=server))
        with pytest.raises(ModelError, match="no 'c'"):
            Backend(ModelConfig("c", server=server))
        named = Backend(ModelConfig("b", server=server))
    assert (named.name, named.context) == ("b", 900)


def test_tokens_are_counted_by_the_server_if_it_can() -> None:
    with serving(ChatServer(read, counts=True)) as url:
        assert Backend(ModelConfig(server=ServerConfig(url))).count_tokens("手机号\ud800") == 4


def test_an_estimate_of_tokens_is_conservative() -> None:
    tokenizer = Tokenizer(ROOT / "extractor" / "models" / "demo")
    for path in (SAMPLES / "order").iterdir():
        text = path.read_text("utf-8")
        assert len(tokenizer.encode(text)) <= TokenEstimator()(text) <= 2 * len(text), path


@pytest.mark.parametrize(
    ("backend", "config", "message"),
    [
        ("openai", ModelConfig(), "--base-url http://localhost:8000/v1"),
        ("scripted", ModelConfig(server=ServerConfig("http://localhost/v1")), "asks no server"),
        ("openai", ModelConfig(precision="int8", server=ServerConfig("http://localhost/v1")), "--precision"),
        ("openai", ModelConfig(offline=True, server=ServerConfig("http://u:secret@far.example/v1")), "--offline"),
    ],
)
def test_options_that_do_not_go_together_are_refused(backend: str, config: ModelConfig, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        backends.make(backend, config)
    assert "secret" not in str(refusal.value)


def test_a_base_url_must_be_a_url() -> None:
    with pytest.raises(UsageError, match="base URL"):
        ServerConfig("localhost:8000")


LLAMA = ({"id": "small", "object": "model", "owned_by": "llamacpp", "meta": {"n_ctx": 2048}},)


def _llama(*, shown: str, keeps: bool) -> Callable[[Body], Body]:
    """What a llama.cpp says at /completion: the rules that it makes of a schema, and whether it keeps to a grammar."""

    def complete(request: Body) -> Body:
        text = '{"a": "b c"}' if keeps and "grammar" in request else "1 2 3"
        return {"content": text, "generation_settings": {"grammar": request.get("grammar", shown)}}

    return complete


@pytest.mark.parametrize(
    ("shown", "begins"),
    [('%llguidance {}\nstart: %json {"type":"object"}', "%llguidance {}\nstart: "), ("root ::= object", "root ::= ")],
    ids=["llguidance", "gbnf"],
)
def test_llama_cpp_is_sent_a_grammar_in_the_notation_that_it_shows(shown: str, begins: str) -> None:
    server = ChatServer(read, models=LLAMA, complete=_llama(shown=shown, keeps=True))
    (record,) = _records(server, PHONE).values()
    assert (record.status, record.provenance.decoding) == ("ok", ("grammar",))
    (request,) = server.requests
    assert request["grammar"].startswith(begins)
    assert "18888888888" in request["grammar"]
    assert "response_format" not in request


@pytest.mark.parametrize(
    "complete",
    [None, _llama(shown="", keeps=True), _llama(shown="root ::= object", keeps=False), lambda _: {"content": 5}],
    ids=["no such address", "shows none", "does not keep to it", "nonsense"],
)
def test_a_llama_cpp_that_does_not_keep_to_a_grammar_is_sent_none(complete: Callable[[Body], Body] | None) -> None:
    server = ChatServer(read, models=LLAMA, complete=complete)
    (record,) = _records(server, PHONE).values()
    assert (record.status, record.provenance.decoding) == ("ok", ("json_schema",))


def test_a_text_whose_gbnf_would_be_too_long_is_sent_with_the_schema_alone() -> None:
    models = ({**LLAMA[0], "meta": {"n_ctx": 100_000}},)
    server = ChatServer(read, models=models, complete=_llama(shown="root ::= object", keeps=True))
    found = _records(server, PHONE, PHONE + " 无" * MOST_CHARACTERS)
    assert [record.provenance.decoding for record in found.values()] == [("grammar",), ("json_schema",)]
