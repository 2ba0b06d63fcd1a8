"""Each answer is drawn from a stream of its own, and a prompt is read once for all."""

from __future__ import annotations

import pytest

pytest.importorskip("lm_eval")

import torch
from lm_eval.api.instance import Instance
from toy import make_checkpoint

from harness.errors import TrialError
from harness.run.lm_eval import sampling
from harness.run.lm_eval.sampling import KeyedDraws, sample
from harness.run.lm_eval.scorer import Scorer

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

PROMPTS = ["the cat", "a dog saw the", "the", "one cat and a dog", "a cat"]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("model")
    make_checkpoint(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def make(batch_size=16):
        return Scorer(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)

    return make


def instances(prompts=PROMPTS, **options):
    arguments = {
        "until": ["."],
        "max_gen_toks": 6,
        "do_sample": True,
        "temperature": 1.0,
    }
    arguments |= options
    return [
        Instance("generate_until", {}, (prompt, arguments), index)
        for index, prompt in enumerate(prompts)
    ]


def names(n_repeats, prompts=PROMPTS):
    return [[f"{prompt}/{k}" for k in range(n_repeats)] for prompt in prompts]


def test_each_row_draws_by_its_own_numbers():
    """Inverse of the distribution function, by hand."""
    weights = torch.tensor([[0.2, 0.0, 0.5, 0.3], [1.0, 0.0, 0.0, 0.0]])
    uniforms = torch.tensor([[0.0, 0.19, 0.21, 0.69, 0.71, 1.0], [0.5] * 6])
    with KeyedDraws(uniforms.double()):
        drawn = [torch.multinomial(weights, num_samples=1) for _ in range(6)]

    assert torch.cat(drawn, dim=1).tolist() == [[0, 0, 2, 2, 3, 3], [0] * 6]


@pytest.mark.parametrize(
    "weights", [[0.1, float("nan"), 0.2], [0.1, float("inf"), 0.2], [0.0, 0.0, 0.0]]
)
def test_nothing_is_drawn_from_what_is_no_distribution(weights):
    """As torch itself draws nothing; the first row is well."""
    both = torch.tensor([[0.5, 0.5, 0.0], weights])
    with (
        KeyedDraws(torch.full((2, 1), 0.5).double()),
        pytest.raises(TrialError, match="not all numbers") as raised,
    ):
        torch.multinomial(both, num_samples=1)

    assert raised.value.code == "logprobs-not-finite"
    with pytest.raises(RuntimeError):
        torch.multinomial(both, num_samples=1)


def test_draws_are_as_frequent_as_they_are_likely(scorer):
    """First tokens of many answers against the model's own probabilities."""
    model = scorer(64)
    (prompt,) = instances(["the cat"], max_gen_toks=1, temperature=0.7, top_k=4)
    (texts,) = sample(model, [prompt], [[f"frequent/{k}" for k in range(2000)]])
    with torch.no_grad():
        ids = torch.tensor([model.tok_encode("the cat")])
        logits = model.model(ids).logits[0, -1] / 0.7
    top = logits.topk(4)
    expected = torch.softmax(top.values, -1).tolist()
    seen = [texts.count(model.tok_decode([i])) / 2000 for i in top.indices.tolist()]

    assert sum(seen) == pytest.approx(1)
    assert seen == pytest.approx(expected, abs=4 * (0.25 / 2000) ** 0.5)


@pytest.mark.parametrize(("batch_size", "n_repeats"), [(1, 3), (2, 3), (16, 1), (5, 9)])
def test_an_answer_does_not_depend_on_its_company(scorer, batch_size, n_repeats):
    together = sample(scorer(64), instances(), names(9))
    apart = sample(scorer(batch_size), instances(), names(n_repeats))
    alone = sample(scorer(), instances(PROMPTS[1:2]), names(9)[1:2])

    assert [texts[:n_repeats] for texts in together] == apart
    assert alone == together[1:2]
    assert len({text for texts in together for text in texts}) > 9


def test_reading_prompts_once_changes_nothing(scorer, monkeypatch):
    once = sample(scorer(), instances(), names(3))
    read = []
    monkeypatch.setattr(sampling, "_read", lambda *_: read.append(1))

    assert sample(scorer(), instances(), names(3)) == once
    assert read


def test_at_a_low_temperature_texts_are_lm_evals_greedy_ones(scorer):
    greedy = scorer().generate_until(instances(do_sample=False), disable_tqdm=True)
    cold = sample(scorer(), instances(temperature=1e-4), names(2))

    assert cold == [[text, text] for text in greedy]


def test_prompts_are_cut_as_lm_eval_cuts_them(scorer):
    long = ["the cat saw a dog " * 80, "the cat"]
    greedy = scorer().generate_until(
        instances(long, do_sample=False), disable_tqdm=True
    )
    cold = sample(scorer(), instances(long, temperature=1e-4), names(2, long))

    assert cold == [[text, text] for text in greedy]


def test_beams_are_refused(scorer):
    with pytest.raises(TrialError, match="num_beams") as caught:
        sample(scorer(), instances(num_beams=2), names(1))

    assert caught.value.code == "task-unsupported"
