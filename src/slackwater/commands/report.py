"""The command `report`; `slackwater.cli` names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slackwater.errors import MissingDataError, ParameterError

if TYPE_CHECKING:
    from slackwater.report.account.market import SeenMarket

__all__ = ["report"]


def report(
    run: Annotated[
        Path | None,
        typer.Option(help="Directory of a run: a repository in which `dvc repro` has run. By default here."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two runs side by side, named as `slackwater compare` takes them."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="File of a journal: an account, such as of paper trading.")
    ] = None,
    account: Annotated[str, typer.Option(help="Account of the journal, or its first letters.")] = "",
    state: Annotated[Path, typer.Option(help="Directory of that account, for the price chart.")] = Path("paper"),
    bundle: Annotated[Path, typer.Option(help="Directory of its bundle, for the price chart.")] = Path("models/scorer"),
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    tracking_uri: Annotated[str, typer.Option(help="Store of MLflow runs; by default mlflow.db here.")] = "",
) -> None:
    """Write a run, two runs with paired differences, or an account of a journal as one HTML file without a network."""
    given = [
        name for name, value in (("--run", run), ("--compare", compare), ("--journal", journal)) if value is not None
    ]
    if len(given) > 1:
        raise ParameterError(f"{' and '.join(f'`{name}`' for name in given)} are different pages: give one of them")
    if compare is not None:
        said = _of_two(compare, out, tracking_uri)
    elif journal is not None:
        said = _of_account(journal, account, out, state, bundle)
    else:
        said = _of_run(run or Path("."), out)
    for line in (*said, f"written: {out}, {out.stat().st_size / 1e6:.1f} MB"):
        typer.echo(line)


def _of_run(run: Path, out: Path) -> list[str]:
    from slackwater.report.run.write import write_page
    from slackwater.run.parameters import params_of_last_run

    params = params_of_last_run(run)
    write_page(
        run,
        out,
        spec=params.market.spec,
        features=params.features.of_the_library(),
        horizon=params.labels.horizon,
    )
    return []


def _of_two(names: tuple[str, str], out: Path, tracking_uri: str) -> list[str]:
    from slackwater.evidence.resampling import Resampling
    from slackwater.report.compare.write import write_comparison
    from slackwater.study.scored_run import read_scored_run

    first, second = (read_scored_run(name, tracking_uri=tracking_uri) for name in names)
    return [write_comparison(first.side("A"), second.side("B"), out, resampling=Resampling())]


def _of_account(journal: Path, account: str, out: Path, state: Path, bundle: Path) -> list[str]:
    from slackwater.journal.store import reading
    from slackwater.journal.trades import chosen_account
    from slackwater.report.account.write import write_account

    with reading(journal) as held:
        name, synthetic = chosen_account(held, account)
        market, no_chart = _market(name, state, bundle)
        said = write_account(held, out, account=name, synthetic=synthetic, market=market, no_chart=no_chart)
    return [said] if not no_chart else [said, f"no price chart: {no_chart}"]


def _market(account: str, state: Path, bundle: Path) -> tuple[SeenMarket | None, str]:
    """Return what an account of paper trading saw, or why that is not to be had."""
    from slackwater.paper.seen_market import seen_market
    from slackwater.paper.stored_account import account_facts
    from slackwater.scoring.scorer import ReversalScorer

    try:
        facts = account_facts(state)
    except MissingDataError as error:
        return None, f"{error}; give `--state`"
    if facts["account"] != account:
        return None, f"{state} is the directory of the account {facts['account']}; give `--state`"
    if not bundle.is_dir():
        return None, f"there is no bundle in {bundle}; give `--bundle`"
    return seen_market(state, ReversalScorer.load(bundle)), ""
