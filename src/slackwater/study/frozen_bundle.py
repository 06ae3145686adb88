"""A bundle to test as it is, with the parameters of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from slackwater.config import Params
from slackwater.errors import BundleError
from slackwater.scoring.scorer import ReversalScorer

__all__ = ["FrozenBundle"]


@dataclass(frozen=True, kw_only=True)
class FrozenBundle:
    """A loaded bundle, with the parameters of its run and the facts of its training.

    Parameters
    ----------
    scorer
        Its models.
    params
        Parameters of its run.
    until, embargo
        When the last label of its training was known (UTC), and how long after it no event is tested.
    base_rates
        Share of ones in the training rows, by name of the target.
    """

    scorer: ReversalScorer
    params: Params
    until: pd.Timestamp
    embargo: timedelta
    base_rates: Mapping[str, float]

    @classmethod
    def load(cls, directory: str | Path) -> FrozenBundle:
        """Load a bundle.

        Raises
        ------
        BundleError
            If it is damaged, or does not contain the end of its training and the parameters of its run.
        """
        scorer = ReversalScorer.load(directory)
        manifest = scorer.manifest
        training = manifest.get("training")
        if training is None or not manifest.get("params"):
            raise BundleError(
                f"{directory} does not contain when its training ended and the parameters of its run: export it again "
                "with `dvc repro`"
            )
        try:
            params = Params.model_validate(_with_lists(manifest["params"]))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise BundleError(f"{directory}: the parameters of its run: `{key}`: {first['msg']}") from error
        until = pd.Timestamp(training["until"])
        rates = training["base_rates"]
        return cls(scorer=scorer, params=params, until=until, embargo=training["embargo"], base_rates=rates)


def _with_lists(content: Any) -> Any:
    """Return parameters with the lists that reading the manifest made tuples."""
    if isinstance(content, dict):
        return {key: _with_lists(value) for key, value in content.items()}
    return [_with_lists(value) for value in content] if isinstance(content, tuple) else content
