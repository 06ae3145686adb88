"""History that training needs, compared with that of a data set: a message before the long stages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from slackwater.durations import duration_text
from slackwater.times import DAY, MINUTE

if TYPE_CHECKING:
    from datetime import datetime

    from slackwater.features.engine import FeatureEngine
    from slackwater.models.parameters import WalkForward

__all__ = ["event_warm_up", "history_sentences"]


def event_warm_up(engine: FeatureEngine) -> timedelta:
    """Return the warm-up of the features that make signal events: the first event comes about then."""
    return next(
        engine.warm_up_of(family)
        for family in engine.families
        if any(feature.role == "trigger" for feature in family.features())
    )


def history_sentences(
    validation: WalkForward, horizon: timedelta, first: datetime, last: datetime, *, engine: FeatureEngine | None = None
) -> Iterator[str]:
    """Yield what history training needs, and what these data give it.

    Parameters
    ----------
    validation, horizon
        Sections `validation` and `labels.horizon` of the parameters.
    first, last
        Times of the first and the last bar.
    engine
        The features, for their warm-up; None leaves it out, and says so.

    Examples
    --------
    >>> from datetime import datetime, timedelta
    >>> from slackwater.models.parameters import WalkForward
    >>> month = datetime(2024, 1, 1), datetime(2024, 2, 1)
    >>> for sentence in history_sentences(WalkForward(), timedelta(days=1), *month):
    ...     print(sentence)  # doctest: +ELLIPSIS
    one test block needs about 241d of history: 180d to the first test block (`validation.min_train`), 60d ...
    the bars span 31d: too short, there will be no test block and training will stop; bring more, or shorten ...
    """
    warm_up = timedelta(0) if engine is None else event_warm_up(engine)
    parts = [] if engine is None else [f"{_text(warm_up)} of warm-up before the first events (`features`)"]
    parts += [
        f"{_text(validation.min_train)} to the first test block (`validation.min_train`)",
        f"{_text(validation.test)} per test block (`validation.test`)",
        f"{_text(horizon)} for the last label (`labels.horizon`)",
    ]
    first_test = warm_up + validation.min_train
    whole = first_test + validation.test + horizon
    later = "all features are known after " + _text(engine.warm_up) if engine else "the warm-up comes on top"
    yield f"one test block needs about {_text(whole)} of history: {', '.join(parts)}; {later}"
    span = last - first
    change = (
        f"bring more, or shorten `validation: {{min_train: {_text(validation.min_train)}, "
        f"test: {_text(validation.test)}}}` in the entry of the data set"
    )
    if span < first_test + horizon:
        yield f"the bars span {_text(span)}: too short, there will be no test block and training will stop; {change}"
    elif span < whole:
        yield f"the bars span {_text(span)}: less than one whole test block; {change}"
    else:
        yield f"the bars span {_text(span)}: about {int((span - first_test - horizon) / validation.test)} test blocks"


def _text(span: timedelta) -> str:
    """Return a duration, in whole days where it is longer than two."""
    unit = DAY if span > 2 * DAY else MINUTE
    return duration_text(round(span / unit) * unit)
