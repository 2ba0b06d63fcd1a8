"""Of what differs between training seeds, how much is training, how much items?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from page import Page, cited, data, fixed, percent, shown, within

from harness.stats.components import SeedComponents, seed_components
from harness.stats.irt.fit import fit_irt
from harness.stats.irt.model import IrtFit
from harness.stats.items import analyse_items
from harness.stats.pruning import discrimination_stability, prune_items
from harness.stats.ranks import rank_correlations
from harness.stats.series import last_seed_sd
from harness.stats.subsets.evaluate import METHODS, evaluate_subsets

FOLDER = "syntaxgym_seeds"
CORPORA = ("bllip-xs", "bllip-sm", "bllip-md", "bllip-lg")
"""Ascending in size."""

LSTM = "vanilla"
LSTM_SEEDS = ("0111", "0120", "0922")
WEIGHTED = ("weighted",)
FEW: Mapping[Any, Sequence[Any]] = {
    "stratified": WEIGHTED,
    "anchors-correct": WEIGHTED,
    "information": ("p-irt",),
}
Floats = npt.NDArray[np.float64]


def read() -> pd.DataFrame:
    """Return 0/1 answers: (arch, corpus, seed) by (suite, item)."""
    long = pd.read_parquet(data(FOLDER, "sg_results_long.parquet"))
    return long.pivot_table(
        index=["arch", "corpus", "seed"], columns=["suite", "item"], values="correct"
    ).astype(float)


def is_neural(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell networks from n-gram models."""
    return ~table.index.get_level_values("arch").str.contains("gram")


def by_suite(rows: pd.DataFrame) -> Floats:
    """Return the mean of each suite: suites in place of items."""
    return rows.T.groupby(level="suite").mean().T.to_numpy()


def splits(
    table: pd.DataFrame,
) -> dict[tuple[str, str], tuple[pd.DataFrame, SeedComponents, SeedComponents]]:
    """Return, of models with 2 seeds or more, the split over items and over suites."""
    return {
        (str(arch), str(corpus)): (
            rows,
            seed_components(rows.to_numpy()),
            seed_components(by_suite(rows)),
        )
        for (arch, corpus), rows in table.groupby(level=["arch", "corpus"])
        if len(rows) > 1
    }


def study() -> Page:
    page = Page("syntaxgym", "SyntaxGym: training seeds, items and suites")
    table = read()
    neural = table[is_neural(table)]
    found = splits(table)
    networks = {key: value for key, value in found.items() if key[0] != "ngram"}
    n_suites = table.columns.get_level_values("suite").nunique()
    page.say(
        "Language models that differ only in their training seed score differently on "
        "tests of syntax.",
        "How much of that would vanish with more items, and how much is training?",
        "Which items discriminate, does pruning them help, does one ability describe "
        "all models, and can fifty items stand for all?",
    )
    page.heading("Data")
    sizes = table.columns.to_frame(index=False).groupby("suite").size()
    page.say(
        cited(FOLDER),
        f"{len(table)} runs × {table.shape[1]} items, right or wrong: {len(neural)} "
        "networks (LSTM, here `vanilla`, RNNG, ordered neurons, GPT-2, three "
        "published "
        f"ones) and {len(table) - len(neural)} n-gram runs, most of them 50 seeds of "
        "one "
        "model on each of four corpora.",
        f"Items come in {n_suites} suites of {sizes.min()} to {sizes.max()}, which "
        "share "
        "a construction.",
    )

    page.heading("Seeds, items, suites")
    page.say(
        "`last_seed_sd`, and `seed_components` of `score = mu + seed + item + "
        "residual`: "
        "`seed_share` is the part of the observed variance between seeds that is "
        "training; 1 less that is sampling of items, which more items would remove.",
        "It is computed twice: with items as independent units, and with suites (each "
        "suite's mean, so that suites weigh alike).",
        "Neither is clipped: a negative share says that seeds differ less than "
        "sampling "
        "alone predicts.",
        "ICC(2,k) is the same with items of each seed's own, so that the items' "
        "difficulty counts as noise too.",
    )
    page.table(
        [
            "model",
            "seeds >",
            "mean >",
            "SD over seeds >",
            "corrected SD >",
            "ICC(2,k) >",
            "training's share, items >",
            "training's share, suites >",
        ],
        [
            [
                f"{arch} {corpus.removeprefix('bllip-')}",
                len(rows),
                fixed(float(rows.to_numpy().mean())),
                shown(last_seed_sd(rows.mean(axis=1).to_numpy())),
                fixed(items.corrected_sd.value),
                shown(items.icc_mean, 2),
                shown(items.seed_share, 2),
                shown(suites.seed_share, 2),
            ]
            for (arch, corpus), (rows, items, suites) in found.items()
        ],
    )
    sds = [
        last_seed_sd(rows.mean(axis=1).to_numpy()).value
        for rows, _, _ in networks.values()
    ]
    sure = [
        key
        for key, (_, items, _) in networks.items()
        if items.seed_share.interval.low > 0
    ]
    surer = [
        key
        for key, (_, _, suites) in networks.items()
        if suites.seed_share.interval.low > 0
    ]
    page.say(
        f"Networks: SD over seeds {fixed(min(sds))} to {fixed(max(sds))}, from two to "
        "four seeds each.",
        f"By items, training is surely part of it in {len(sure)} of {len(networks)} "
        f"models; by suites in {len(surer)} "
        f"({', '.join(' '.join(key) for key in surer)}).",
        "Two or three seeds leave the intervals open over nearly all there is: the "
        f"smallest SDs, {fixed(sorted(sds)[0])} and {fixed(sorted(sds)[1])}, are luck "
        "as "
        "likely as agreement.",
    )

    def draw_shares(ax: Any) -> None:
        keys = list(found)
        for offset, which, name in ((-0.15, 1, "items"), (0.15, 2, "suites")):
            shares = [found[key][which].seed_share for key in keys]
            y = np.arange(len(keys)) + offset
            low, high = np.clip([e.interval for e in shares], -1.5, 1).T
            ax.hlines(y, low, high, color=f"C{which - 1}")
            ax.plot(
                np.clip([e.value for e in shares], -1.5, 1),
                y,
                "o",
                color=f"C{which - 1}",
                label=f"{name} as units",
            )
        ax.axvline(0, color="#57606a", linewidth=0.8)
        ax.set_yticks(
            range(len(keys)), [f"{a} {c.removeprefix('bllip-')}" for a, c in keys]
        )
        ax.invert_yaxis()
        ax.set(
            xlabel="training's share of the variance between seeds", xlim=(-1.5, 1.05)
        )
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    page.figure(
        draw_shares,
        "shares",
        "Training's share of the variance between seeds with its interval, cut off at "
        "minus 1.5, by model: with suites as units the n-gram models fall from near 1 "
        "to about 0",
        height=5.2,
    )
    grams = {key: value for key, value in found.items() if key[0] == "ngram"}
    whole = [np.isin(by_suite(rows), (0, 1)).mean() for rows, _, _ in grams.values()]
    whole_networks = [
        np.isin(by_suite(rows), (0, 1)).mean() for rows, _, _ in networks.values()
    ]
    least_share = min(items.seed_share.value for _, items, _ in grams.values())
    single = [
        float(table.xs((arch, c), level=("arch", "corpus")).to_numpy().mean())
        for arch in ("ngram-no-rand",)
        for c in CORPORA
    ]
    page.say(
        "The n-gram models are the odd ones: an n-gram has no training seed, yet by "
        f"items {fixed(least_share, 2)} or more"
        " of their spread over fifty seeds is training's, and surely so.",
        f"Without the seed (`ngram-no-rand`) they score {fixed(min(single))} to "
        f"{fixed(max(single))}, so that the seed seems to break ties between equal "
        "probabilities.",
        "Items of a suite share words, so that one tie can decide a whole suite: "
        f"{percent(float(np.mean(whole)))} of the n-grams' suite scores are "
        f"exactly 0 or 1 ({percent(float(np.mean(whole_networks)))} of the networks').",
        "With suites as units nothing is left for the seed: shares of "
        + ", ".join(fixed(s.seed_share.value, 2) for _, _, s in grams.values())
        + ".",
        "That is the warning of this page: `seed_share` believes that items are "
        "independent; where they come in families, give the families.",
    )

    page.heading("Items")
    codes, _ = pd.factorize(
        pd.Series([f"{a} {c}" for a, c, _ in neural.index.to_list()])
    )
    n_models = int(codes.max()) + 1
    answers = neural.to_numpy()
    items = analyse_items(
        answers,
        item_ids=[f"{suite}/{item}" for suite, item in table.columns],
        n_independent=n_models,
    )
    frame = pd.DataFrame(
        {
            "suite": table.columns.get_level_values("suite"),
            "item_rest": items.item_rest,
            "difficulty": items.difficulty,
            "negative": items.is_surely_negative,
        }
    )
    suites = frame.groupby("suite").agg(
        {"item_rest": "median", "difficulty": "mean", "negative": "sum"}
    )
    worst = str(suites["item_rest"].idxmin())
    page.say(
        f"`analyse_items` over the {len(neural)} networks, counted as {n_models} "
        "independent models (a model's seeds are alike).",
        f"Cronbach's α is {shown(items.reliability)}: suites that all rise with the "
        "quality of a model.",
        f"The median item-rest correlation is "
        f"{fixed(float(np.nanmedian(items.item_rest)), 2)}; "
        f"{int(items.is_all_right.sum())} items are right for all, "
        f"{int(items.is_all_wrong.sum())} wrong for all, "
        f"{int(np.sum(items.item_rest < 0))} correlate negatively and "
        f"{int(items.is_surely_negative.sum())} surely so (Benjamini and Hochberg): "
        f"{int(suites.loc[worst, 'negative'])} of them in {worst}, whose median is "
        f"{fixed(float(suites.loc[worst, 'item_rest']), 2)} at a mean score of "
        f"{fixed(float(suites.loc[worst, 'difficulty']), 2)}.",
        "Better models fail a test that worse ones pass: a suite to look at, not to "
        "average.",
    )
    stable = discrimination_stability(answers, runs=codes, rng=1)
    page.say(
        "`discrimination_stability`: item-rest correlations of two halves of the "
        f"models, split at random, agree with r = {shown(stable.random, 2)} (interval "
        f"over items; splits lie in {within(*stable.random_spread, 2)}); those of the "
        f"weaker and the stronger half with {shown(stable.ability, 2)}.",
        "Items that tell weak models apart are not those that tell strong ones apart; "
        "here they are even opposed.",
    )
    lstm = np.array(
        [
            [table.loc[(LSTM, corpus, seed)].to_numpy() for corpus in CORPORA]
            for seed in LSTM_SEEDS
        ]
    )
    others = neural[neural.index.get_level_values("arch") != LSTM]
    pruned = prune_items(others.to_numpy(), lstm, rng=1)
    page.say(
        "`prune_items`: the quarter of the items with the lowest item-rest "
        "correlation "
        f"over the other {len(others)} networks is dropped, and the LSTMs, which had "
        "no "
        "say, are summarised over three seeds and four corpora of rising size, beside "
        "as "
        "many items kept at random.",
    )
    page.table(
        ["", "all >", "pruned >", "random, mean >", "random, 95 % >"],
        [
            [
                str(row.quantity).replace("_", " "),
                fixed(float(row.full), 4),
                fixed(float(row.pruned), 4),
                fixed(float(row.random), 4),
                within(float(row.random_low), float(row.random_high), 4),
            ]
            for row in pruned.to_frame().itertuples()
        ],
    )
    page.say(
        "The mean leaves what random subsets do, and with it the items' half width, "
        "since a mean further from one half varies less; spread over seeds and order "
        "do not.",
        "Madaan et al. ([2024](https://arxiv.org/abs/2406.10229), section 4) saw the "
        "mean drift too; of their modest gains nothing shows here.",
    )

    page.heading("One ability?")
    page.say(
        "`fit_irt` with the runs of a model counted as one; ρ is Spearman's of ability "
        "and mean score.",
    )
    by_luck = among_networks = np.nan
    everyone = [f"{a} {c}" for a, c, _ in table.index.to_list()]
    rows = []
    for words, part, n in (
        ("networks", neural, n_models),
        ("all runs", table, len(set(everyone))),
    ):
        for model in ("rasch", "2pl"):
            fit = fit_irt(part.to_numpy(), model=model, n_independent=n)
            mean = part.mean(axis=1).to_numpy()
            slopes = fit.items.discrimination
            if words == "all runs":
                by_luck = discrimination_and_luck(table, fit)
                among_networks = spearman(
                    fit.ability[is_neural(table)], mean[is_neural(table)]
                )
            rows.append(
                [
                    f"{words} ({len(part)}, counted as {n})",
                    {"rasch": "Rasch", "2pl": "2PL, shrunken"}[model],
                    f"{fixed(fit.log_likelihood / part.size, 4)}",
                    len(fit.dropped),
                    within(*np.quantile(slopes, [0.1, 0.9]), 2),
                    fixed(spearman(fit.ability, mean), 2),
                ]
            )
    page.table(
        [
            "runs",
            "model",
            "log-likelihood per answer >",
            "items dropped >",
            "a, middle 80 % >",
            "ρ >",
        ],
        rows,
    )
    page.say(
        "Among networks ability ranks as the mean score does.",
        "With the n-grams in, who outnumber them five to one, the ability of the "
        f"two-parameter model is another ranking (ρ {rows[-1][-1]}; of the networks "
        f"alone {fixed(among_networks, 2)}): it gives little weight to suites that "
        "ties "
        "decide (Spearman's ρ over suites of the median discrimination and the SD over "
        f"n-gram seeds is {fixed(by_luck, 2)}) and much to those that n-grams fail.",
        "Answers within a suite are not independent given one ability, which is what "
        "every model of this page assumes; a fit that converges does not say so.",
    )

    page.heading("Fifty items for all?")
    page.say(
        "`evaluate_subsets`: items are chosen, and calibrated, on other models (all "
        "seeds of a model are held out together); error of the estimated full score, E "
        "of the paper and rank correlation at the full set's; `better` is the share of "
        "random subsets of the same size with a larger mean absolute error.",
    )
    quality = evaluated(neural, [50, 100], METHODS)
    few = evaluated(table, [50], FEW)
    for words, frame in (
        (f"{len(neural)} networks", quality),
        (f"all {len(table)} runs", few),
    ):
        page.say(f"{words}:")
        page.table(
            [
                "items >",
                "chosen by",
                "read by",
                "bias >",
                "mean abs. error >",
                "SD over seeds >",
                "coverage >",
                "rank τ >",
                "better >",
            ],
            [
                [
                    row.n_items,
                    row.method,
                    row.estimator,
                    fixed(row.bias),
                    fixed(row.mae),
                    fixed(row.seed_sd),
                    fixed(row.coverage, 2),
                    fixed(row.rank_correlation, 2),
                    "–" if np.isnan(row.beats_random) else percent(row.beats_random),
                ]
                for row in frame.itertuples()
            ],
        )

    def draw_subsets(ax: Any) -> None:
        part = quality[quality["method"] != "full"]
        for k, size in enumerate((50, 100)):
            rows = part[part["n_items"] == size].reset_index(drop=True)
            y = np.arange(len(rows)) + (k - 0.5) * 0.25
            ax.hlines(y, rows["mae_low"], rows["mae_high"], color=f"C{k}")
            ax.plot(rows["mae"], y, "o", color=f"C{k}", label=f"{size} items")
            names = (rows["method"] + ", " + rows["estimator"]).tolist()
            ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.set(xlabel="mean absolute error of the full score, held-out networks")
        ax.set_xlim(0, None)
        ax.legend()

    page.figure(
        draw_subsets,
        "subsets",
        "Mean absolute error of the full score by method, for 50 and 100 items: "
        "anchors and strata do better than random items, items by information and "
        "adaptive tests worse",
        height=4.2,
    )
    starts = pd.concat(
        [
            evaluated(
                neural, [50], {"anchors-correct": WEIGHTED, "anchors-irt": WEIGHTED}, k
            )
            for k in range(6)
        ]
    )
    chosen = quality[quality["n_items"] == 50].set_index(["method", "estimator"])
    full_sd = float(quality.loc[quality["method"] == "full", "seed_sd"].iloc[0])
    page.say(
        "Strata and anchors do better than most random subsets; items by information "
        "and adaptive tests, which trust one ability most, do worse, and their "
        "intervals cover less than they say.",
        "Each row of anchors is one start of k-means: over six starts the mean "
        "absolute "
        f"error of fifty is {fixed(least(starts, 'anchors-correct'))} to "
        f"{fixed(most(starts, 'anchors-correct'))} by responses and "
        f"{fixed(least(starts, 'anchors-irt'))} to "
        f"{fixed(most(starts, 'anchors-irt'))} "
        f"by item parameters, of random items {fixed(least(starts, 'random'))} to "
        f"{fixed(most(starts, 'random'))} in the mean over draws.",
        f"SD over seeds of fifty anchors is "
        f"{fixed(chosen.loc[('anchors-correct', 'weighted'), 'seed_sd'])}, of all "
        "items "
        f"{fixed(full_sd)}: whoever compares seeds loses more than the mean absolute "
        "error shows.",
    )
    page.heading("Limits")
    page.say(
        "Two to four seeds a model; architectures differ in far more than seeds; the "
        "published networks have one run each.",
        "That numbers such as 38435 (RNNG) are training seeds is what the files say of "
        "all.",
        "One file of the source (`syntaxgym_results_random_.csv`) is missing from the "
        "extract.",
    )
    return page


def discrimination_and_luck(table: pd.DataFrame, fit: IrtFit) -> float:
    """Return how suites' discriminations go with what ties do to them."""
    suite = table.columns.get_level_values("suite")
    kept = suite[[int(item) for item in fit.items.item_ids]]
    slope = pd.Series(fit.items.discrimination).groupby(kept).median()
    grams = table.xs("ngram", level="arch").T.groupby(level="suite").mean()
    return spearman(grams.std(axis=1)[slope.index].to_numpy(), slope.to_numpy())


def evaluated(
    table: pd.DataFrame,
    sizes: Sequence[int],
    methods: Mapping[Any, Sequence[Any]],
    rng: int = 1,
) -> pd.DataFrame:
    """Return how subsets do on models held out, with all their seeds."""
    runs = table.index.to_frame(index=False)
    models = (runs["arch"] + " " + runs["corpus"]).tolist()
    return evaluate_subsets(
        table.to_numpy(),
        sizes,
        models=models,
        train_seeds=pd.factorize(runs["seed"])[0].tolist(),
        steps=[None] * len(runs),
        groups=models,
        methods=methods,
        strata=table.columns.get_level_values("suite").tolist(),
        rng=rng,
    ).to_frame()


def least(frame: pd.DataFrame, method: str) -> float:
    """Return the smallest mean absolute error of a method."""
    return float(frame.loc[frame["method"] == method, "mae"].min())


def most(frame: pd.DataFrame, method: str) -> float:
    """Return the largest mean absolute error of a method."""
    return float(frame.loc[frame["method"] == method, "mae"].max())


def spearman(x: Floats, y: Floats) -> float:
    """Return Spearman's correlation: of y, in the order of x."""
    order = np.argsort(x, kind="stable")
    return float(rank_correlations(y[order][None], method="spearman")[0])


if __name__ == "__main__":
    study().write()
