"""Writes inspect/*.eval and *.json with Inspect itself and its mock model.

Made with inspect-ai 0.3.285 on Python 3.11:
``pip install inspect-ai; python make_inspect.py FOLDER``. Events and tracebacks are
left out of the logs, which they would fill with the paths of a machine.
"""

import sys
import types
from pathlib import Path


class _Bytes:
    """Counts tokens as bytes, where tiktoken would fetch a file."""

    def encode(self, text, **_):
        return list(text.encode())

    encode_ordinary = encode


sys.modules["tiktoken"] = types.SimpleNamespace(
    Encoding=_Bytes,
    get_encoding=lambda _: _Bytes(),
    encoding_for_model=lambda _: _Bytes(),
)

from inspect_ai import Epochs, Task, eval, task  # noqa: E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.log import read_eval_log, write_eval_log  # noqa: E402
from inspect_ai.model import GenerateConfig, ModelOutput, get_model  # noqa: E402
from inspect_ai.scorer import Score, choice, match, mean, scorer  # noqa: E402
from inspect_ai.solver import (  # noqa: E402
    generate,
    multiple_choice,
    solver,
    system_message,
)


@scorer(metrics={"length": [mean()], "polite": [mean()]})
def style():
    async def score(state, target):
        text = state.output.completion
        return Score(value={"length": len(text), "polite": "please" in text})

    return score


@solver
def breaks():
    async def solve(state, generate):
        if state.sample_id == "s3":
            raise ValueError("the sandbox fell over")
        return state

    return solve


@task
def sums():
    samples = [
        Sample(id="s1", input="1 + 1 = ?", target="2"),
        Sample(id="s2", input="2 + 2 = ?", target="4"),
        Sample(id="s3", input="3 + 3 = ?", target="6"),
        Sample(
            id="s4",
            input="<script>alert(1)</script> 4 + 4 = ?",
            target=["8", "eight"],
        ),
    ]
    return Task(
        dataset=MemoryDataset(samples, name="sums"),
        solver=[system_message("Be brief."), breaks(), generate()],
        scorer=[match(location="any"), style()],
        version=3,
        epochs=Epochs(2, "mean"),
        config=GenerateConfig(temperature=0.5, max_tokens=8, seed=7),
        fail_on_error=False,
    )


@task
def animals():
    samples = [
        Sample(input="Which is a bird?", choices=["dog", "owl", "eel"], target="B"),
        Sample(input="Which is a fish?", choices=["eel", "owl", "dog"], target="A"),
    ]
    return Task(
        dataset=MemoryDataset(samples, name="animals"),
        solver=multiple_choice(),
        scorer=choice(),
    )


def write(asked, text, kind, **model_args):
    """Ask the mock model, which always says `text`, and keep what matters."""
    model = get_model(
        "mockllm/toy",
        custom_outputs=lambda *_: ModelOutput.from_content("mockllm/toy", text),
        memoize=False,
        **model_args,
    )
    folder = Path(sys.argv[1])
    [log] = eval(
        asked, model=model, log_dir=str(folder / "logs"), display="none", score=True
    )
    log = read_eval_log(log.location)
    for sample in log.samples:
        sample.events, sample.events_data, sample.attachments = [], None, {}
        if sample.error:
            sample.error.traceback = sample.error.traceback_ansi = ""
    write_eval_log(log, str(folder / f"{log.eval.task}.{kind}"))


for kind in ("eval", "json"):
    write(sums(), "please: 4", kind)
    write(animals(), "ANSWER: B", kind, revision="step1000")
