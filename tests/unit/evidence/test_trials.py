"""Counting trials: every one that was made counts, and only comparable returns stand beside each other."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, SchemaError
from slackwater.evidence.trial_ledger import append_trial, mend_torn_line, read_trials
from slackwater.evidence.trials import compact_returns, configuration_digest, count_trials, daily_series, same_returns


def trades(net_r: list[float], start: str = "2024-01-01T05:00Z") -> pd.DataFrame:
    times = pd.date_range(start, periods=len(net_r), freq="36h").as_unit("us")
    return pd.DataFrame({"entry_time": times, "net_r": np.array(net_r, dtype=np.float64)})


def line(number: int, net_r: list[float] | None = None, **changes: object) -> dict:
    row = {"study": "s", "dataset": "mine", "data_sha256": "d", "params_sha256": f"p{number}", "number": number}
    row |= {"trial": {"model.num_leaves": number}, "state": "complete", "reason": ""}
    return row | ({} if net_r is None else {"returns": compact_returns(trades(net_r))}) | changes


def count(rows: list[dict], run: list[float]):
    return count_trials(rows, trades(run), dataset="mine", data_sha256="d", params_sha256="p2")


def test_returns_come_back_as_they_were_written() -> None:
    sample = trades([0.1, -0.2, 1.234567])
    written = json.loads(json.dumps(compact_returns(sample)))
    days = daily_series(written)
    assert list(days.index) == [pd.Timestamp(day, tz="UTC") for day in ("2024-01-01", "2024-01-02", "2024-01-04")]
    assert np.allclose(days, [0.1, -0.2, 1.234567], atol=5e-6)
    assert same_returns(written, compact_returns(sample))
    assert not same_returns(written, compact_returns(trades([0.1, -0.2, 1.23])))
    assert not same_returns(written, compact_returns(trades([0.1, -0.2, 1.234567], "2024-01-02T05:00Z")))
    assert daily_series(compact_returns(trades([]))).empty


def test_an_empty_ledger_is_said_and_one_trial_needs_no_deflation() -> None:
    found = count([], [0.1, 0.2])
    assert (found.count, found.returns) == (1, None)
    assert found.sentences == ("trials.jsonl records no other trial of mine: this run is the only one on record",)


def test_a_trial_that_failed_before_its_events_were_known_counts_once() -> None:
    """Caught: a queued run that failed and does not count, or that counts again after it was mended."""

    def failed(number: int) -> dict:
        row = line(number, study="dvc queue", state="failed", reason="label: DataError")
        del row["data_sha256"]
        return row

    found = count([line(1, [0.1, -0.3]), failed(7)], [0.3, 0.3])
    assert found.count == 3
    assert found.sentences == (
        "other recorded trials of mine: 2 count, 1 of them with their returns",
        "without returns: 1 failed",
    )
    assert count([line(1, [0.1, -0.3]), failed(1)], [0.3, 0.3]).count == 2  # mended, and queued again
    assert count([failed(2)], [0.3, 0.3]).count == 1  # these are the parameters of the run itself


def test_every_trial_counts_and_returns_of_other_data_are_not_mixed() -> None:
    """Caught: a failed trial, or one on other labels, that is left out of the count, or returns that do not belong."""
    rows = [
        line(1, [0.1, -0.3]),
        line(2, state="failed", reason="DataError"),
        line(3, [0.5, 0.5], data_sha256="elsewhere"),
        line(4, [0.9, 0.9], dataset="another", data_sha256="other"),
        line(5, state="pruned", params_sha256="p1"),
        {"dataset": "mine", "study": "older", "trial": {"kind": "lightgbm"}, "data_sha256": "d", "params_sha256": "x"},
    ]
    found = count(rows, [0.2, 0.2])
    assert found.count == 5  # the run, 1, 2, 3 and the older one; 5 repeats 1
    assert found.returns is not None
    assert found.returns.shape[1] == 2
    assert np.allclose(found.returns, [[0.2, 0.1], [0.2, -0.3]])
    said = "; ".join(found.sentences)
    assert "other recorded trials of mine: 4 count, 1 of them with their returns" in said
    assert "1 of these were measured on other events or labels" in said
    assert "trials of other data sets are not counted: 1 of another" in said
    assert "without returns: 1 complete, 1 failed" in said


def test_the_run_itself_counts_once() -> None:
    """Caught: a run at the parameters of a recorded trial that is deflated by its own copy."""
    found = count([line(1, [0.1, -0.3]), line(2, [0.2, 0.2000001])], [0.2, 0.2])
    assert found.count == 2
    assert found.returns is not None
    assert found.returns.shape[1] == 2
    assert "this run is trial 2 of the study s" in found.sentences


def test_the_same_configuration_with_other_results_is_another_trial() -> None:
    """Caught: variants of the code that are recorded under equal parameters and count as one."""
    rows = [line(1, [0.1 * (number + 1), -0.3]) for number in range(20)]
    found = count([*rows, line(1, state="pruned"), line(1, [0.1, -0.3])], [0.2, 0.2])
    assert found.count == 21
    assert found.returns is not None
    assert found.returns.shape[1] == 21


def test_trials_on_the_same_data_count_whatever_the_data_set_is_called() -> None:
    """Caught: a search that is forgotten because an entry of params.yaml was renamed."""
    found = count([line(number, [0.1 * number, 0.3], dataset="old name") for number in range(1, 6)], [0.2, 0.2])
    assert found.count == 6
    assert not any("not counted" in sentence for sentence in found.sentences)


def test_a_run_without_trades_is_not_any_trial_without_trades() -> None:
    """Caught: one trial too few, and a run that is called by the name of another configuration."""
    assert count([line(1, [])], []).count == 2
    found = count([line(1, []), line(2, [])], [])
    assert found.count == 2
    assert "this run is trial 2 of the study s" in found.sentences


def test_days_are_joined_in_order_of_time() -> None:
    earlier = compact_returns(trades([1.0, 1.0], "2023-12-01T00:00Z"))
    found = count([line(1, returns=earlier)], [0.2, 0.2])
    assert found.returns is not None
    assert found.returns.index.is_monotonic_increasing
    assert found.returns.isna().to_numpy().sum() == 4


def test_the_digest_of_a_configuration_leaves_out_what_no_trial_depends_on() -> None:
    one = {"model": {"kind": "mean"}, "evaluation": {"draws": 100}, "tracking": {"experiment": "a"}}
    assert configuration_digest(one) == configuration_digest(one | {"tracking": {}, "evaluation": {}})
    assert configuration_digest(one) != configuration_digest(one | {"model": {"kind": "logistic"}})


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        ('{"dataset": "mine"', r"line 2 is damaged and not a trial"),
        ("[1]", r"line 2 must be a mapping, was a list"),
        ('{"returns": {"start": "2024-01-01"}}', r"line 2: `returns` must hold the day `start`"),
        ('{"returns": {"start": "never", "net_r": [1.0]}}', r"line 2: `returns` must hold the day `start`"),
        ('{"returns": {"start": "2024-01-01", "net_r": ["much"]}}', r"line 2: `returns` must hold"),
    ],
)
def test_a_damaged_line_is_named_with_its_number(tmp_path: Path, damaged: str, said: str) -> None:
    ledger = tmp_path / "trials.jsonl"
    ledger.write_text(f'{{"dataset": "mine"}}\n{damaged}\n{{"dataset": "mine"}}\n')
    with pytest.raises(SchemaError, match=said):
        read_trials(ledger)
    with pytest.raises(MissingDataError, match="there is no file"):
        read_trials(tmp_path / "nowhere")


def test_a_torn_last_line_is_mended_and_named_at_every_byte(tmp_path: Path) -> None:
    """Caught: the rest of a killed write that becomes the beginning of the next trial, or a whole one that is lost."""
    ledger, whole = tmp_path / "trials.jsonl", [line(1, [0.1]), line(2, [0.2])]
    for row in whole:
        assert append_trial(row, ledger) == ""
    content = ledger.read_bytes()
    first = content.index(b"\n") + 1
    for cut in range(first + 1, len(content)):
        ledger.write_bytes(content[:cut])
        said = append_trial(line(3, [0.3]), ledger)
        kept = [row["number"] for row in read_trials(ledger)]
        if cut == len(content) - 1:
            assert kept == [1, 2, 3]
            assert "line 2: the last trial of a killed process lacked its end, which was added" in said
        else:
            assert kept == [1, 3]
            assert f"line 2: the last trial of a killed process was torn ({cut - first} bytes)" in said
    assert mend_torn_line(ledger) == ""
    assert mend_torn_line(tmp_path / "nowhere") == ""


def _append_many(path: Path, writer: int) -> None:
    for number in range(50):
        append_trial(line(number, [0.1] * 400, study=str(writer)), path)


def test_lines_of_writers_at_the_same_time_stay_whole(tmp_path: Path) -> None:
    ledger = tmp_path / "trials.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(ledger, writer)) for writer in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = read_trials(ledger)
    assert sorted((row["study"], row["number"]) for row in rows) == [(str(w), n) for w in range(2) for n in range(50)]
