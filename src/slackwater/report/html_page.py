"""Pages in HTML, of those in Markdown: one file each, with its pictures inside, as MLflow shows artifacts."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

__all__ = ["html_page"]

_STYLE: Final = """
body { font: 14px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 1.5rem auto; padding: 0 1rem; color: #1b2733 }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums }
th, td { border: 1px solid #d5dbe1; padding: .2rem .6rem; text-align: left }
th { background: #f2f5f8 }
figure { margin: 1.5rem 0 }
img { max-width: 100% }
"""


def html_page(markdown: str, *, title: str, pictures: Iterable[Path] = ()) -> str:
    r"""Return a page in HTML; markup in the text of `markdown` is shown, not run.

    Parameters
    ----------
    markdown
        The page, with tables as `slackwater.report.markdown.markdown_table` makes them.
    title
        Title of the document.
    pictures
        PNG files that follow the text, each under its name.

    Examples
    --------
    >>> page = html_page("| auc |\n|---|\n| .56 <b> |", title="toy")
    >>> "<td>.56 &lt;b&gt;</td>" in page
    True
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    figures = "".join(map(_figure, pictures))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}{figures}</body></html>\n"
    )


def _figure(picture: Path) -> str:
    content = base64.b64encode(picture.read_bytes()).decode("ascii")
    name = html.escape(picture.stem.replace("_", " "))
    return f'<figure><figcaption>{name}</figcaption><img alt="{name}" src="data:image/png;base64,{content}"></figure>\n'
