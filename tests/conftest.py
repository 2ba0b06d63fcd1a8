"""What every test may rely on: no hub, one thread, nobody else's random numbers."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("harness", deadline=None)
settings.load_profile("harness")

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_EVALUATE_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    TOKENIZERS_PARALLELISM="false",
    TQDM_DISABLE="1",
    RAY_USAGE_STATS_ENABLED="0",
    # Two workers with two threads each are nine times slower than with one each.
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
)

REQUIRE_ALL = os.environ.get("HARNESS_REQUIRE_ALL") == "1"
"""Turns a skip for want of a package or a browser into a failure."""

NEEDS = {
    "lm_eval": ("lm_eval", "torch", "transformers"),
    "ray": ("ray",),
    "browser": ("playwright",),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Files share what they prepare; two clusters at once would want for cores.
        group = "ray" if item.get_closest_marker("ray") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        for marker, packages in NEEDS.items():
            if item.get_closest_marker(marker) is None:
                continue
            missing = [p for p in packages if importlib.util.find_spec(p) is None]
            if marker == "browser" and shutil.which("chromium") is None:
                missing.append("chromium (apt-get install chromium)")
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not REQUIRE_ALL:
        return
    for mark in item.iter_markers("skip"):
        reason = mark.kwargs.get("reason", "")
        if reason.startswith("needs "):
            pytest.fail(f"HARNESS_REQUIRE_ALL is set, and this test {reason}")


@pytest.fixture(autouse=True)
def global_random_state_is_left_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """No code under test may draw from NumPy's global generator.

    lm-eval and the trainer set global seeds by themselves, so tests of those are out.
    """
    if any(request.node.get_closest_marker(name) for name in ("lm_eval", "ray")):
        yield
        return
    import numpy as np

    before = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    yield
    after = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    assert before["pos"] == after["pos"]
    np.testing.assert_array_equal(before["key"], after["key"])
