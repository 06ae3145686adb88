"""The list of commands in `slackwater --help`, by what a user wants to do."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

__all__ = ["DATA", "LIVE", "MARKET", "RUNS", "ByTask"]

DATA = "Data"
MARKET = "Features and the liquidation map"
RUNS = "Runs, bundles and studies"
LIVE = "Live use and journal"
_ORDER = (DATA, MARKET, RUNS, LIVE)
_OTHERS = "Other commands"
_LONGEST = 200  # letters of a summary: all of its sentence, which is wrapped and not cut


class ByTask(TyperGroup):
    """A group whose help has one section per task: the `rich_help_panel` of a command, without rich."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections; a command without a task is in the last one."""
        sections: dict[str, list[tuple[str, str]]] = {task: [] for task in (*_ORDER, _OTHERS)}
        names = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        width = max(map(len, names), default=0)
        for name in names:
            command = self.commands[name]
            task = getattr(command, "rich_help_panel", None)
            row = name.ljust(width), command.get_short_help_str(_LONGEST)
            sections[task if task in sections else _OTHERS].append(row)
        for task, rows in sections.items():
            if rows:
                with formatter.section(task):
                    formatter.write_dl(rows)
