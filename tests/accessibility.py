"""The checks of axe-core in a page that a browser shows (tests/axe: version 4.14.1, MPL-2.0, unchanged)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.browser import Browser

_AXE = Path(__file__).parent / "axe" / "axe.min.js"
_SERIOUS = ("serious", "critical")


def serious_faults(browser: Browser) -> list[str]:
    """What axe-core finds on the page that is shown, of impact serious or critical: rule, help and first places."""
    if not browser.ask("typeof axe === 'object'"):
        browser.ask(f"{_AXE.read_text(encoding='utf-8')}; 0")
    found: dict[str, Any] = json.loads(
        browser.ask("axe.run({ resultTypes: ['violations'] }).then((found) => JSON.stringify(found))")
    )
    assert found["testEngine"]["name"] == "axe-core"
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + "; ".join(f"{node['html'][:160]} {node['failureSummary'][:200]}" for node in each["nodes"][:3])
        for each in found["violations"]
        if each["impact"] in _SERIOUS
    ]
