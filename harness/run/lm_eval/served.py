"""How is a model behind a server asked? lm-eval's API models, several requests at once.

lm-eval says how a request is put and how an answer is read. What is asked when is ours:
each request has its own seed, a failure is tried again a few times and then told, and
what was answered is kept for the next try. lm-eval has one seed for all requests, takes
an answer that it cannot read for an empty one, and a log-likelihood that a server left
out for one of 0.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text

from harness.errors import ErrorCode, InputError, TrialError
from harness.records import Checkpoint, Server, unicode_of
from harness.run.lm_eval.model import REFUSED
from harness.run.lm_eval.scorer import chat_text
from harness.streams import words

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from harness.run.lm_eval.answers import Likelihood
    from harness.run.lm_eval.model import Refused, Tokens

RETRIED = frozenset({408, 409, 425, 429, *range(500, 600)})
"""What a server answers that may be well the next time; any other 4xx will not."""

REFUSED_TO_ALL = frozenset({401, 402, 404, 405, 407})
"""Wrong key, no money, wrong name: what a server would say to any request. Not 403,
which some say to a single prompt that they hold back."""

MANY_REFUSALS = 8
"""Prompts in a row, if not more are under way at once: then it is not for them."""

FIRST_WAIT_SECONDS = 0.5
"""Before the second try of a request; doubled before each further one."""

LONGEST_WAIT_SECONDS = 20.0
"""Also where the server itself asks for more."""

REFUSAL_SAID = "server refusal"
"""How the store calls the first reason for which single requests were refused."""

SAID = {"server model": "model", "server fingerprint": "system_fingerprint"}
"""What a server says of itself with each answer, and how the store calls it."""

UNLIMITED = 2**31
"""Tokens of a prompt that is never cut, since only the server knows what it reads."""


NO_LOGPROBS = (
    "gives no log-probabilities of a prompt (echo with logprobs), by which the task is "
    "scored; use a server that does, or tasks whose answers are written"
)


class _NoPromptLogprobs(Exception):
    """The server scores no given text."""


class _Completions(LocalCompletionsAPI):  # type: ignore[misc]  # lm-eval is not typed
    """Puts prompts as lm-eval does; encodes them as its local models do."""

    recorded: list[Tokens]

    def tok_encode(self, string: Any, **options: Any) -> Any:
        """Begin a text as its tokenizer does, which lm-eval leaves out here."""
        return HFLM.tok_encode(self, string, **options)

    def _loglikelihood_tokens(self, requests: list[Tokens], **_: Any) -> Any:
        self.recorded = requests
        return [(0.0, False)] * len(requests)


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    """One request: what it is about, what is sent, how the answer is read."""

    key: tuple[str, str | int]
    prompt: str | int
    """Alike for an item's choices, or its repeats, which a server may all refuse."""

    payload: dict[str, Any]
    read: Callable[[dict[str, Any]], Any]


class Served:
    """A model behind an OpenAI-compatible server; nothing is sent until it is asked.

    Raises
    ------
    InputError
        ``key-missing``, ``extra-missing``.
    """

    device_name = "server"

    def __init__(
        self, checkpoint: Checkpoint, server: Server, max_length: int | None
    ) -> None:
        self.server = server
        self.name = str(checkpoint)
        kind = "chat/completions" if server.chat else "completions"
        self.address = f"{checkpoint.location}/{kind}"
        self.key = _key_of(server)
        self.gives_likelihoods = checkpoint.gives_likelihoods
        self.failure: TrialError | None = None
        self.forward_seconds = 0.0
        self.is_down = False
        self._trial_id = ""
        self._answered: dict[str, dict[tuple[str, str | int], Any]] = {}
        self._said: dict[str, dict[str, None]] = {}
        make: Any = LocalChatCompletion if server.chat else _Completions
        try:
            self._api: Any = make(
                model=server.model,
                tokenizer=checkpoint.tokenizer,
                tokenizer_backend="huggingface" if checkpoint.tokenizer else None,
                max_length=max_length or UNLIMITED,  # with one token to be written
                add_bos_token=None,  # as the tokenizer itself would have it
            )
        except ModuleNotFoundError as error:
            raise InputError(
                f"{checkpoint} is behind a server, and asking it needs packages that "
                f"are not installed: pip install 'evalvar[run]' ({error})",
                code="extra-missing",
            ) from None

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval tells its own caches apart by, which are not used."""
        return ""

    def begin(self, trial_id: str) -> None:
        """Take what is asked from now on as this trial's."""
        if self.failure is None:  # else its answers are for the next try
            self._answered.pop(self._trial_id, None)
        self.forward_seconds, self.failure = 0.0, None
        self._trial_id = trial_id
        self._said.clear()

    def provenance(self) -> dict[str, str]:
        """Return what the server said of itself since the trial began."""
        return {what: ", ".join(sorted(said)) for what, said in self._said.items()}

    def note(self, answer: dict[str, Any]) -> None:
        """Take note of what the server says of itself with each answer."""
        for what, key in SAID.items():
            if isinstance(answer.get(key), str):
                self._said.setdefault(what, {}).setdefault(answer[key])

    def note_refusal(self, why: str) -> None:
        """Take note of why the first of the trial's requests was refused."""
        self._said.setdefault(REFUSAL_SAID, {why: None})

    def apply_chat_template(
        self, messages: list[dict[str, str]], **options: Any
    ) -> Any:
        """Put messages as the server takes them: as they are, or as text."""
        if self.server.chat:
            return self._api.apply_chat_template(messages, **options)
        return chat_text(self._api.tokenizer, messages, **options)

    def encode(self, instances: Sequence[Instance]) -> list[Tokens]:
        """Return the token ids that lm-eval would score, by its own encoding."""
        self._api.loglikelihood(list(instances), disable_tqdm=True)
        return list(self._api.recorded)

    def score(self, tokens: Sequence[Tokens]) -> Sequence[Likelihood | Refused | None]:
        """Return log-likelihood and greediness of each continuation.

        Raises
        ------
        TrialError
            ``no-likelihoods``: the server scores no given text.
        """
        asks = []
        for index, ((asked, _), context, continuation) in enumerate(tokens):
            sent = (context + continuation)[-self._api.max_length :]
            payload = self._api._create_payload([sent], seed=0)
            read = functools.partial(_likelihood, len(sent), len(continuation))
            asks.append(_Ask(("score", index), asked or index, payload, read))
        return self._ask(asks)

    def write(
        self,
        instances: Sequence[Instance],
        names: Sequence[Sequence[str]],
        *,
        sampled: bool,  # noqa: ARG002  # a server is told by the temperature
    ) -> list[list[str | Refused | None]]:
        """Return several texts for each instance; each name gives a seed of its own."""
        asks = [
            self._writing(index, instance, name)
            for index, (instance, some) in enumerate(zip(instances, names, strict=True))
            for name in some
        ]
        written = iter(self._ask(asks))
        return [[next(written) for _ in some] for some in names]

    def cuts(self, instance: Instance, tokens: Sequence[Tokens]) -> bool:
        """Say whether an item's prompt is longer than the suite's ``max_length``."""
        longest = self._api.max_length
        if any(len(ctx) + len(cont) > longest for _, ctx, cont in tokens):
            return True
        if not tokens or instance.request_type != "generate_until":
            return False
        return len(tokens[0][1]) > self._room(instance.args[1])

    def _room(self, arguments: dict[str, Any]) -> int:
        """Return how many tokens a prompt may have, beside those to be written."""
        options = normalize_gen_kwargs(arguments, self._api._max_gen_toks)
        return int(self._api.max_length - options["max_gen_toks"])

    def _writing(self, index: int, instance: Instance, name: str) -> _Ask:
        prompt, arguments = instance.args
        if self._api.tokenized_requests:
            prompt = self._api.tok_encode(prompt)[-self._room(arguments) :]
        options = dict(normalize_gen_kwargs(arguments, self._api._max_gen_toks))
        stops = list(options["until"])
        payload = self._api._create_payload(
            self._api.create_message([prompt], generate=True),
            generate=True,
            gen_kwargs=options,
            seed=words(name)[0] >> 1,  # some servers take 31 bits only
        )
        if not stops:
            del payload["stop"]  # some refuse an empty list

        def read(answer: dict[str, Any]) -> str:
            (choice,) = answer["choices"]
            text = choice["message"]["content"] if self.server.chat else choice["text"]
            # Servers take four stops at most, and some none. What holds no text was
            # all thought, or held back: an answer all the same, and no right one.
            text = unicode_of(text or "")
            return str(postprocess_generated_text(text, stops, None))

        return _Ask(("write", name), index, payload, read)

    def _ask(self, asks: Sequence[_Ask]) -> list[Any]:
        """Ask what has not been answered; ``None`` is what the server left out, and
        `REFUSED` what it will not answer.

        After a failure nothing more is asked for the trial.
        """
        kept = self._answered.setdefault(self._trial_id, {})
        left = [ask for ask in asks if ask.key not in kept]
        # Neighbours are alike, such as the longest: a server may refuse all of them.
        left.sort(key=lambda ask: words(f"{self._trial_id}/{ask.prompt}"))
        if left and self.failure is None:
            began = time.perf_counter()
            try:
                _finish(_Round(self, left, kept))
            except TrialError as failure:
                if failure.code == "no-likelihoods":
                    raise
                self.failure = failure
            finally:
                self.forward_seconds += time.perf_counter() - began
        return [kept.get(ask.key) for ask in asks]


class _Round:
    """One round of requests: as many at once as the suite says, each tried a few times.

    It ends early when as many in a row have failed as may be under way at once: then
    nobody is there, and the round after such a one begins with one single try. It also
    ends when the server would refuse all others: it says so, has refused many prompts
    in a row, or has answered none. A refused request among answered ones is at fault
    itself, and is not asked again.
    """

    def __init__(
        self,
        served: Served,
        asks: Sequence[_Ask],
        kept: dict[tuple[str, str | int], Any],
    ) -> None:
        self.served = served
        self.asks = asks
        self.kept = kept
        self.errors: list[str] = []
        self.refused: list[tuple[_Ask, str]] = []  # since the last answer
        self.refusal: TrialError | None = None
        self.n_in_a_row = 0
        self.ends = False

    async def run(self) -> None:
        served, server = self.served, self.served.server
        left = iter(self.asks)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=server.concurrent),
            timeout=aiohttp.ClientTimeout(total=server.timeout),
            headers={"Authorization": f"Bearer {served.key}"} if served.key else {},
        ) as session:
            if served.is_down:
                await self._one(session, next(left), max_tries=1)
                self.ends = bool(self.errors)
            await asyncio.gather(
                *(self._some(session, left) for _ in range(server.concurrent))
            )
        if self.refused and not self.ends:
            if any(kept is not REFUSED for kept in self.kept.values()):
                self._keep_refused()
            elif not self.errors:
                self._refuse_all()
        if self.refusal is not None:
            raise self.refusal
        served.is_down = self.ends
        if self.errors:
            n_left = sum(ask.key not in self.kept for ask in self.asks)
            raise TrialError(
                f"{served.name}: {served.address} left {n_left} of {len(self.asks)} "
                f"requests unanswered, first: {self.errors[0]}; the same command asks "
                "those again",
                code="server-failed",
            )

    async def _some(self, session: aiohttp.ClientSession, left: Iterator[_Ask]) -> None:
        for ask in left:
            if self.ends:
                return
            await self._one(session, ask, max_tries=self.served.server.max_tries)

    async def _one(
        self, session: aiohttp.ClientSession, ask: _Ask, *, max_tries: int
    ) -> None:
        """Try one request until it is answered, or has been tried often enough."""
        server = self.served.server
        error, wait = "", FIRST_WAIT_SECONDS
        for n_left in reversed(range(max_tries)):
            answer, error, asked_to_wait = await self._post(session, ask)
            if answer is REFUSED:
                self.n_in_a_row = 0  # somebody is there
                self.refused.append((ask, error))
                prompts = {ask.prompt for ask, _ in self.refused}
                if len(prompts) >= max(server.concurrent, MANY_REFUSALS):
                    self._refuse_all()
                return
            if answer is not None:
                self.kept[ask.key] = answer
                self.n_in_a_row = 0
                self._keep_refused()
                return
            if self.ends:
                break
            if n_left:
                await asyncio.sleep(min(max(wait, asked_to_wait), LONGEST_WAIT_SECONDS))
                wait *= 2
        self.errors.append(error)
        self.n_in_a_row += 1
        self.ends |= self.n_in_a_row >= server.concurrent

    async def _post(
        self, session: aiohttp.ClientSession, ask: _Ask
    ) -> tuple[Any, str, float]:
        """Return what was answered, or else why not, and for how long to wait."""
        try:
            async with session.post(self.served.address, json=ask.payload) as response:
                if response.status >= 400:
                    said = " ".join((await response.text()).split())[:200]
                    error = self._without_key(f"HTTP {response.status}: {said}")
                    if response.status in REFUSED_TO_ALL:
                        self._end(f"refuses a request, {error}", "server-refused")
                    elif response.status not in RETRIED:
                        return REFUSED, error, 0.0
                    return None, error, _seconds(response.headers.get("Retry-After"))
                told = await response.json(content_type=None)
                answer = ask.read(told)
                self.served.note(told)
                return answer, "", 0.0
        except _NoPromptLogprobs:
            self._end(NO_LOGPROBS, "no-likelihoods")
            return None, "", 0.0
        except (aiohttp.ClientError, OSError, TimeoutError) as raised:
            return None, self._without_key(f"{type(raised).__name__}: {raised}"), 0.0
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as raised:
            why = f"{type(raised).__name__}: {raised}"
            return None, f"an answer that cannot be read ({why})", 0.0

    def _keep_refused(self) -> None:
        """Take refusals for answers to their requests, since others are answered."""
        for ask, why in self.refused:
            self.kept[ask.key] = REFUSED
            self.served.note_refusal(why)
        self.refused.clear()

    def _refuse_all(self) -> None:
        n, (_, why) = len(self.refused), self.refused[0]
        self._end(f"refuses {n} requests in a row, first: {why}", "server-refused")

    def _end(self, why: str, code: ErrorCode) -> None:
        """Ask no more: the next answer would be the same. Those under way may come."""
        self.ends = True
        text = f"{self.served.name}: {self.served.address} {why}"
        self.refusal = self.refusal or TrialError(text, code=code)

    def _without_key(self, text: str) -> str:
        return text.replace(self.served.key, "…") if self.served.key else text


def _finish(round_: _Round) -> None:
    """Run a round to its end, in a thread of its own where a loop runs already."""
    try:
        asyncio.get_running_loop()  # a notebook's, say
    except RuntimeError:
        asyncio.run(round_.run())
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(round_.run())).result()


def _key_of(server: Server) -> str:
    if server.key_env is None:
        return ""
    key = os.environ.get(server.key_env, "").strip()
    if not key:
        raise InputError(
            f"the environment variable {server.key_env}, which is to hold the key of "
            f"{server.model}, is not set where the worker runs",
            code="key-missing",
        )
    return key


def _likelihood(
    n_sent: int, n_continuation: int, answer: dict[str, Any]
) -> tuple[float, bool]:
    """Read the continuation's log-likelihood, if there is one for each token sent."""
    (choice,) = answer["choices"]
    given = choice.get("logprobs") or {}
    logprobs, best = given.get("token_logprobs"), given.get("top_logprobs")
    wanted = slice(n_sent - n_continuation, n_sent)
    ours, theirs = (list(some or ())[wanted] for some in (logprobs, best))
    if len(ours) < n_continuation or len(theirs) < n_continuation or None in ours:
        raise _NoPromptLogprobs
    greedy = all(
        own == max(top.values()) for own, top in zip(ours, theirs, strict=True)
    )
    return float(sum(ours)), greedy


def _seconds(retry_after: str | None) -> float:
    try:
        return float(retry_after or 0)
    except ValueError:  # a date
        return 0.0
