"""A local HTTP server that speaks the OpenAI protocol: models, chat completions, and /tokenize where it is asked to.

What it writes comes from a function of the request. Faults are used once each, by the first completions asked for.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


PHONE = "手机号：18888888888，邮箱：a@b.cn"
FIELDS: Body = {"手机号": None, "邮箱": None, "账号": None, "密码": None}
_PATTERNS = {"手机号": r"1\d{10}", "邮箱": r"[\w.]+@[\w.]+\w"}


@dataclass(frozen=True)
class Fault:
    """What is sent instead of an answer."""

    status: int
    message: str = "fault"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass
class ChatServer:
    """`write` gives the text for a request; `refuses` are words in a request that is answered with 400; `key` is asked
    for where there is one; `longest` is the context in characters of the prompt; a prompt that holds `breaks_on` gets a
    500; `complete` answers at llama.cpp's own /completion; after `ends_after` completions every connection breaks."""

    write: Callable[[Body], str]
    models: tuple[Body, ...] = ({"id": "small", "object": "model", "owned_by": "someone", "max_model_len": 2048},)
    refuses: tuple[str, ...] = ()
    refusal: str = "'{}' is not supported"
    faults: list[Fault] = field(default_factory=list)
    key: str | None = None
    longest: int | None = None
    breaks_on: str | None = None
    ends_after: int | None = None
    counts: bool = False
    complete: Callable[[Body], Body] | None = None
    delay: float = 0.0
    requests: list[Body] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    busiest: int = 0
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault_for(self, request: Body) -> Fault | None:
        refused = next((word for word in self.refuses if word in json.dumps(request, ensure_ascii=False)), None)
        if refused:
            return Fault(400, self.refusal.format(refused))
        if self.breaks_on and self.breaks_on in prompt_of(request):
            return Fault(500)
        if self.longest is not None and len(prompt_of(request)) > self.longest:
            return Fault(400, f"This model's maximum context length is {self.longest} tokens.")
        return self.faults.pop(0) if self.faults else None

    def reply(self, request: Body) -> Body:
        text = self.write(request)
        choice: Body = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        if request.get("logprobs"):
            tokens = [{"token": each, "bytes": list(each.encode()), "logprob": -0.01} for each in text]
            choice["logprobs"] = {"content": [{**token, "top_logprobs": []} for token in tokens]}
        usage = {"prompt_tokens": len(prompt_of(request)), "completion_tokens": len(text)}
        usage["total_tokens"] = sum(usage.values())
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "small",
            "choices": [choice],
            "usage": usage,
        }


def prompt_of(request: Body) -> str:
    return "\n".join(str(message["content"]) for message in request["messages"])


def read(request: Body) -> str:
    """A reader that knows phone numbers and mail addresses, and finds the first of each in the document."""
    text = prompt_of(request).partition("文本：")[2]
    found = {name: re.search(pattern, text) for name, pattern in _PATTERNS.items()}
    data = {**FIELDS, **{name: match and match[0] for name, match in found.items()}}
    return json.dumps(data, ensure_ascii=False)


@contextmanager
def serving(server: ChatServer, port: int = 0) -> Iterator[str]:
    """Serve on a local port, a free one unless it is named; yields the base URL."""
    handler = type("Handler", (_Handler,), {"server_state": server})
    http = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: ChatServer

    def do_GET(self) -> None:
        if self._is_over() or not self._may_enter():
            return
        if self.path == "/v1/models":
            self._send(200, {"object": "list", "data": list(self.server_state.models)})
        else:
            self._refuse(Fault(404))

    def do_POST(self) -> None:
        request: Body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._may_enter():
            return
        if self.path == "/tokenize" and self.server_state.counts:
            self._send(200, {"count": len(request["prompt"])})
        elif self.path == "/completion" and self.server_state.complete:
            self._send(200, self.server_state.complete(request))
        elif self.path == "/v1/chat/completions":
            self._complete(request)
        else:
            self._refuse(Fault(404))

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _complete(self, request: Body) -> None:
        state = self.server_state
        if self._is_over():
            return
        with state.lock:
            state.requests.append(request)
            state.busy += 1
            state.busiest = max(state.busiest, state.busy)
            fault = state.fault_for(request)
        time.sleep(state.delay)
        with state.lock:
            state.busy -= 1
        if fault:
            self._refuse(fault)
        else:
            self._send(200, state.reply(request))

    def _is_over(self) -> bool:
        state = self.server_state
        self.close_connection = state.ends_after is not None and len(state.requests) >= state.ends_after
        return self.close_connection

    def _may_enter(self) -> bool:
        key = self.headers["Authorization"].removeprefix("Bearer ")
        self.server_state.keys.add(key)
        if self.server_state.key in (None, key):
            return True
        self._refuse(Fault(401, "wrong key"))
        return False

    def _refuse(self, fault: Fault) -> None:
        body = {"error": {"message": fault.message, "type": "invalid_request_error", "code": None}}
        self._send(fault.status, body if fault.body is None else fault.body, fault.headers)

    def _send(self, status: int, body: Body | str, headers: dict[str, str] | None = None) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(data)
        except BrokenPipeError:  # the client has lost patience
            self.close_connection = True
