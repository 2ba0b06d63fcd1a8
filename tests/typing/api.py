"""The library as it is typed: checked by mypy, never run."""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

import harness
from harness.stats.compare.results import Choice, Comparison

results: harness.Results = harness.load(
    "results/a", Path("results/b"), pattern="{step}"
)
models: tuple[str, ...] = results.models
tasks: tuple[str, ...] = results.tasks
responses: pd.DataFrame = results.responses(model="a", task="t", formulation="cloze")
trials: pd.DataFrame = results.trials()
aggregates: pd.DataFrame = results.aggregates()
scores: pd.DataFrame = results.scores("acc", task="t")
variance: pd.DataFrame = results.variance(metric="acc_norm", rank_method="spearman")
history: pd.DataFrame = results.history(by="date", last=9)
comparison: Comparison = results.compare(
    "a", "b@100#0", Choice(name="c", model="b", step=2), delta={"t": 0.01}
)
figure: go.Figure = results.figure("trend", task="t")

forest: go.Figure = harness.figure(comparison, candidate="b@100#0")
pairs: go.Figure = harness.figure(comparison, "pairs", task="t")

harness.figure(results)  # type: ignore[arg-type]
harness.figure(comparison, "trend")  # type: ignore[arg-type]
results.figure("forrest")  # type: ignore[arg-type]
results.variance(rank_method="pearson")  # type: ignore[arg-type]
results.compare("a", "b", correction="bonferroni")  # type: ignore[arg-type]
results.sources = ()  # type: ignore[misc]
