"""The bill of materials of a release: `python -m pipelines._sbom FILE` writes the lock as CycloneDX."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pipelines._closure import ROOT
from slackwater import __version__
from slackwater.errors import SchemaError
from slackwater.storage import write_json

_PACKAGE = re.compile(r"([A-Za-z0-9][\w.-]*)==([^\s;\\]+)\s*(?:;\s*(.*?))?\s*\\?$")


def bill_of_materials(lock: str) -> dict[str, Any]:
    """Return the bill of materials of slackwater with every package that a lock names, in CycloneDX 1.6.

    Parameters
    ----------
    lock
        Content of `requirements.lock`: packages with digests, and the condition under which each is installed.

    Raises
    ------
    SchemaError
        If a line is neither a package with its version, nor a digest, nor a comment.
    """
    components: list[dict[str, Any]] = []
    for number, line in enumerate(lock.splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if digest := re.fullmatch(r"--hash=sha256:([0-9a-f]{64})\s*\\?", text):
            components[-1]["properties"].append({"name": "slackwater:sha256", "value": digest[1]})
            continue
        package = _PACKAGE.fullmatch(text)
        if package is None:
            raise SchemaError(
                f"requirements.lock, line {number}: expected NAME==VERSION or a digest, was {text[:80]!r}"
            )
        components.append(_component(*package.groups()))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component("slackwater", __version__, None) | {"type": "application"}},
        "components": components,
    }


def _component(name: str, version: str, condition: str | None) -> dict[str, Any]:
    """Return one package; two versions of it under different conditions are two components."""
    purl = f"pkg:pypi/{name.lower()}@{version}"
    properties = [{"name": "slackwater:condition", "value": condition}] if condition else []
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "properties": properties,
    }


def main() -> None:
    """Write the file that the command line names."""
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(bill_of_materials((ROOT / "requirements.lock").read_text(encoding="utf-8")), path)


if __name__ == "__main__":
    main()
