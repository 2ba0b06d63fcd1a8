"""Which item response model do these responses bear, and how is it fitted?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.irt.joint import fit_joint
from harness.stats.irt.likelihood import Answers
from harness.stats.irt.marginal import (
    GUESS_WEIGHT,
    Fitted,
    Kind,
    Shrinkage,
    fit_marginal,
)
from harness.stats.irt.model import IrtFit, ItemModel, ModelName
from harness.stats.irt.uncertainty import covariance, given_abilities, of_parameters
from harness.stats.irt.with_girth import fit_with_girth

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
MethodName = Literal["auto", "marginal", "joint", "girth"]

FEWEST = 5
"""Fewer independent respondents are refused: no ability SD can be told from them."""

FEWEST_FOR_SLOPES = 20
"""Below, curves with a slope for each item foretell new respondents no better than
Rasch's: at 12, an error of .145 against .145 in probability where slopes are
LogN(0, .3), .140 against .142 where LogN(0, .5); at 30, .103 against .110."""

FEWEST_FOR_PLAIN = 500
"""Below, weak priors foretell better than none: an error of .103 against .126 at 30
respondents, .063 against .068 at 100, .0283 against .0289 at 500, the same at 1,000
(100 items, slopes LogN(0, .3))."""

FEWEST_FOR_GUESSING = 1_000
"""Below, curves with guessing foretell worse than those without where guessing is not
what its prior says: at 500, an error of .035 against .033 where it is .10 and the
prior says .25, .040 against .029 where there is none; at 1,000 and .10, the same."""

MANY_ITEMS = 20_000
"""With more, abilities are so well known that quadrature is not worth its memory."""

FEW_FOR_JOINT = 500
"""With fewer items, a joint fit's abilities are not known well enough to be data."""

NO_SPREAD = 1e-3
"""Slopes per SD of ability below which items do not tell respondents apart: the fit
lies on the bound of an ability SD of 0."""

MOST_ERROR = 3.0
"""Ability SDs of standard error from which a difficulty is not determined: an interval
of twice that to either side leaves out no ability that there is."""

NAMES: dict[ModelName, str] = {
    "rasch": "Rasch model",
    "1pl": "1PL",
    "2pl": "2PL",
    "3pl": "3PL",
}

METHODS: dict[MethodName, str] = {
    "marginal": "marginal maximum likelihood, adaptive quadrature",
    "joint": "penalised joint maximum likelihood",
    "girth": "girth's marginal maximum likelihood, fixed quadrature",
}


def fit_irt(
    responses: Floats,
    *,
    item_ids: Sequence[str] | None = None,
    model: ModelName = "2pl",
    method: MethodName = "auto",
    n_independent: int | None = None,
    guessing: float = 0.25,
) -> IrtFit:
    """Fit ``P(right) = c + (1 - c) / (1 + exp(-a (theta - b)))`` to responses.

    Abilities theta are normal; given theta, responses are independent. ``rasch``
    fixes a = 1 and estimates the abilities' SD, the others fix that SD at 1: ``1pl``
    estimates one a, ``2pl`` one for each item, ``3pl`` a guessing level c too, with
    a Beta prior of mode `guessing` that weighs 20 answers.

    Parameters
    ----------
    responses : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` missing (at random). Rows are checkpoints.
    item_ids : sequence of str, optional
        Numbers from 0 where not given.
    method : {"auto", "marginal", "joint", "girth"}
        ``marginal``: maximum likelihood over all abilities, by quadrature whose
        nodes lie closer than the narrowest posterior is wide; ``joint``: items and
        abilities together, penalised, for thousands of items; ``girth``: that
        package, for short tests. ``auto`` is ``marginal`` up to 20,000 items,
        ``joint`` beyond.
    n_independent : int, optional
        How many respondents count as independent, such as the number of training
        runs that the checkpoints come from; all where not given. It decides which
        model is borne, and standard errors of items grow by ``sqrt(n_respondents /
        n_independent)``, as if checkpoints of a run repeated each other.
    guessing : float
        Chance level, between 0 and 1; only ``3pl`` uses it.

    Returns
    -------
    IrtFit
        `items.model` is the model that was fitted, which may be simpler than asked.

    Raises
    ------
    DesignError
        ``responses-shape``; ``responses-not-binary``; ``unknown-model``;
        ``unknown-method``; ``bad-n-independent``; ``bad-guessing``;
        ``too-few-respondents`` (fewer than 5 independent ones); ``too-few-items``
        (fewer than 2 that vary); ``grid-too-coarse``; ``unfit-method``.

    Notes
    -----
    With fewer than 500 independent respondents a 2PL is shrunken: each a is normal
    about the mean of all with an SD of half of it, each ``-a b`` about theirs with an
    SD of 3. With fewer than 20 it is a Rasch model. A 3PL is shrunken always, and
    with fewer than 1,000 a 2PL. An a above 6 is held there.

    Standard errors are from the observed information. Up to 100 items it is exact;
    beyond, it is that given the abilities, and that of the abilities' mean and SD.

    A difficulty is ``-intercept / a``, and where a is near 0 it may be anything. Where
    its standard error would be 3 ability SDs or more, it has none, and the item counts
    among ``undetermined-items``; a and b stay, since probabilities and information
    need both and are sure. Such a b belongs in no mean of difficulties.

    Cautions: ``constant-items``, ``unanswered-respondents``, ``too-few-for-slopes``,
    ``too-few-for-guessing``, ``shrunken``, ``guessing-prior`` (of each 3PL),
    ``dependent-respondents``, ``parameters-on-a-bound``, ``abilities-alike``,
    ``undetermined-items``, ``not-converged``, ``few-items-for-joint``.

    References
    ----------
    R. D. Bock, M. Aitkin, Psychometrika 46 (1981) 443. K. Lange, J. R. Statist. Soc.
    B 57 (1995) 425. C. Liu, D. B. Rubin, Y. N. Wu, Biometrika 85 (1998) 755.
    R. Varadhan, C. Roland, Scand. J. Statist. 35 (2008) 335. T. A. Louis,
    J. R. Statist. Soc. B 44 (1982) 226.
    """
    responses, names = _check_table(responses, item_ids)
    _check_options(model, method, guessing)
    right, wrong = (responses == 1).sum(0), (responses == 0).sum(0)
    varies: Flags = np.asarray((right > 0) & (wrong > 0))
    answered: Flags = np.asarray(~np.isnan(responses[:, varies]).all(1))
    n_respondents = int(answered.sum())
    n = _check_size(n_independent, n_respondents, int(varies.sum()))
    if method == "auto":
        is_long = model != "3pl" and varies.sum() > MANY_ITEMS
        method = "joint" if is_long else "marginal"
    fitted_model, kind, cautions = _borne(model, method, n, guessing)
    cautions += _data_cautions(names, varies, answered, n)

    answers = Answers.of(responses[np.ix_(answered, varies)])
    fitted, own = _fitted(answers, kind, method)
    name = NAMES[fitted_model]
    if kind.shrinkage is not None and not kind.common_slope:
        name = f"shrunken {name}"
    curves, slope = fitted.curves, fitted.curves.slope
    is_rasch = fitted_model == "rasch"
    sd = float(slope[0]) if is_rasch else 1.0
    own = own * (n_respondents / n)
    undetermined = np.isnan(own[:, 1, 1]) & ~fitted.held
    own[fitted.held] = np.nan
    ability_sd_se = math.sqrt(own[0, 0, 0]) if is_rasch else math.nan
    if is_rasch:
        own[:, 0] = own[:, :, 0] = 0
    else:
        own = of_parameters(own, curves)
    slope_se, difficulty_se, guess_se = np.sqrt(np.diagonal(own, axis1=1, axis2=2)).T
    # Of a Rasch model the difficulty is the intercept, which no slope divides.
    vague = np.asarray(~undetermined & (difficulty_se >= MOST_ERROR) & (not is_rasch))
    difficulty_se = np.where(vague, np.nan, difficulty_se)
    cautions += _fit_cautions(names[varies], fitted, undetermined, vague, method)
    none = np.full(len(slope), np.nan)
    ability, ability_se = (np.full(len(responses), np.nan) for _ in range(2))
    ability[answered] = sd * fitted.ability
    ability_se[answered] = sd * fitted.ability_sd
    return IrtFit(
        items=ItemModel(
            model=fitted_model,
            item_ids=tuple(names[varies].tolist()),
            discrimination=np.ones(len(slope)) if is_rasch else slope,
            # In a Rasch model sd is the slope of all, which cancels; it may be 0.
            difficulty=-curves.intercept / (1 if is_rasch else slope),
            guessing=np.zeros(len(slope)) if curves.guess is None else curves.guess,
            ability_sd=sd,
        ),
        discrimination_se=none if is_rasch else slope_se,
        difficulty_se=difficulty_se,
        guessing_se=none if curves.guess is None else guess_se,
        covariance=own,
        ability=ability,
        ability_se=ability_se,
        ability_sd_se=ability_sd_se,
        log_likelihood=fitted.log_likelihood,
        n_respondents=n_respondents,
        n_independent=n,
        n_iterations=fitted.n_iterations,
        dropped=tuple(names[~varies].tolist()),
        method=f"{name} by {METHODS[method]}",
        cautions=cautions,
    )


def _check_table(
    responses: Floats, item_ids: Sequence[str] | None
) -> tuple[Floats, npt.NDArray[np.str_]]:
    responses = np.asarray(responses, dtype=np.float64)
    if responses.ndim != 2 or (
        item_ids is not None and len(item_ids) != responses.shape[1]
    ):
        ids = "" if item_ids is None else f" with {len(item_ids)} item_ids"
        raise DesignError(
            f"responses have the shape {responses.shape}{ids}; give a table of "
            "respondents × items, and an id for each item",
            code="responses-shape",
        )
    known = responses[~np.isnan(responses)]
    odd = known[(known != 0) & (known != 1)]
    if len(odd):
        raise DesignError(
            f"{len(odd)} of {len(known)} responses are neither 0 nor 1, first "
            f"{', '.join(f'{value:g}' for value in odd[:3])}; give a metric that is "
            "right or wrong, and nan for a missing answer",
            code="responses-not-binary",
        )
    if item_ids is None:
        item_ids = [str(number) for number in range(responses.shape[1])]
    return responses, np.array(item_ids, dtype=np.str_)


def _check_options(model: str, method: str, guessing: float) -> None:
    if model not in NAMES:
        raise DesignError(
            f"there is no item response model {model!r}; choose one of "
            f"{', '.join(NAMES)}",
            code="unknown-model",
        )
    if method not in get_args(MethodName):
        raise DesignError(
            f"there is no way to fit called {method!r}; choose one of "
            f"{', '.join(get_args(MethodName))}",
            code="unknown-method",
        )
    if model == "3pl" and method in ("joint", "girth"):
        raise DesignError(
            f"{method} fits no guessing; take method='marginal', or model='2pl'",
            code="unfit-method",
        )
    if not 0 < guessing < 1:
        raise DesignError(
            f"guessing is {guessing}; give the chance level, between 0 and 1",
            code="bad-guessing",
        )


def _check_size(n_independent: int | None, n_respondents: int, n_items: int) -> int:
    """Return the number of independent respondents, or say why they do not do."""
    n = n_respondents if n_independent is None else n_independent
    if n_respondents and not 1 <= n <= n_respondents:
        raise DesignError(
            f"{n} of {n_respondents} respondents cannot be independent; give a number "
            "from 1 to all of them, such as that of training runs",
            code="bad-n-independent",
        )
    if n < FEWEST:
        raise DesignError(
            f"item response models need at least {FEWEST} independent respondents, "
            f"got {n}; evaluate more training runs, or use shares of right answers",
            code="too-few-respondents",
        )
    if n_items < 2:
        raise DesignError(
            f"{n_items} of the items are answered both right and wrong; at least 2 "
            "are needed",
            code="too-few-items",
        )
    return n


def _borne(
    model: ModelName, method: MethodName, n: int, guessing: float
) -> tuple[ModelName, Kind, tuple[Caution, ...]]:
    """Return the richest model, up to that asked, that `n` respondents bear."""
    cautions: tuple[Caution, ...] = ()
    if model == "3pl" and n < FEWEST_FOR_GUESSING:
        text = (
            f"{n} independent respondents do not tell guessing from difficulty, "
            f"{FEWEST_FOR_GUESSING} would; fitted without guessing"
        )
        cautions += (Caution("too-few-for-guessing", text),)
        model = "2pl"
    if model == "2pl" and n < FEWEST_FOR_SLOPES:
        text = (
            f"{n} independent respondents do not tell the discriminations of items "
            f"apart, {FEWEST_FOR_SLOPES} begin to; a Rasch model was fitted"
        )
        cautions += (Caution("too-few-for-slopes", text),)
        model = "rasch"
    is_common = model in ("rasch", "1pl")
    is_shrunken = method != "girth" and (
        method == "joint" or model == "3pl" or (model == "2pl" and n < FEWEST_FOR_PLAIN)
    )
    if is_shrunken and not is_common and n < FEWEST_FOR_PLAIN:
        text = (
            f"{n} independent respondents, fewer than {FEWEST_FOR_PLAIN}: items are "
            "drawn towards their mean by weak priors"
        )
        cautions += (Caution("shrunken", text),)
    if model == "3pl":
        text = (
            f"guessing is drawn towards {guessing:g} by a prior that weighs "
            f"{GUESS_WEIGHT:g} answers of each item, and may tell no more than it; the "
            "log-likelihood may be below that of a 2PL"
        )
        cautions += (Caution("guessing-prior", text),)
    kind = Kind(
        common_slope=is_common,
        shrinkage=Shrinkage() if is_shrunken else None,
        guessing=guessing if model == "3pl" else None,
    )
    return model, kind, cautions


def _fitted(answers: Answers, kind: Kind, method: MethodName) -> tuple[Fitted, Floats]:
    if method == "joint":
        fitted, information = fit_joint(answers, kind)
        n = len(answers.right)
        return fitted, given_abilities(information, fitted.curves, kind, n)
    fit = fit_with_girth if method == "girth" else fit_marginal
    fitted = fit(answers, kind)
    return fitted, covariance(answers, fitted.curves, kind)


def _data_cautions(
    names: npt.NDArray[np.str_],
    varies: Flags,
    answered: Flags,
    n: int,
) -> tuple[Caution, ...]:
    cautions = []
    if not varies.all():
        text = (
            f"{(~varies).sum()} of {len(varies)} items were answered right by all, "
            "wrong by all, or by none; they have no difficulty and are left out: "
            f"{_first(names[~varies])}"
        )
        cautions.append(Caution("constant-items", text))
    if not answered.all():
        rows = np.flatnonzero(~answered).astype(np.str_)
        text = (
            f"{len(rows)} of {len(answered)} respondents answered none of the items "
            f"that vary, and have no ability: rows {_first(rows)}"
        )
        cautions.append(Caution("unanswered-respondents", text))
    if n < answered.sum():
        text = (
            f"{answered.sum()} respondents count as {n} independent ones; checkpoints "
            "of a run are alike, so standard errors of items are widened"
        )
        cautions.append(Caution("dependent-respondents", text))
    return tuple(cautions)


def _fit_cautions(
    names: npt.NDArray[np.str_],
    fitted: Fitted,
    undetermined: Flags,
    vague: Flags,
    method: MethodName,
) -> tuple[Caution, ...]:
    cautions = []
    if fitted.held.any():
        text = (
            f"{fitted.held.sum()} of {len(names)} items part respondents almost "
            "without exception, so that their estimates are held on a bound and have "
            f"no standard error: {_first(names[fitted.held])}"
        )
        cautions.append(Caution("parameters-on-a-bound", text))
    if undetermined.any():
        text = (
            f"responses do not determine the parameters of {undetermined.sum()} of "
            f"{len(names)} items, which have no standard error; more items, or a "
            f"simpler model, would: {_first(names[undetermined])}"
        )
        cautions.append(Caution("undetermined-items", text))
    if vague.any():
        text = (
            f"responses do not determine the difficulty of {vague.sum()} of "
            f"{len(names)} items: its error would be {MOST_ERROR:g} ability SDs or "
            "more, as where discrimination is near 0; it has no standard error and "
            "belongs in no mean, and more respondents would determine it: "
            f"{_first(names[vague])}"
        )
        cautions.append(Caution("undetermined-items", text))
    if fitted.curves.slope.max() < NO_SPREAD:
        text = (
            "no ability is told from another: respondents answer as alike as chance "
            "lets them; harder or easier items, or other respondents, would tell"
        )
        cautions.append(Caution("abilities-alike", text))
    if not fitted.converged:
        text = (
            f"still moving after {fitted.n_iterations} passes; more respondents, or a "
            "simpler model, would settle it"
        )
        cautions.append(Caution("not-converged", text))
    if method == "joint" and len(names) < FEW_FOR_JOINT:
        text = (
            f"a joint fit takes abilities as known, which {len(names)} items do not "
            f"make them, {FEW_FOR_JOINT} do; use method='marginal'"
        )
        cautions.append(Caution("few-items-for-joint", text))
    return tuple(cautions)


def _first(names: npt.NDArray[np.str_]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
