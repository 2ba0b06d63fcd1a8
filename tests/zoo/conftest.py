"""One tiny zoo for all tests that only read it."""

import pytest

from harness.zoo import TINY, Zoo, build_zoo


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    pytest.importorskip("torch")
    return build_zoo(TINY, tmp_path_factory.mktemp("zoo"))
