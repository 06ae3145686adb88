"""The commands `slackwater journal ...`; `slackwater.cli` names the group."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slackwater.commands.json_output import AsJson, print_json
from slackwater.errors import ParameterError

if TYPE_CHECKING:
    from slackwater.journal.notes import Note
    from slackwater.journal.review import Review

__all__ = ["journal"]

journal = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Record of decisions, trades and notes; see docs/journal.md."
)

JournalPath = Annotated[Path, typer.Option("--journal", help="File of the journal.")]
AccountName = Annotated[str, typer.Option(help="Account, or its first letters; not needed where there is one.")]
BlockDays = Annotated[int, typer.Option(min=1, help="Mean length of a block of the bootstrap, in days.")]
_DEFAULT = Path("journal.db")


@journal.command("import")
def import_backtest(
    place: Annotated[Path, typer.Argument(help="Directory of a run, or its directory reports.")],
    path: JournalPath = _DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write the plans, refusals and trades of a finished backtest into a journal; nothing is doubled.

    What each refused trade would have earned comes from data/labels.parquet, the excursions from data/tables.
    """
    from slackwater.journal.importing import import_run
    from slackwater.journal.store import writing

    with writing(path, by="slackwater journal import") as writer:
        done = import_run(place, writer)
    if as_json:
        print_json(asdict(done))
        return
    counts = done.counts
    _mark(done.synthetic)
    typer.echo(
        f"{counts['plans']:,} plans, {counts['refusals']:,} refusals, {counts['exits']:,} exits, "
        f"{counts['forgone']:,} results of refused trades; {done.added:,} events are new"
    )
    if counts["forgone_unknown"]:
        typer.echo(f"not known: what {counts['forgone_unknown']:,} refused trades would have earned")
    if counts["excursions_unknown"]:
        typer.echo(f"not known: the excursions of {counts['excursions_unknown']:,} trades")
    typer.echo(f"written: {path}, account {done.account}")


@journal.command()
def note(
    trade: Annotated[str, typer.Option(help="Name of a planned trade, or its beginning.")],
    path: JournalPath = _DEFAULT,
    mind: Annotated[str, typer.Option(help="State of mind, a word of the list in docs/journal.md.")] = "",
    text: Annotated[str | None, typer.Option(help="A few words.")] = None,
    followed: Annotated[bool | None, typer.Option("--followed/--not-followed", help="Plan followed.")] = None,
    grade: Annotated[str, typer.Option(help="Grade of the execution, A to F.")] = "",
    as_json: AsJson = False,
) -> None:
    """Note on a trade, in at most three questions: state of mind, plan followed, grade.

    What is given as an option is not asked. A note on a trade that has one is an edit: it is added, the old one stays,
    and what is not answered anew is taken from it.
    """
    from slackwater.journal.notes import add_note, find_trade
    from slackwater.journal.store import reading, writing

    with reading(path) as journal_file:
        known = find_trade(journal_file, trade)
    # The questions come before the lock, so that no other writer waits for an answer.
    answers = _answers(known.last, mind=mind, text=text, followed=followed, grade=grade.upper())
    with writing(path, by="slackwater journal note") as writer:
        found = find_trade(writer, known.trade)
        number = add_note(writer, found, answers, time=datetime.now(UTC))
    if as_json:
        print_json({"trade": found.trade, "event": number, "edit": found.notes > 0, **asdict(answers)})
    else:
        typer.echo(f"{'edited' if found.notes else 'noted'}: {found.trade}, event {number}")


@journal.command()
def review(
    path: JournalPath = _DEFAULT, account: AccountName = "", block_days: BlockDays = 14, as_json: AsJson = False
) -> None:
    """Print where model, user and rules are consistently wrong, with intervals that hold for all groups together."""
    found = _review(path, account, block_days)
    if as_json:
        print_json(asdict(found))
        return
    for line in _review_lines(found):
        typer.echo(line)


@journal.command()
def digest(
    path: JournalPath = _DEFAULT,
    account: AccountName = "",
    week: Annotated[str, typer.Option(help="ISO week, such as 2024-W03; by default the last one.")] = "",
    block_days: BlockDays = 14,
    as_json: AsJson = False,
) -> None:
    """Print a week: trades, what was refused, notes that are missing, and what a review has found so far."""
    from slackwater.journal.digest import digest_sentences, week_digest
    from slackwater.journal.store import reading
    from slackwater.journal.trades import chosen_account

    found = _review(path, account, block_days)
    with reading(path) as journal_file:
        name, synthetic = chosen_account(journal_file, account)
        of_week = week_digest(journal_file, name, synthetic=synthetic, week=week)
    if as_json:
        wrong = [asdict(each) for each in found.findings if each.verdict]
        print_json(asdict(of_week) | {"start": str(of_week.start), "wrong": wrong})
        return
    for line in digest_sentences(of_week, found):
        typer.echo(line)


@journal.command()
def export(
    out: Annotated[Path, typer.Argument(help="File to write, ending in .csv, .parquet or .html.")],
    path: JournalPath = _DEFAULT,
    account: AccountName = "",
    kind: Annotated[str, typer.Option(help="One kind of events, with a column per name of its payload.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write the events of an account as a table, or its review and trades as one page that needs no network."""
    from slackwater.journal.export import export_journal
    from slackwater.journal.store import reading
    from slackwater.journal.trades import chosen_account

    with reading(path) as journal_file:
        name, synthetic = chosen_account(journal_file, account)
        rows = export_journal(journal_file, out, account=name, synthetic=synthetic, kind=kind)
    if as_json:
        print_json({"account": name, "synthetic": synthetic, "rows": rows, "out": str(out)})
        return
    _mark(synthetic)
    typer.echo(f"written: {out}, {rows:,} {'trades' if out.suffix == '.html' else 'rows'} of account {name}")


@journal.command()
def verify(
    path: JournalPath = _DEFAULT,
    head: Annotated[str, typer.Option(help="Digest that an earlier run printed, at least 8 digits.")] = "",
    as_json: AsJson = False,
) -> None:
    """Walk along the chain of events; status 1 if one was changed, taken away or added.

    An end that was cut off leaves a chain that holds: note the head that is printed, and give it the next time.
    """
    from slackwater.journal.chain import verify_chain
    from slackwater.journal.store import reading

    with reading(path) as journal_file:
        found = verify_chain(journal_file, head=head)
    if as_json:
        print_json(asdict(found))
    else:
        typer.echo(f"{found.events:,} events, the chain holds; head {found.head}")


def _review(path: Path, account: str, block_days: int) -> Review:
    from slackwater.evidence.resampling import Resampling
    from slackwater.journal.review import review_account
    from slackwater.journal.store import reading
    from slackwater.journal.trades import chosen_account

    with reading(path) as journal_file:
        name, synthetic = chosen_account(journal_file, account)
        resampling = Resampling(mean_block=timedelta(days=block_days))
        return review_account(journal_file, name, synthetic=synthetic, resampling=resampling)


def _review_lines(found: Review) -> Iterator[str]:
    """Yield a review as text."""
    if found.synthetic:
        yield "SYNTHETIC market: no evidence of a real edge"
    yield (
        f"account {found.account}: {found.trades:,} trades and {found.refused:,} refused ones with a known result on "
        f"{found.days:,} days; {found.looked_at} intervals, which hold together in 95 of 100 accounts"
    )
    if found.noted:
        late = f"{found.noted_late:,} were noted after the exit and may know the result"
        yield f"{found.noted:,} trades have a note; {late}"
    wrong = [each for each in found.findings if each.verdict]
    enough = [each for each in found.findings if not each.verdict and not each.too_small]
    small = [each for each in found.findings if each.too_small]
    if not wrong:
        yield "nothing is consistently wrong" if found.looked_at else "the sample is too small for any interval"
    for each in (*wrong, *enough):
        name = f"{each.dimension}: {each.group}"
        bounds = f"{each.mean:+.3f} ({each.low:+.3f} to {each.high:+.3f})"
        yield f"  {each.about:<6}{name:<46}{each.measure:<14}{each.trades:>7,}  {bounds}  {each.verdict}".rstrip()
    if small:
        yield f"too small ({len(small)}):"
    for each in small:
        yield f"  {each.about:<6}{f'{each.dimension}: {each.group}':<46}{each.measure:<14}{each.too_small}"


def _answers(last: Note | None, *, mind: str, text: str | None, followed: bool | None, grade: str) -> Note:
    """Return the note of the options, and of questions or of the last note where one is not given."""
    from slackwater.journal.notes import GRADES, STATES, Note

    asks = sys.stdin.isatty()
    if not asks and last is None and not (mind and grade and followed is not None):
        raise ParameterError("without a terminal, give `--mind`, `--followed` or `--not-followed`, and `--grade`")
    if asks and not mind:
        mind, told = _ask(
            f"State of mind ({', '.join(STATES)}), and a few words if you like",
            _state,
            last.state_of_mind if last else None,
        )
        text = told if text is None and told else text
    if asks and followed is None:
        followed = typer.confirm("Plan followed?", default=last.plan_followed if last else None)
    if asks and not grade:
        grade = _ask(f"Grade ({', '.join(GRADES)})", _grade, last.grade if last else None)
    return Note(
        state_of_mind=mind or (last.state_of_mind if last else ""),
        text=text if text is not None else (last.text if last else ""),
        plan_followed=followed if followed is not None else bool(last and last.plan_followed),
        grade=grade or (last.grade if last else ""),
    )


def _ask(question: str, read: Callable[[str], Any], default: str | None) -> Any:
    """Ask until the answer can be read."""
    return typer.prompt(question, value_proc=read, default=default)


def _state(answer: str) -> tuple[str, str]:
    from slackwater.journal.notes import STATES

    state, _, text = answer.strip().replace(",", " ", 1).partition(" ")
    if state.lower() not in STATES:
        raise typer.BadParameter(f"begin with one of {', '.join(STATES)}")
    return state.lower(), text.strip()


def _grade(answer: str) -> str:
    from slackwater.journal.notes import GRADES

    if answer.strip().upper() not in GRADES:
        raise typer.BadParameter(f"answer with one of {', '.join(GRADES)}")
    return answer.strip().upper()


def _mark(synthetic: bool) -> None:
    if synthetic:
        typer.echo("SYNTHETIC market: no evidence of a real edge")
