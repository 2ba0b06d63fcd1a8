"""A small OpenAI-compatible server: a real model's logits, or a made-up language.

It counts what it is asked, says how many requests were there at once, and fails as the
test tells it to.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.streams import stream

WORDS = ("red", "blue", "green", "one")

Fault = int | str
"""A status, or ``hang``, ``drop`` (the connection), ``garbage``, or JSON to say."""


class ModelServer:
    """Listens on a free port of this machine until `stop`.

    Attributes
    ----------
    asked : list of dict
        The payloads, in the order in which they came.
    fault : callable
        Takes the payload and how often it came before; says what goes wrong, if any.
    """

    def __init__(self, folder: Path | None = None, *, port: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.n_answered = 0
        self.n_under_way = self.most_under_way = 0
        self.latency = 0.0
        self.echo = True
        self.fault: Callable[[dict[str, Any], int], Fault | None] = lambda *_: None
        self._lock = threading.Lock()
        self._model = self._tokenizer = None
        if folder is not None:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            self._model = AutoModelForCausalLM.from_pretrained(folder).eval()
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._serve(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        payload = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            fault = self.fault(payload, self.asked.count(payload))
            self.asked.append(payload)
            self.headers.append(dict(request.headers))
            self.n_under_way += 1
            self.most_under_way = max(self.most_under_way, self.n_under_way)
        try:
            time.sleep(self.latency)
            if fault == "drop":
                request.close_connection = True
                return
            if fault == "hang":
                time.sleep(0.5)
            if isinstance(fault, int):
                said = {"error": {"message": f"no {request.headers['Authorization']}"}}
                _say(request, fault, json.dumps(said))
            elif fault is not None:
                _say(request, 200, fault)
            else:
                answer = self._answer(request.path, payload)
                with self._lock:
                    self.n_answered += 1
                _say(request, 200, json.dumps(answer))
        except (BrokenPipeError, ConnectionResetError):
            request.close_connection = True
        finally:
            with self._lock:
                self.n_under_way -= 1

    def _answer(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        head = {"model": f"{payload['model']}-0613", "system_fingerprint": "fp_1"}
        if path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": _made_up(payload)}
            return {**head, "choices": [{"index": 0, "message": message}]}
        if self._model is None:
            return {**head, "choices": [{"index": 0, "text": _made_up(payload)}]}
        with self._lock:
            return {**head, "choices": [{"index": 0, **self._complete(payload)}]}

    def _complete(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Continue tokens by the likeliest, and score them if asked."""
        import torch

        (ids,) = payload["prompt"]
        written = list(ids)
        with torch.no_grad():
            for _ in range(payload["max_tokens"]):
                logits = self._model(torch.tensor([written])).logits[0].log_softmax(-1)
                written.append(int(logits[-1].argmax()))
                if written[-1] == self._tokenizer.eos_token_id:
                    break
        text = self._tokenizer.decode(written[len(ids) :], skip_special_tokens=True)
        for stop in payload.get("stop") or []:
            text = text.split(stop)[0]
        if not (payload.get("echo") and self.echo):
            return {"text": text, "logprobs": None}
        shown = [logits[i - 1] for i in range(1, len(ids))]
        named = self._tokenizer.convert_ids_to_tokens
        return {
            "text": text,
            "logprobs": {
                "token_logprobs": [
                    None,
                    *(float(row[i]) for row, i in zip(shown, ids[1:], strict=True)),
                    float(logits[-1].max()),
                ],
                "top_logprobs": [
                    None,
                    *({named(int(row.argmax())): float(row.max())} for row in shown),
                    {named(written[-1]): float(logits[-1].max())},
                ],
            },
        }


def _made_up(payload: dict[str, Any]) -> str:
    """Say three words that depend on prompt and seed, and on nothing else."""
    prompt = payload.get("messages") or payload["prompt"]
    cold = payload["temperature"] == 0
    drawn = stream(0 if cold else payload["seed"], json.dumps(prompt))
    return " ".join(WORDS[i] for i in drawn.integers(len(WORDS), size=3))


def _say(request: BaseHTTPRequestHandler, status: int, text: str) -> None:
    body = text.encode()
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def serving(folder: Path | None = None, **options: Any) -> Iterator[ModelServer]:
    """Serve for as long as it takes."""
    server = ModelServer(folder, **options)
    try:
        yield server
    finally:
        server.stop()
