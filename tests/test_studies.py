"""The studies say what public results say: pages made anew, and facts by name."""

import importlib
import importlib.util
import re
import sys

import numpy as np
import pytest
from blocks import ROOT

STUDIES = ROOT / "docs" / "studies"
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d\d)?")
LEARNT = ("lambada_openai", "arc_easy", "piqa")


def load(name):
    """Import a study as its script does: from its own folder, behind all others."""
    if str(STUDIES) not in sys.path:
        sys.path.append(str(STUDIES))
    return importlib.import_module(name)


def study(name):
    """Return the module of a study whose data are here."""
    module = load(name)
    folder = getattr(module, "FOLDER", None)
    if folder is not None and not (load("page").DATA / folder).is_dir():
        pytest.skip("the extracts of public results are not here")
    return module


def numbers(text):
    """Return the numbers of a page, and the unit of their last digit."""
    found = []
    for word in NUMBER.findall(text.replace("\N{MINUS SIGN}", "-")):
        mantissa, _, exponent = word.replace(",", "").partition("e")
        decimals = len(mantissa.partition(".")[2])
        unit = 10.0 ** (int(exponent or 0) - decimals)
        found.append((float(word.replace(",", "")), unit))
    return np.array(found)


def words(text):
    """Return the page without its numbers; the sign of one that is 0 may turn."""
    text = re.sub(r"[+\N{MINUS SIGN}-]?" + NUMBER.pattern.removeprefix("-?"), "#", text)
    return text.splitlines()


@pytest.mark.parametrize(
    "name",
    [
        "pythia",
        "bigscience",
        pytest.param("syntaxgym", marks=pytest.mark.slow),
        "evalperf",
        "lsat",
        "formulation",
        pytest.param("templates", marks=pytest.mark.slow),
        pytest.param("filter", marks=pytest.mark.slow),
    ],
)
def test_a_study_made_anew_is_the_committed_page(name):
    made = study(name).study().text
    committed = (STUDIES / f"{name}.md").read_text(encoding="utf-8")

    assert words(made) == words(committed)
    (ours, units), (theirs, _) = numbers(made).T, numbers(committed).T
    apart = np.abs(ours - theirs)
    assert (apart <= np.maximum(5e-3 * np.abs(theirs), 1.5 * units)).all()


@pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib"
)
def test_a_page_is_written_with_its_figures_the_same_each_time(tmp_path):
    page = study("formulation").study()
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        path = page.write(folder)
        assert path.read_text(encoding="utf-8") == page.text

    (figure,) = first.glob("*.svg")
    assert f"]({figure.name})" in page.text
    assert figure.read_bytes() == (second / figure.name).read_bytes()


def test_every_figure_of_a_page_is_there_and_described():
    pages = [p for p in STUDIES.glob("*.md") if (STUDIES / f"{p.stem}.py").exists()]
    figures = [
        match
        for p in pages
        for match in re.findall(r"!\[(.*)\]\((.*)\)", p.read_text())
    ]

    assert len(figures) >= 6
    assert all((STUDIES / name).exists() for _, name in figures)
    assert all(len(alt) > 40 for alt, _ in figures)


@pytest.fixture(scope="module")
def pythia():
    return study("pythia")


@pytest.fixture(scope="module")
def scores(pythia):
    return pythia.read()


def test_pythia_of_1b_and_up_is_close_to_monotone_once_it_learns(pythia, scores):
    low, high = pythia.rho_of_learnt(pythia.curves(scores), 1_000)

    assert low > 0.92
    assert high > 0.99


def test_pythia_of_70m_unlearns_lambada(pythia, scores):
    smallest = pythia.curves(scores)["lambada_openai"].loc[False].iloc[0]

    assert smallest[43_000] == pytest.approx(0.228, abs=5e-4)
    assert smallest[143_000] == pytest.approx(0.185, abs=5e-4)


def test_pythia_s_wsc_is_one_answer_to_everything(pythia, scores):
    """38 of 104 items have one answer, 66 the other."""
    late = pythia.curves(scores)["wsc"].loc[False].iloc[:, -5:].to_numpy()

    assert np.isclose(late, 38 / 104).sum() == 18
    assert np.isclose(late, 66 / 104).sum() == 3


def test_pythia_evaluated_twice_differs(pythia, scores):
    pairs = pythia.twice(scores)

    assert len(pairs) == 133
    assert (pairs["gap"] != 0).sum() == 105
    assert pairs["gap"].abs().max() == pytest.approx(0.052, abs=5e-4)
    assert abs(pairs["n_answers"][pairs["gap"].abs().idxmax()]) == pytest.approx(7)


def test_pythia_s_files_have_the_known_traps(scores):
    says_0 = (scores["num_fewshot"] == 5) & (scores["num_fewshot_in_config"] == 0)
    keys = ["suite", "model", "num_fewshot", "variant", "run_note", "step", "task"]
    copies = scores[scores.duplicated([*keys, "metric"], keep=False)]

    assert scores.loc[says_0, "path"].nunique() == 90
    assert len(copies) == 902
    assert copies.groupby([*keys, "metric"])["value"].nunique().max() == 1


def test_items_follow_from_accuracy_and_standard_error(scores):
    part = scores[(scores["metric"] == "acc") & (scores["stderr"] > 0)]
    n = part["value"] * (1 - part["value"]) / part["stderr"] ** 2 + 1

    assert n.to_numpy() == pytest.approx(part["n_items"].to_numpy(), abs=1e-6)
    assert (part.groupby("task")["n_items"].nunique() == 1).all()


def test_pythia_2_8b_of_both_corpora_is_one_run_at_first(pythia, scores):
    same = pythia.equal_scores(pythia.curves(scores))

    assert (same.loc[2.8e9, :1_000] == 1).all()
    assert same.loc[2.8e9, 43_000] > 0.6
    assert same[1_000].drop(2.8e9).max() < 0.15


def test_bigscience_has_runs_that_learn_some_tasks_and_not_others():
    module = study("bigscience")
    tables = module.read()
    tau = {task: module.monotonicity(t.to_numpy()).value for task, t in tables.items()}
    n = tables["piqa"].notna().sum(axis=1)

    assert len(tables) == 28
    assert (len(n), n.min(), n.max()) == (5, 34, 66)
    assert tau["hellaswag"] > 0.9
    assert all(abs(tau[task]) < 0.1 for task in ("wic", "wsc", "wnli"))


def test_bigscience_has_single_checkpoints_that_fall_on_all_tasks():
    module = study("bigscience")
    tables = module.read()
    tasks = ["hellaswag", "lambada", "arc_easy", "piqa", "sciq"]

    found = module.fallen(tables, tasks)
    assert ("tr3d-1B3-oscar", 42_000) in found
    assert ("tr12b-1B3-oscar-en-filtered-dedup", 27_000) in found
    assert len(found) <= 5


def test_syntaxgym_s_seeds_lie_as_far_apart_as_is_known():
    module = study("syntaxgym")
    table = module.read()
    found = module.splits(table)
    sds = [
        module.last_seed_sd(rows.mean(axis=1).to_numpy()).value
        for (arch, _), (rows, _, _) in found.items()
        if arch != "ngram"
    ]

    assert table.shape == (254, 842)
    assert module.is_neural(table).sum() == 42
    assert not table.isna().to_numpy().any()
    assert min(sds) == pytest.approx(0.002, abs=5e-4)
    assert max(sds) == pytest.approx(0.057, abs=5e-4)


def test_ties_that_decide_whole_suites_pass_for_training_only_by_items():
    module = study("syntaxgym")
    for (arch, _), (_, items, suites) in module.splits(module.read()).items():
        if arch == "ngram":
            assert items.seed_share.interval.low > 0.9
            assert suites.seed_share.interval.low < 0 < suites.seed_share.interval.high
            assert suites.seed_share.value < 0.1


def test_evalperf_s_design_predicts_its_own_standard_error():
    module = study("evalperf")
    answers, items = module.read()

    assert (len(answers), len(items)) == (34, 118)
    for table in answers.values():
        parts = module.repeat_components(table)
        n, k = table.shape
        predicted = module.predicted_se(parts, n_items=n, n_repeats=k)
        assert predicted == pytest.approx(table.mean(1).std(ddof=1) / np.sqrt(n))


def test_lsat_is_as_published():
    module = study("lsat")
    for (name, model), (known, _) in module.LIKELIHOODS.items():
        fit = module.fit_irt(module.read(name), model=model)
        assert fit.log_likelihood == pytest.approx(known, abs=1e-3)
        if model == "2pl":
            table = module.LTM_LSAT6 if name == "LSAT6" else module.MIRT_LSAT7
            for part, values in table.items():
                assert module.of_fit(fit)[part] == pytest.approx(values, abs=5e-3)


def test_by_letter_the_zoo_stays_at_chance_and_by_text_it_learns():
    module = study("formulation")
    assert len(module.pairs()) == 4
    for choice, cloze in module.pairs():
        found = module.compared(choice, cloze)
        low, high = found.choice.mean.interval
        assert low <= 0.25 <= high
        assert found.cloze.mean.interval.low > 0.25
        assert found.difference.interval.high < 0
        assert (
            abs(found.choice.monotonicity.value) < 0.2 < found.cloze.monotonicity.value
        )
        assert found.cloze.seed_sd.value > found.choice.seed_sd.value
        assert np.isnan(found.crossing.value)


@pytest.fixture(scope="module")
def paraphrased():
    module = study("templates")
    frame = module.read()
    return module, frame, module.cells(frame)


def test_paraphrases_spread_as_far_as_is_known(paraphrased):
    _, _, found = paraphrased
    sds = [cell.means.std(ddof=1) for cell in found]
    ranges = [cell.spread.spread.value for cell in found]

    assert len(found) == 325
    assert np.mean(sds) == pytest.approx(0.10, abs=5e-3)
    assert np.mean(ranges) == pytest.approx(0.45, abs=5e-3)


def test_accuracies_come_in_the_steps_of_their_answers(paraphrased):
    module, frame, _ = paraphrased
    for task, part in frame.groupby("task"):
        steps = part["acc"] * module.n_answers(task)
        assert np.abs(steps - steps.round()).max() < 1e-9


def test_paraphrases_that_hardly_differ_have_no_corrected_sd(paraphrased):
    _, _, found = paraphrased
    undefined = [cell for cell in found if np.isnan(cell.spread.corrected_sd.value)]
    others = [cell for cell in found if not np.isnan(cell.spread.corrected_sd.value)]

    assert len(undefined) == 68
    assert max(cell.means.std() for cell in undefined) < 0.05
    assert all(
        cell.spread.corrected_spread.value < cell.spread.spread.value for cell in others
    )


def test_paraphrases_turn_the_order_of_models_beyond_chance(paraphrased):
    module, frame, _ = paraphrased
    orders = module.orders(frame).values()
    seen = np.array([o.reversal.value for o in orders])
    chance = np.array([o.reversal_by_chance for o in orders])

    assert len(seen) == 25
    assert (seen < chance).sum() == 3
    assert seen.mean() > 1.5 * chance.mean()


def test_simulated_answers_keep_the_published_accuracies(paraphrased):
    module, _, _ = paraphrased
    means = np.linspace(0.02, 0.98, 20)
    scores = module.grid(means, 4_000, np.random.default_rng(1))

    assert scores.mean(1) == pytest.approx(means, abs=0.03)


@pytest.mark.parametrize("mode", ["p1", "unbiased"])
@pytest.mark.parametrize("size", [2, 4])
def test_the_filter_that_is_tried_is_the_one_there_is(mode, size):
    module = study("filter")
    rng = np.random.default_rng(size)
    rewards = 1.0 * (rng.random((16, 12, 6)) < rng.random((16, 12, 1)))
    found = module.select_discriminative(rewards, size, mode=mode, rng=0)

    chosen = module.filtered(rewards.sum(-1), 6, size, mode)
    assert chosen.columns.tolist() == found.user_prompts.tolist()


def test_worlds_have_the_variances_that_are_said():
    module = study("filter")
    rng = np.random.default_rng(1)
    for world in module.WORLDS:
        users = module.user_prompts(world, rng, 4)
        p = module.chances(rng.standard_normal(100), users, rng)
        found = module.prompt_components(
            1.0 * (rng.random((*p.shape, 4)) < p[..., None])
        )
        said = module.truth(world)
        for name in ("system", "user", "interaction", "response"):
            low, high = getattr(found, name).interval
            slack = (high - low) / 4
            assert low - slack < getattr(said, name) < high + slack


def test_p1_wins_where_few_agree_and_follows_odd_ones_the_more_it_sees():
    module = study("filter")
    world = {world.name: world for world in module.WORLDS}

    def less(name, budget):
        return module.simulated(world[name], budget, n_draws=60).less("p1")

    assert less("few, agreeing", 2)[2] < 0
    assert less("alike", 2)[1] > 0
    assert less("mixed", 8)[1] > 0
    assert less("odd ones", 2)[2] < less("odd ones", 32)[1]


def test_regret_is_what_two_correlations_say():
    module = study("filter")
    for world in (module.WORLDS[1], module.WORLDS[2]):
        found = module.simulated(world, 2, n_draws=60)
        for name in ("full", "random", "p1"):
            guide = found.guides[name]
            said = 1 - guide.noise * guide.transfer
            assert found.mean(name) == pytest.approx(said, abs=0.12)


def test_budgets_are_equal():
    module = study("filter")
    rng = np.random.default_rng(1)
    asked = []

    class Counting:
        """Counts the answers that are drawn."""

        def __getattr__(self, name):
            return getattr(rng, name)

        def binomial(self, n, p):
            asked.append(np.broadcast_to(n, p.shape).sum())
            return rng.binomial(n, p)

    p = np.full((16, 32), 0.5)
    p[:, :9] = 0
    module.draw(p, p, p, 8, Counting())
    full, random, seen, p1, undecided, unbiased, fewer, quarter, *_ = asked
    before, reused, _, free = asked[-4:]

    total = 16 * 32 * 8
    assert full == random == seen + p1 == seen + unbiased == before + reused == total
    assert fewer + quarter == free == seen + undecided == total


def test_smollm2_s_rewards_are_those_of_the_suite():
    from harness.suite import load_suite

    rewards = study("filter").read_rewards()
    templates = load_suite(ROOT / "suites" / "smollm2-prompts.yaml").templates

    assert rewards.scores.shape == (16, 40, 8)
    assert set(rewards.system) == {template.name for template in templates}
    assert set(np.unique(rewards.scores)) == {0, 1}


def test_rewards_as_truth_differ_by_what_is_no_chance():
    module = study("filter")
    scores = module.read_rewards().scores
    found = module.prompt_variance(scores)
    truth = module.as_truth(scores)

    assert truth.var(0) == pytest.approx(np.maximum(found.per_prompt, 0))
    assert truth.mean(0) == pytest.approx(scores.mean((0, 2)))
    assert truth.min() >= 0
    assert truth.max() <= 1


def test_answers_without_chance_leave_no_regret_to_whom_all_are_asked():
    module = study("filter")
    rng = np.random.default_rng(1)
    scores = np.repeat(1.0 * (rng.random((16, 20, 1)) < 0.5), 8, axis=2)
    system, items = np.arange(16), np.arange(20)
    for _ in range(5):
        turn = module.Turn.drawn(scores, rng)
        gains = module.split(scores, turn, system, items)
        most = max(gains, key=lambda name: gains[name][0])
        assert gains["all"][0] == gains[most][0] > 0


def test_what_judges_had_no_part_in_choosing():
    """Answers that judge are turned round; every choice stays, and is the worse."""
    module = study("filter")
    rng = np.random.default_rng(1)
    scores = 1.0 * (rng.random((16, 20, 8)) < rng.random((16, 1, 1)))
    system, items = np.arange(16), np.arange(20)
    turn = module.Turn.drawn(scores, rng)
    ranks = turn.answers.argsort(-1)
    asked = turn.items.argsort()[:16]
    judging = np.zeros(scores.shape, dtype=bool)
    judging[np.ix_(turn.system.argsort()[8:], asked)] = True
    judging &= ranks >= 4
    turned = np.where(judging, 1 - scores, scores)

    before, after = (
        module.split(table, turn, system, items) for table in (scores, turned)
    )
    for name in before.keys() - {"best"}:
        assert after[name][0] == pytest.approx(-before[name][0])
        assert after[name][1] == before[name][1]


@pytest.mark.slow
def test_intervals_of_splits_are_not_too_narrow():
    """Tables of one world: how far estimates lie apart, and what they say of it."""
    module = study("filter")
    pairs = [("p1", "full"), ("p1", "random"), ("paid p1", "paid full")]
    found = []
    for number in range(16):
        rng = np.random.default_rng([3, number])
        users = module.user_prompts(module.WORLDS[0], rng)
        p = module.chances(rng.standard_normal(16), users, rng)
        scores = 1.0 * (rng.random((*p.shape, 8)) < p[..., None])
        splits = module.held_out(scores, 20)
        found.append([splits.more(*pair) for pair in pairs])
    value, low, high = np.moveaxis(np.array(found), -1, 0)
    spread = value.std(0, ddof=1)
    said = np.sqrt((((high - low) / 2 / 2.262) ** 2).mean(0))

    assert (said > spread).all()
    assert (said < 4 * spread).all()
    assert ((low < value.mean(0)) & (value.mean(0) < high)).mean() > 0.9
