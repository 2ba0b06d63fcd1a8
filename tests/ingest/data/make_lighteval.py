"""Writes lighteval/ with lighteval's own loggers, as its pipeline would.

Made with lighteval 0.13.0 on Python 3.11: ``python make_lighteval.py FOLDER``. No model
is asked: the answers are written here.
"""

import sys
from types import SimpleNamespace

from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc, SamplingMethod


def choice(place, gold, logprobs):
    doc = Doc(
        query=f"Question: {place} + 1 = ?\nAnswer:",
        choices=[f" {place + 1}", " many"],
        gold_index=gold,
        id=str(place),
        task_name="toy_mc|2",
        sampling_methods=[SamplingMethod.LOGPROBS],
    )
    best = max(range(2), key=logprobs.__getitem__)
    response = ModelResponse(
        input=f"2 + 2 = ? 4\n\n{doc.query}",
        input_tokens=[1, 2, 3],
        logprobs=logprobs,
        argmax_logits_eq_gold=[best == gold, False],
    )
    return doc, response, {"acc": int(best == gold)}


def text(place, gold, words, score):
    doc = Doc(
        query=f"Say {gold}.",
        choices=[gold],
        gold_index=0,
        id=str(place),
        task_name="toy_say|0",
        sampling_methods=[SamplingMethod.GENERATIVE],
        generation_size=8,
    )
    response = ModelResponse(
        input=doc.query, text=[words], text_post_processed=[words.strip()]
    )
    return doc, response, {"em": score, "f1": score / 2}


tracker = EvaluationTracker(output_dir=sys.argv[1], save_details=True)
general = tracker.general_config_logger
general.lighteval_sha, general.model_name = "0123456789abcdef", "acme/toy"
parts = {"revision": "step20", "dtype": "float32", "batch_size": 4}
config = {"model_name": "acme/toy", **parts}
config["generation_parameters"] = {"temperature": 0.0, "seed": 3}
general.model_config = SimpleNamespace(model_dump=lambda: config)
tasks = {
    "toy_mc|2": [choice(1, 0, [-1.0, -2.5]), choice(2, 1, [-0.5, -3.0])],
    "toy_say|0": [text(0, "yes", " yes", 1), text(1, "no", "maybe", 0)],
}
for name, answers in tasks.items():
    for doc, response, metrics in answers:
        tracker.details_logger.log(name, doc, response, metrics)
        tracker.metrics_logger.log(name, metrics)
    values = tracker.metrics_logger.metrics_values[name]
    tracker.metrics_logger.metric_aggregated[name] = {
        metric: sum(some) / len(some) for metric, some in values.items()
    }
    tracker.versions_logger.versions[name] = 1
tracker.metrics_logger.metric_aggregated["all"] = {"acc": 0.5}
tracker.save()
