"""Do the models learn what the documents say that they learn?"""

from pathlib import Path
from typing import Any

import pytest

from harness.zoo import QUICKSTART, Zoo, ZooSpec, build_zoo
from harness.zoo.spec import ZOO_SMALL

pytestmark = [pytest.mark.lm_eval, pytest.mark.slow]

TASKS = (
    "zoo_agreement",
    "zoo_arithmetic",
    "zoo_facts_choice",
    "zoo_facts_cloze",
    "zoo_sequences_cloze",
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """One training run of the quickstart's; its weights are the quickstart's too."""
    spec = ZooSpec(
        models=(ZOO_SMALL,), train_seeds=(0,), steps=(20, QUICKSTART.steps[-1])
    )
    return build_zoo(spec, tmp_path_factory.mktemp("zoo"))


def measure(zoo: Zoo, step: int) -> dict[str, float]:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder = zoo.checkpoint("zoo-small", 0, step)
    results: Any = simple_evaluate(
        model=HFLM(pretrained=str(folder), device="cpu", batch_size=64),
        tasks=list(TASKS),
        task_manager=TaskManager(
            include_path=str(zoo.tasks_folder), include_defaults=False
        ),
        bootstrap_iters=0,
    )
    return {
        task: row.get("acc,none", row.get("exact_match,none"))
        for task, row in results["results"].items()
    }


def test_learns_cloze_and_not_letters(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chance plus or minus 4 standard errors of 300 items: 0.15 to 0.35."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    first, last = measure(zoo, 20), measure(zoo, QUICKSTART.steps[-1])

    assert 0.15 < first["zoo_facts_cloze"] < 0.35
    assert 0.15 < first["zoo_facts_choice"] < 0.35
    assert 0.38 < first["zoo_agreement"] < 0.62
    assert first["zoo_arithmetic"] < 0.05

    assert last["zoo_facts_cloze"] > 0.4
    assert last["zoo_sequences_cloze"] > 0.4
    assert last["zoo_agreement"] > 0.8
    assert last["zoo_arithmetic"] > 0.05
    assert 0.15 < last["zoo_facts_choice"] < 0.35
