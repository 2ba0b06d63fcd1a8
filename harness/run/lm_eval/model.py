"""What does a backend need of a model? That it scores texts, and writes some."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from harness.errors import TrialError
    from harness.run.lm_eval.answers import Likelihood

Tokens = tuple[tuple[str, str], list[int], list[int]]
"""Context and continuation, as text and as token ids of each."""


class Refused(Enum):
    """What stands where a server answers others, but will not answer this request."""

    REFUSED = "refused"


REFUSED: Final = Refused.REFUSED


class Model(Protocol):
    """A model in memory, or one behind a server."""

    gives_likelihoods: bool
    """Whether `encode` and `score` can be called."""

    failure: TrialError | None
    """Why some answers of the trial are ``None``; only a server fails in part."""

    forward_seconds: float
    """Time in the model's own forward and generation since the trial began; with a
    server, until it had answered."""

    @property
    def device_name(self) -> str:
        """The GPU's product name, ``cpu``, or ``server``."""

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval tells its own caches apart by."""

    def begin(self, trial_id: str) -> None:
        """Take what is asked from now on as this trial's."""

    def provenance(self) -> dict[str, str]:
        """Return what a server said of itself since the trial began."""

    def apply_chat_template(
        self, messages: list[dict[str, str]], **options: Any
    ) -> Any:
        """Put messages into the form in which the model takes them."""

    def encode(self, instances: Sequence[Instance]) -> list[Tokens]:
        """Return the token ids that lm-eval would score, by its own encoding."""

    def score(self, tokens: Sequence[Tokens]) -> Sequence[Likelihood | Refused | None]:
        """Return log-likelihood and greediness of each continuation."""

    def write(
        self,
        instances: Sequence[Instance],
        names: Sequence[Sequence[str]],
        *,
        sampled: bool,
    ) -> Sequence[Sequence[str | Refused | None]]:
        """Return several texts for each instance, each drawn by its own name."""

    def cuts(self, instance: Instance, tokens: Sequence[Tokens]) -> bool:
        """Say whether an item's prompt loses its beginning."""
