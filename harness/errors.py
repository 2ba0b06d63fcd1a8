"""Every error this package raises on purpose.

HarnessError
 x InputError (also ValueError)        the caller's data or options; exit 2
   + SuiteError                        a suite file does not say what it must
   + SchemaError                       a table lacks a column, or has a wrong one
   + DesignError                       the data cannot answer the question asked
   + CheckpointError                   a checkpoint is not there or cannot be used
 x RunError (also RuntimeError)        the work failed; exit 5
   + TrialError                        one trial failed; names the trial
   + StoreError                        results/ could not be read or written
"""

from __future__ import annotations

from typing import Literal

ErrorCode = Literal[
    "bad-confidence-level",
    "bad-correlation",
    "bad-count",
    "bad-ddof",
    "bad-guessing",
    "bad-mark",
    "bad-n-independent",
    "bad-n-last",
    "bad-option",
    "bad-power",
    "bad-share",
    "bad-steps",
    "bad-stopping-rule",
    "bad-target",
    "bad-tolerance",
    "changed-since-plan",
    "chat-template-missing",
    "chat-template-unfit",
    "checkpoint-missing",
    "checkpoint-unreadable",
    "device-missing",
    "duplicate-checkpoint",
    "duplicate-response",
    "duplicate-task",
    "extra-missing",
    "facet-not-estimated",
    "file-exists",
    "filter-over-repeats",
    "grid-too-coarse",
    "hub-unreachable",
    "items-differ",
    "key-missing",
    "logprobs-not-finite",
    "metrics-differ",
    "missing-clusters",
    "missing-columns",
    "missing-scores",
    "no-baseline",
    "no-calibration",
    "no-checkpoints",
    "no-figure",
    "no-formulation",
    "no-likelihoods",
    "no-responses",
    "no-timings",
    "not-a-checkpoint",
    "not-a-store",
    "nothing-scored",
    "nothing-stored",
    "output-not-written",
    "other-items",
    "pattern-field",
    "policy-invalid",
    "policy-missing",
    "policy-unreadable",
    "ray-unreachable",
    "resources-missing",
    "responses-not-binary",
    "responses-shape",
    "results-broken",
    "results-contradict",
    "results-missing",
    "results-partial",
    "results-too-large",
    "results-twice",
    "scores-not-bounded",
    "server-failed",
    "server-refused",
    "selection-invalid",
    "selection-missing",
    "selection-unused",
    "store-format",
    "store-missing",
    "store-not-read",
    "store-not-written",
    "subset-size",
    "suite-invalid",
    "suite-missing",
    "suite-unreadable",
    "suite-unrelated",
    "task-group",
    "task-invalid",
    "task-unsupported",
    "tokenizer-missing",
    "tokenizer-unreadable",
    "too-few-items",
    "too-few-replicates",
    "too-few-resamples",
    "too-few-respondents",
    "too-few-tasks",
    "too-many-items",
    "tolerances-missed",
    "trial-raised",
    "unequal-lengths",
    "unfit-method",
    "unknown-facet",
    "unknown-format",
    "unknown-method",
    "unknown-metric",
    "unknown-model",
    "unknown-tag",
    "unknown-task",
    "unsafe-code",
    "weights-missing",
    "weights-not-finite",
    "worker-died",
    "worker-not-started",
    "zoo-failed",
    "zoo-missing",
    "zoo-not-written",
    "zoo-other",
    "zoo-spec",
]
"""All codes; ``docs/reference/errors.md`` has a section for each."""


class HarnessError(Exception):
    """Base of all errors raised on purpose.

    ``code`` is a stable kebab-case word that documents and tests may rely on;
    the message is prose for a person and may change.
    """

    def __init__(self, message: str, *, code: ErrorCode) -> None:
        super().__init__(message)
        self.code: ErrorCode = code

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the code, so that an error survives the way from a worker."""
        return _rebuild, (type(self), str(self), self.code)


def _rebuild(kind: type[HarnessError], message: str, code: ErrorCode) -> HarnessError:
    return kind(message, code=code)


class InputError(HarnessError, ValueError):
    """What the caller gave cannot be used."""


class SuiteError(InputError):
    """A suite file does not say what it must."""


class SchemaError(InputError):
    """A table lacks a column, or has one of the wrong kind."""


class DesignError(InputError):
    """The data are well formed but cannot answer the question asked."""


class CheckpointError(InputError):
    """A checkpoint is not where the suite says, or is not one."""


class RunError(HarnessError, RuntimeError):
    """The work failed."""


class TrialError(RunError):
    """One trial failed; the message names it."""


class StoreError(RunError):
    """A store could not be read or written."""
