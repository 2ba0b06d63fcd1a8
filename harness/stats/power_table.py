"""What is worth buying next for each model and task, and what would it show?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.facets import FACETS, LABELS, FacetScores, shared_templates
from harness.stats.ledger.ledger import Ledger, variance_ledger
from harness.stats.ledger_table import ledger_table
from harness.stats.power.cost import (
    Cost,
    Design,
    Gain,
    best_design,
    cheapest_design,
    design_of,
    gains,
    measured_cost,
)
from harness.stats.power.noise import (
    MODEL,
    Noise,
    noise_between_models,
    noise_of_difference,
    noise_of_score,
)

if TYPE_CHECKING:
    import pandas as pd

ASSUMED = 0.5
"""Correlation of two models over items where a store has one model: Miller's example.
"""

PARTS = ("load", "item", "answer")
"""Costs that are measured, and may be given instead."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskPower:
    """What a design shows of one model at one task, and what more of it would.

    Attributes
    ----------
    scores : FacetScores
        Of the last step, if none was asked for.
    ledger : Ledger
        Of them.
    score, difference : Noise
        Of the mean score; and of its difference to that of another model, put the same
        items, templates and few-shot seeds.
    correlation : float
        Of two models over items; if it is assumed, over all that they have in common,
        such as templates.
    n_models : int
        Which the correlation is estimated from; 1 if it is assumed.
    cost : Cost
        By the model's own trials at the task.
    now, difference_now : Design
        The design as run, for one score and for a difference. What a design finds is a
        difference of two models, whatever its standard error is of.
    gains : tuple of Gain
        What more of each facet does to what is asked for, the most first.
    wanted : Design or None
        The cheapest design that reaches the target, or the best within the budget;
        none if there is no target, or no design reaches it.
    limits : mapping of str to float
        Most levels that it may have: items of the task and, unless wording one has a
        price in `cost`, templates as run.
    """

    scores: FacetScores
    ledger: Ledger
    score: Noise
    difference: Noise
    correlation: float
    n_models: int
    cost: Cost
    now: Design
    difference_now: Design
    gains: tuple[Gain, ...]
    wanted: Design | None
    limits: Mapping[str, float]
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        rho = self.correlation
        return {
            **{name: getattr(self.scores, name) for name in (*LABELS, "settings")},
            "metric": self.scores.metric,
            "mean": self.ledger.mean,
            "n_items_total": self.scores.n_items_total,
            "is_partial": self.scores.is_partial,
            "score": self.score.to_dict(),
            "difference": self.difference.to_dict(),
            "correlation": None if math.isnan(rho) else rho,
            "n_models": self.n_models,
            "cost": {
                **{part: getattr(self.cost, part) for part in PARTS},
                "levels": dict(self.cost.levels),
            },
            "now": self.now.to_dict(),
            "difference_now": self.difference_now.to_dict(),
            "gains": [gain.to_dict() for gain in self.gains],
            "wanted": self.wanted.to_dict() if self.wanted else None,
            "limits": dict(self.limits),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each design.

        Columns: ``model``, ``task`` and what else tells the scores from others,
        ``metric``, ``is_partial``; ``of`` (score or difference); ``design``: ``as
        run``, one such as ``+2 train_seed``, ``wanted``; the levels of each facet,
        ``se``, ``low``, ``high``, ``detectable``, ``narrower_by`` than as run, and
        ``seconds``.
        """
        import pandas as pd

        designs = [
            ("as run", self.now),
            ("as run", self.difference_now),
            *((f"+{gain.n_added} {gain.facet}", gain.design) for gain in self.gains),
            *([("wanted", self.wanted)] if self.wanted else []),
        ]
        now = {one.se.quantity: one for one in (self.now, self.difference_now)}
        return pd.DataFrame(
            {
                **{name: getattr(self.scores, name) for name in (*LABELS, "settings")},
                "metric": self.scores.metric,
                "is_partial": self.scores.is_partial,
                "of": design.se.quantity.removeprefix("se of "),
                "design": name,
                **{facet: design.counts.get(facet, math.nan) for facet in FACETS},
                "se": design.se.value,
                "low": design.se.interval.low,
                "high": design.se.interval.high,
                "detectable": design.detectable.value,
                "narrower_by": 1 - design.se.value / now[design.se.quantity].se.value,
                "seconds": design.seconds,
            }
            for name, design in designs
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a design is to reach: at most one of these.

    Attributes
    ----------
    se : float
        Standard error of a model's score.
    difference : float
        True difference of two models that a test is to find.
    seconds : float
        Budget, of which the least standard error of a score is to be had.
    """

    se: float | None = None
    difference: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        targets = {
            "a standard error": self.se,
            "a difference": self.difference,
            "a budget": self.seconds,
        }
        given = {name: x for name, x in targets.items() if x is not None}
        if len(given) > 1:
            raise DesignError(
                f"{' and '.join(given)} are targets that may contradict; give one",
                code="bad-target",
            )
        for name, x in given.items():
            if not 0 < x < math.inf:
                raise DesignError(
                    f"{name} of {x:g} is no target; give a number above 0",
                    code="bad-target",
                )


def power_table(
    tables: Iterable[FacetScores],
    trials: pd.DataFrame,
    *,
    model: str | None = None,
    target: Target | None = None,
    correlation: float | None = None,
    fixed: Collection[str] = (),
    costs: Mapping[str, float] | None = None,
    power: float = 0.8,
    confidence_level: float = 0.95,
) -> tuple[tuple[TaskPower, ...], tuple[tuple[FacetScores, DesignError], ...]]:
    """Return what more answers would buy each model and task, and what was refused.

    Parameters
    ----------
    tables : iterable of FacetScores
        From `harness.stats.facets.facet_scores`. Of several steps the last counts.
    trials : DataFrame
        As `harness.store.Store.trials` has them, for their timings.
    model : str
        Only rows of this one; the others tell how alike models are.
    target : Target
        What a design is to reach.
    correlation : float
        Of two models over items and templates, instead of what several models of the
        store show; without either it is 0.5.
    fixed : collection of str
        Facets of which no other levels are meant; ``item`` for the score on these very
        items.
    costs : mapping of str to float
        Seconds: of ``load``, ``item``, ``answer`` instead of what was measured; of
        facets, what a further level costs by itself. Designs with more templates are
        searched only if these have a price, since somebody has to word them.
    power, confidence_level : float
        Of the test of a difference; `confidence_level` also of every interval.

    Raises
    ------
    DesignError
        ``unknown-facet``, ``bad-correlation``, ``bad-power``.

    Notes
    -----
    Cautions: ``assumed-correlation``; ``templates-to-word``; ``negative-component`` of
    a correlation beyond 1; ``no-correlation``; those of `FacetScores`, of the ledger,
    and, of the models that the correlation is from, of `shared_templates`.
    """
    target = target or Target()
    costs = dict(costs or {})
    for facet in (*fixed, *(name for name in costs if name not in PARTS)):
        if facet not in FACETS:
            raise DesignError(
                f"{facet!r} is no facet; there are {', '.join(FACETS)}"
                + ("" if facet in fixed else f", and the costs {', '.join(PARTS)}"),
                code="unknown-facet",
            )
    ledgers, refused = ledger_table(tables, confidence_level=confidence_level)
    pools: dict[tuple[Any, ...], Ledger] = {}
    rows = []
    without = [pair for pair in refused if model in (None, pair[0].model)]
    for one in ledgers:
        table, ledger = one.scores, one.ledger
        if model not in (None, table.model):
            continue
        asked = _asked(table)
        peers = [other.scores for other in ledgers if _asked(other.scores) == asked]
        try:
            templates, told = (
                shared_templates(peers) if correlation is None else ((), ())
            )
            n_models = len(peers) if templates else 1
            if n_models > 1:
                if asked not in pools:
                    pools[asked] = _pooled(peers, templates, confidence_level)
                pool = pools[asked]
                difference = noise_between_models(pool, fixed=_there(fixed, pool))
                rho, cautions = _correlation(pool)
            else:
                rho = ASSUMED if correlation is None else correlation
                difference = noise_of_difference(
                    ledger, correlation=rho, fixed=_there(fixed, ledger)
                )
                over = " and ".join(f"{f}s" for f in difference.shared or ["item"])
                text = (
                    f"the correlation of two models over {over} is assumed to be "
                    f"{rho}: one model does not tell it; run another on the same"
                )
                cautions = (Caution("assumed-correlation", text),)
            rows.append(
                _row(
                    table,
                    ledger,
                    difference,
                    rho,
                    n_models=n_models,
                    cautions=(*table.cautions, *told, *cautions),
                    cost=_cost(table, trials, costs),
                    target=target,
                    fixed=fixed,
                    power=power,
                )
            )
        except DesignError as error:
            if error.code in {"bad-correlation", "bad-power"}:
                raise
            without.append((table, error))
    return tuple(rows), tuple(without)


def _row(
    table: FacetScores,
    ledger: Ledger,
    difference: Noise,
    rho: float,
    *,
    n_models: int,
    cautions: tuple[Caution, ...],
    cost: Cost,
    target: Target,
    fixed: Collection[str],
    power: float,
) -> TaskPower:
    score = noise_of_score(ledger, fixed=_there(fixed, ledger))
    asked = score if target.difference is None else difference
    all_items = {"item": float(table.n_items_total)}
    limits = {**all_items}
    if "template" not in cost.levels:
        # Somebody has to word one, which no machine's seconds pay for.
        limits["template"] = score.counts["template"]
    wanted = None
    if target.seconds is not None:
        wanted = best_design(
            asked, cost, seconds=target.seconds, limits=limits, power=power
        )
    elif target.se is not None or target.difference is not None:
        wanted = cheapest_design(
            asked,
            cost,
            se=target.se,
            difference=target.difference,
            limits=limits,
            power=power,
        )

    n_worded = score.counts["template"]
    if wanted and (n_new := round(wanted.counts["template"] - n_worded)) > 0:
        text = (
            f"the design wanted has {n_new} more templates, which a person has to "
            "word: no suite asks for them before"
        )
        cautions = (*cautions, Caution("templates-to-word", text))

    def compared(design: Design) -> Design:
        """Say of a design of scores which difference of two models it would find."""
        counts = {
            facet: n
            for facet, n in design.counts.items()
            if facet in difference.facets and n != score.counts[facet]
        }
        found = difference.detectable(counts, power=power)
        return replace(design, detectable=found)

    return TaskPower(
        scores=table,
        ledger=ledger,
        score=score,
        difference=difference,
        correlation=rho,
        n_models=n_models,
        cost=cost,
        now=compared(design_of(score, cost, power=power)),
        difference_now=design_of(difference, cost, power=power),
        gains=tuple(
            replace(gain, design=compared(gain.design))
            for gain in gains(asked, cost, all_items, power=power)
        ),
        wanted=compared(wanted) if wanted else None,
        limits=limits,
        cautions=cautions,
    )


def _asked(table: FacetScores) -> tuple[Any, ...]:
    return (
        *(table.task, table.formulation, table.num_fewshot, table.generation),
        *(table.settings, table.metric),
    )


def _there(fixed: Collection[str], ledger: Ledger) -> tuple[str, ...]:
    return tuple(facet for facet in fixed if facet in ledger.counts)


def _correlation(pooled: Ledger) -> tuple[float, tuple[Caution, ...]]:
    """Return how much of the variance over items is that of all models alike."""
    alike, apart = (
        sum(e.variance.value for e in pooled.effects if {*e.facets} == facets)
        for facets in ({"item"}, {MODEL, "item"})
    )
    if not alike + apart > 0:
        text = (
            "items do not differ by more than the rest alone predicts, so that models "
            "have no correlation over them; more items would tell"
        )
        return math.nan, (Caution("no-correlation", text),)
    rho = alike / (alike + apart)
    if abs(rho) <= 1:
        return rho, ()
    end = math.copysign(1, rho)
    text = (
        f"the correlation of models over items comes out at {rho:.2f}, by a component "
        f"below 0, and is told as {end:.0f}; more seeds or repeats would tell it"
    )
    return end, (Caution("negative-component", text),)


def _pooled(
    tables: Sequence[FacetScores], templates: tuple[str, ...], confidence_level: float
) -> Ledger:
    """Return the ledger of several models, on what all of them were asked."""
    keyed = [{**table.levels, "item": table.items} for table in tables]
    shared = {"template": {*templates}} | {
        facet: set.intersection(*({*keys[facet]} for keys in keyed))
        for facet in ("item", "fewshot_seed")
    }
    scores, codes = [], []
    for number, (table, keys) in enumerate(zip(tables, keyed, strict=True)):
        place = {
            facet: {key: i for i, key in enumerate(sorted(shared[facet], key=str))}
            for facet in shared
        }
        columns = {
            facet: np.array([place[facet].get(key, -1) for key in keys[facet]])[
                table.of(facet)
            ]
            for facet in shared
        }
        columns |= {name: table.of(name) for name in ("train_seed", "repeat")}
        # First: where each has one seed, it is the seed that is not told apart.
        columns = {MODEL: np.full(len(table.scores), number), **columns}
        is_shared = np.all([columns[facet] >= 0 for facet in shared], axis=0)
        scores.append(table.scores[is_shared])
        codes.append({name: column[is_shared] for name, column in columns.items()})
    names = [
        name
        for name in codes[0]
        if name != "repeat" or any(len(table.levels[name]) > 1 for table in tables)
    ]
    return variance_ledger(
        np.concatenate(scores),
        {name: np.concatenate([some[name] for some in codes]) for name in names},
        within={"train_seed": [MODEL]},
        confidence_level=confidence_level,
    )


def _cost(table: FacetScores, trials: pd.DataFrame, costs: Mapping[str, float]) -> Cost:
    is_own = (trials["status"] == "done") & (trials["model"] == table.model)
    given = {part: costs[part] for part in PARTS if part in costs}
    levels = {name: each for name, each in costs.items() if name not in PARTS}
    measured = (
        {}
        if len(given) == len(PARTS)
        else measured_cost(
            trials[is_own],
            of={name: getattr(table, name) for name in LABELS if name != "model"},
        )
    )
    return Cost(**{**measured, **given}, levels=levels)
