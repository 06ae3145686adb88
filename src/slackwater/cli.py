"""Command line of slackwater."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slackwater import __version__
from slackwater.commands import bundle, study
from slackwater.commands import watch as watching
from slackwater.commands.alerts import alerts
from slackwater.commands.by_task import DATA, LIVE, MARKET, RUNS, ByTask
from slackwater.commands.journal import journal
from slackwater.commands.promote import promote
from slackwater.commands.report import report
from slackwater.commands.venue import venue
from slackwater.errors import ParameterError, SlackwaterError, missing_extra
from slackwater.interrupts import interrupt_between_compilations
from slackwater.market.venues import EXCHANGES

if TYPE_CHECKING:
    import pandas as pd

    from slackwater.config import Params

# Markup would swallow the brackets of `slackwater[exchange]`.
app = typer.Typer(cls=ByTask, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

ParamsPath = Annotated[Path, typer.Option(help="File of parameters.")]
Symbols = Annotated[str, typer.Option(help="Comma-separated symbols, such as BTCUSDT,ETHUSDT.")]
VenueName = Annotated[str, typer.Option(help=f"One of {', '.join(EXCHANGES)}.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Predict reversals after liquidation cascades, and gate trades."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


app.command(rich_help_panel=RUNS)(bundle.inspect)
app.command(rich_help_panel=RUNS)(bundle.score)
app.command(rich_help_panel=RUNS)(bundle.drift)
app.command(rich_help_panel=RUNS)(bundle.compare)
app.command(rich_help_panel=RUNS)(report)


@app.command(rich_help_panel=MARKET)
def features(
    bar_minutes: Annotated[int, typer.Option(min=1, max=1440, help="Bar interval, in minutes.")] = 5,
) -> None:
    """Print the catalogue of features with default windows, as Markdown."""
    from slackwater.features.chosen_families import default_families
    from slackwater.report.features_page import features_page

    typer.echo(features_page(default_families(timedelta(minutes=bar_minutes))), nl=False)


@app.command(rich_help_panel=DATA)
def tables() -> None:
    """Print the reference of canonical tables and columns, as Markdown."""
    from slackwater.market.tables import TABLES
    from slackwater.report.tables_page import tables_page

    typer.echo(tables_page(TABLES), nl=False)


@app.command("check-features", rich_help_panel=MARKET)
def check_features(
    families: Annotated[list[str], typer.Argument(help="Families of your own, such as my_package.my_module:MyFamily.")],
    data: Annotated[Path | None, typer.Option(help="Canonical tables; by default a SYNTHETIC market.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, or FAMILY.NAME=VALUE; repeatable.")
    ] = None,
    bar_minutes: Annotated[int, typer.Option(min=1, max=1440, help="Bar interval, in minutes.")] = 5,
    decision_lag: Annotated[str, typer.Option(help="Time from the close of a bar to its decision.")] = "5s",
    cuts: Annotated[int, typer.Option(min=1, help="Decisions at which history is cut.")] = 30,
) -> None:
    """Check feature families for look-ahead and the rest of the contract; status 1 if one breaks it.

    The contract: live equals history to the last bit, later data changes nothing, values are known after the declared
    warm-up, mirrored prices give mirrored features, the unit of the price does not matter, a restart changes nothing,
    absent tables stay unknown, nothing is infinite. Then look-aheads are planted into the family, to show that the
    checks would have seen them. What could not be examined, for want of data, counts as not kept. Of several families,
    one that needs another stands after it.
    """
    from slackwater.config.family_settings import settings_of_texts
    from slackwater.features.chosen_families import families_needed, with_needs
    from slackwater.features.engine import FeatureEngine
    from slackwater.features.extra import load_class
    from slackwater.features.mutants import check_family
    from slackwater.market.inputs import INPUT_TABLES
    from slackwater.report.family_report import family_report
    from slackwater.simulation.feature_check_market import feature_check_market
    from slackwater.storage import read_tables

    lag = _duration(decision_lag, "--decision-lag")
    kinds = [load_class(family) for family in families]
    interval = timedelta(minutes=bar_minutes)
    made = families_needed(kinds, interval, settings_of_texts(kinds, settings or []))
    FeatureEngine(made)  # refuses what collides
    tables = feature_check_market(made, interval) if data is None else read_tables(data, INPUT_TABLES)
    passed = True
    for kind, name in zip(kinds, families, strict=True):
        report = check_family(with_needs(made, [kind.name]), tables, decision_lag=lag, cuts=cuts, tell=_tell)
        typer.echo(family_report(report, family=name, synthetic=data is None))
        passed = passed and report.passed
    if not passed:
        raise typer.Exit(1)


@app.command(rich_help_panel=MARKET)
def zones(
    symbol: Annotated[str, typer.Option(help="Symbol, such as BTCUSDT.")],
    at: Annotated[str, typer.Option(help="Time, UTC, such as 2024-06-01T12:00Z; by default the last bar.")] = "",
    tables: Annotated[Path, typer.Option(help="Directory of canonical tables.")] = Path("data/tables"),
    layer: Annotated[str, typer.Option(help="Layer to list and draw: fast, middle, slow, stops, or all.")] = "all",
    days: Annotated[float, typer.Option(min=0.1, help="Span of the figure, in days.")] = 7.0,
    plot: Annotated[Path | None, typer.Option(help="PNG file to write.")] = None,
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """List the pools of the liquidation map above and below the price, and draw the map."""
    from slackwater.config import load_params
    from slackwater.evidence.map_history import map_of_tables
    from slackwater.liquidity.density import LAYERS
    from slackwater.report.map_figure import write_map_figure
    from slackwater.report.pools_table import print_pools
    from slackwater.times import parse_time

    if layer not in (*LAYERS, "all"):
        raise ParameterError(f"`--layer` must be one of {', '.join(LAYERS)} or all, was {layer!r}")
    effective = load_params(params)
    history = map_of_tables(
        tables,
        symbol,
        spec=effective.market.spec,
        features=effective.features.of_the_library(),
        at=parse_time(at, "--at") if at else None,
        span=timedelta(days=days),
    )
    listed = LAYERS if layer == "all" else (layer,)
    print_pools(history, history.pools(layers=listed), synthetic=effective.dataset.synthetic)
    if plot is not None:
        drawn = "middle" if layer == "all" else layer
        write_map_figure(
            history,
            plot,
            layer=drawn,
            synthetic=effective.dataset.synthetic,
            dataset=effective.dataset.name,
        )
        typer.echo(f"written: {plot}, layer {history.layers[LAYERS.index(drawn)]}")


@app.command(rich_help_panel=DATA)
def fetch(
    symbols: Symbols,
    start: Annotated[str, typer.Option("--from", help="Start, UTC, such as 2024-01-01.")],
    end: Annotated[str, typer.Option("--to", help="End, UTC.")],
    out: Annotated[Path, typer.Option(help="New directory of tables, or one of an earlier fetch.")],
    venue: VenueName = "binance",
    tables: Annotated[str, typer.Option(help="Comma-separated; by default all but large_trades.")] = "",
    interval: Annotated[str, typer.Option(help="Bar interval: 1m, 5m, 15m or 1h.")] = "1m",
    source: Annotated[str, typer.Option(help="archive or exchange; by default the archive where there is one.")] = "",
    mirror: Annotated[str, typer.Option(help="Root URL of a copy of the archive or the exchange.")] = "",
    cache: Annotated[Path | None, typer.Option(help="Directory of downloads; by default .cache beside --out.")] = None,
    delay: Annotated[float, typer.Option(min=0.0, help="Least time between two requests, in seconds.")] = 0.02,
) -> None:
    """Fetch canonical tables of symbols and dates from a venue, with a record of what is missing.

    A run that was stopped or killed continues when it is started again.
    """
    from slackwater.sources.fetch import datasets_entry, summary
    from slackwater.sources.fetch import fetch as fetch_tables
    from slackwater.sources.http import Politeness
    from slackwater.sources.progress import ProgressBar
    from slackwater.sources.request import FetchRequest
    from slackwater.times import parse_time

    request = FetchRequest(
        venue=venue,
        symbols=_names(symbols),
        start=parse_time(start, "--from"),
        end=parse_time(end, "--to"),
        tables=_names(tables) if tables else None,
        interval=interval,
        source=source or None,  # type: ignore[arg-type]  # checked by the request itself
    )
    try:
        with ProgressBar() as bar:
            manifest = fetch_tables(
                request, out, cache=cache, mirror=mirror, politeness=Politeness(delay=delay), progress=bar
            )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues from here", err=True)
        raise typer.Exit(130) from None
    for line in summary(manifest):
        typer.echo(line)
    bars = manifest["tables"].get("fine_bars", manifest["tables"].get("bars"))
    if bars is not None:
        for line in _history(interval, *(datetime.fromisoformat(bars[end]) for end in ("first", "last"))):
            typer.echo(line)
    place = "for a file datasets/<the name below>.yaml, or for params.yaml, below `datasets:`:"
    typer.echo(f"written: {out}\n{place}\n\n{datasets_entry(manifest, out)}", nl=False)


@app.command(rich_help_panel=DATA)
def contracts(
    venue: VenueName,
    symbols: Symbols,
    out: Annotated[Path, typer.Option(help="JSON file to write; `read_contracts` merges it over the built-in facts.")],
    mirror: Annotated[str, typer.Option(help="Root URL of a server to ask instead of the venue.")] = "",
) -> None:
    """Fetch contract facts from a venue: order steps, funding terms and margin tiers, with their date.

    This needs the extra `exchange` (pip install "slackwater[exchange]"). No public address has fees, or the tiers of
    Binance: add those of your account by hand.
    """
    from slackwater.sources.exchange.refresh import contract_facts_entry, refresh_contract_facts

    content = refresh_contract_facts(venue, _names(symbols), out, base_url=mirror or None, on_wait=_tell)
    for symbol, facts in content["contracts"].items():
        typer.echo(f"{symbol}: {', '.join(sorted(facts))}")
    for note in content["notes"]:
        typer.echo(f"note: {note}")
    entry = contract_facts_entry(content)
    place = "for params.yaml, in the entry of your data set (in a file of datasets/ without the indentation):"
    typer.echo(f"written: {out}\n{place}\n\n{entry}", nl=False)


@app.command(rich_help_panel=DATA)
def simulate(
    facts: Annotated[bool, typer.Option("--facts", help="Compare the stylised facts with their ranges.")] = False,
    out: Annotated[Path | None, typer.Option(help="New directory of tables, one parquet file per table.")] = None,
    defects: Annotated[bool, typer.Option("--defects", help="Inject defects into the tables of --out.")] = False,
    defect: Annotated[list[str] | None, typer.Option(help="Only this kind of defect; repeatable.")] = None,
    symbols: Symbols = "BTCUSDT,ETHUSDT,SOLUSDT,XRPUSDT",
    start: Annotated[str, typer.Option(help="Start, UTC, a multiple of five minutes.")] = "2023-01-01",
    days: Annotated[int, typer.Option(min=1, max=36_525, help="Length, in days.")] = 731,
    seed: Annotated[int, typer.Option(min=0, help="Seed; with --facts the first of several.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds of --facts.")] = 5,
    signal: Annotated[float, typer.Option(help="Predictability of the direction, 0 (none) to 1.")] = 0.4,
    whale_signal: Annotated[float, typer.Option(help="Information of the whales, 0 to 1.")] = 0.5,
    option: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER of the market, such as skew=0.5.")] = None,
) -> None:
    """Simulate a SYNTHETIC market: write its tables, or compare its stylised facts with their ranges.

    The status is 1 unless all facts hold on four seeds of five. `--out` is the market of the first seed; its
    `defects.json` lists the injected defects.
    """
    from slackwater.report.facts_page import facts_page
    from slackwater.simulation import market
    from slackwater.simulation.defects import DEFECT_KINDS, write_with_defects
    from slackwater.simulation.facts import SEEDS_THAT_HOLD, facts_by_seed, facts_hold, seeds_that_hold
    from slackwater.times import parse_time

    if not facts and out is None:
        raise ParameterError("nothing to do: give `--facts`, `--out`, or both")
    if (defects or defect) and out is None:
        raise ParameterError("`--defects` changes the tables of `--out`: give `--out` too")
    if out is not None and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise ParameterError(f"`--out` must be a new directory, {out} exists")
    first = parse_time(start, "--start")
    request = market.MarketRequest(
        symbols=[name.strip() for name in symbols.split(",")],
        start=first,
        end=first + timedelta(days=days),
        seed=seed,
        signal=signal,
        whale_signal=whale_signal,
        options=_numbers(option or []),
    )
    typer.echo(f"SYNTHETIC market, signal {signal:g} by construction; it is not evidence of a real edge")
    if out is not None and (defects or defect):
        key = write_with_defects(out, request, defect or DEFECT_KINDS)
        for each in key:
            typer.echo(f"  {each.kind:<22}{each.table:<16}{each.symbol:<10}{each.start:%Y-%m-%d %H:%M}  {each.note}")
        typer.echo(f"written with {len(key)} defects: {out}")
    elif out is not None:
        market.stream_market(out, request)
        typer.echo(f"written: {out}")
    if facts:
        measured = facts_by_seed(request, range(seed, seed + seeds))
        typer.echo(facts_page(measured, holding=seeds_that_hold(measured), share=SEEDS_THAT_HOLD))
        if not facts_hold(measured):
            raise typer.Exit(1)


def _history(interval: str, first: datetime, last: datetime) -> Iterator[str]:
    """Yield what history training needs: by the parameters here, or the defaults where there are none."""
    from slackwater.config import load_params
    from slackwater.durations import parse_duration
    from slackwater.features.chosen_families import default_families
    from slackwater.features.engine import FeatureEngine
    from slackwater.models.parameters import WalkForward
    from slackwater.report.history import history_sentences

    validation, horizon, families = WalkForward(), parse_duration("24h"), {}
    if Path("params.yaml").is_file():
        params = load_params()
        validation, horizon, families = params.validation, params.labels.horizon, params.features.model_dump()
    engine = FeatureEngine(default_families(max(parse_duration(interval), parse_duration("5m")), **families))
    return history_sentences(validation, horizon, first, last, engine=engine)


def _tell(text: str) -> None:
    """Print what is being done beside the output, so that minutes are not silent."""
    typer.echo(text, err=True)


def _names(text: str) -> list[str]:
    """Return the names in a comma-separated text."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _duration(text: str, option: str) -> timedelta:
    """Return the duration that the text of an option stands for."""
    from slackwater.durations import parse_duration

    try:
        return parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise ParameterError(f"`{option}` {error}") from None


def _numbers(options: list[str]) -> dict[str, float]:
    """Return the values by name of options such as ``skew=0.5``."""
    numbers = {}
    for text in options:
        name, _, value = text.partition("=")
        try:
            numbers[name.strip()] = float(value)
        except ValueError:
            raise ParameterError(f"`--option` must be NAME=NUMBER, was {text!r}") from None
    return numbers


@app.command(rich_help_panel=DATA)
def understand(
    dataset: Annotated[str, typer.Argument(help="Entry of `datasets` that is a directory of files.")],
    against: Annotated[str, typer.Option(help="Another such entry, to compare the clock of the bars with.")] = "",
    params: ParamsPath = Path("params.yaml"),
) -> None:
    """Print how a data set of your own is read: files, columns, units, clocks and findings."""
    from slackwater.config import broken_entries, load_params
    from slackwater.market.quality.detectors import examine_tables
    from slackwater.market.quality.known_defects import known_defects
    from slackwater.sources.own_files.directory import read_directory
    from slackwater.sources.own_files.kinds import sources_of
    from slackwater.sources.own_files.understanding import clock_against, understanding

    readings = []
    for name in (dataset, against) if against else (dataset,):
        effective = load_params(params, name)
        entry, market = effective.dataset, effective.market
        if entry.path is None:
            raise ParameterError(f"data set {name} is not a directory of files; name an entry that has a `path`")
        sources = sources_of(entry.model_dump()["tables"])
        spacing = {"fine_bars": market.fine_bar_interval, "bars": market.bar_interval}
        reading = read_directory(
            entry.path, sources, lags=market.lags, symbols=entry.symbols, sha256=entry.sha256, spacing=spacing
        )
        tables, ledger = examine_tables(
            reading.tables, venue=entry.venue, spacing=spacing, known=known_defects(archived=reading.archived)
        )
        readings.append((reading, ledger, tables))
    reading, ledger, tables = readings[0]
    findings = [*reading.findings, *ledger.findings]
    if against:
        ours, theirs = (one.get("fine_bars", one.get("bars")) for *_, one in readings)
        findings += [] if ours is None or theirs is None else clock_against(ours, theirs)
    for line in understanding(reading, findings, tables):
        typer.echo(line)
    for line in _outlook(load_params(params, dataset), tables):
        typer.echo(line)
    for name, error in broken_entries(params).items():
        _tell(f"the data set {name} cannot be chosen: {error}")


def _outlook(params: Params, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Yield whether tables can be trained on and traded: the history that is needed, and rules without their table."""
    from slackwater.features.chosen_families import default_families
    from slackwater.features.engine import FeatureEngine
    from slackwater.report.account_page import starved_sentences
    from slackwater.report.history import history_sentences

    bars = tables.get("fine_bars", tables.get("bars"))
    if bars is None or bars.empty:
        return
    engine = FeatureEngine(default_families(params.market.bar_interval, **params.features.model_dump()))
    span = bars["event_time"].min(), bars["event_time"].max()
    yield from (
        f"history: {line}" for line in history_sentences(params.validation, params.labels.horizon, *span, engine=engine)
    )
    held = {name: set(table["symbol"].astype(str)) for name, table in tables.items()}
    yield from (f"warning: {line}" for line in starved_sentences(params.trading, held, set(bars["symbol"].astype(str))))


app.command(rich_help_panel=RUNS)(study.study)
app.command(rich_help_panel=RUNS)(study.evaluate)
app.add_typer(journal, name="journal", rich_help_panel=LIVE)
app.command(rich_help_panel=RUNS)(promote)
app.add_typer(venue, name="venue", rich_help_panel=LIVE)
app.command("watch", rich_help_panel=LIVE)(watching.watch)
app.command(rich_help_panel=LIVE)(watching.reconcile)
app.add_typer(alerts, name="alerts", rich_help_panel=LIVE)


def main() -> None:
    """Run the command; a known error becomes one clear message and exit status 1."""
    # A script does not search the working directory, where `features.extra` may lie; last, it shadows nothing.
    sys.path.append(str(Path.cwd()))
    interrupt_between_compilations()
    try:
        try:
            app()
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
    except SlackwaterError as error:
        typer.echo(f"slackwater: {type(error).__name__}: {error}", err=True)
        raise SystemExit(1) from None
