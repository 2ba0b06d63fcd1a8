"""Variance between system prompts: the paper's equations, truth, properties, edges."""

import numpy as np
import pytest

from harness.stats.prompts.variance import prompt_variance

# Two system prompts, two user prompts, two responses, worked by hand.
WORKED = np.array([[[1, 1], [0, 1]], [[0, 1], [0, 0]]], dtype=float)


@pytest.mark.parametrize(
    ("mode", "user_prompts", "responses", "among"),
    [
        ("p1", [0], 0.03125, 0.03125),
        ("unbiased", [0], 0.0625, 0),
        ("p1", [0, 1], 0.015625, 0.046875),
        ("unbiased", [0, 1], 0.03125, 0.03125),
    ],
)
def test_the_worked_example(mode, user_prompts, responses, among):
    found = prompt_variance(WORKED, mode=mode, user_prompts=user_prompts)

    assert found.observed.value == pytest.approx(0.0625)
    assert found.among_responses.value == pytest.approx(responses)
    assert found.among_system_prompts.value == pytest.approx(among)
