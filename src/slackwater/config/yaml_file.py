"""YAML files of parameters, read by the rules of YAML 1.2, as DVC writes them.

PyYAML follows YAML 1.1, in which ``+10:00`` is 600, ``on`` is true and ``010`` is 8; DVC drops the quotes that would
protect such a text. What cannot be a file of parameters is refused here: doubled keys, aliases that multiply, values
nested without end, text that cannot be written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from slackwater.errors import MissingDataError, ParameterError

__all__ = ["read_yaml"]

_MAX_VALUES: Final = 50_000  # of one file, with every alias written out
_MAX_DEPTH: Final = 50
_TAG: Final = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2's core schema; dates stay text."""

    yaml_implicit_resolvers: Final = {}  # type: ignore[misc]  # not those of YAML 1.1


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Loader.add_constructor(_TAG + "int", _whole_number)


def read_yaml(path: str | Path) -> dict[Any, Any]:
    """Return the mapping in a YAML file.

    Raises
    ------
    MissingDataError
        If there is no such file.
    ParameterError
        If it cannot be read, is not YAML, holds no mapping, gives a key twice, or is nested or repeated without end.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(
            f"there is no parameter file {path}: run this in the root of the repository, or name the file"
        )
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        _require_bounded(node)
        content = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        found = " ".join(str(error).split())[:400]
        raise ParameterError(f"{path} is not valid YAML: {found}") from error
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path} must hold a mapping, held {type(content).__name__}")
    return content


def _require_bounded(root: yaml.Node | None) -> None:
    """Raise YAMLError where a key is given twice, or a value is nested, repeated or written in a way that never ends.

    YAML would take the last of two values and drop the first. Keys that come with a merge (``<<: *entry``) may be
    overridden.
    """
    measured: dict[int, tuple[int, int]] = {}

    def measure(node: yaml.Node, place: str, depth: int) -> tuple[int, int]:
        """Return how many values a node holds with its aliases written out, and how many levels."""
        if id(node) in measured:
            if measured[id(node)] == (0, 0):
                raise _refused(f"`{place}` contains itself", node)
            return measured[id(node)]
        if isinstance(node, yaml.ScalarNode):
            if any("\ud800" <= letter <= "\udfff" for letter in node.value):
                raise _refused(f"`{place}` holds half of a surrogate pair, which is not text", node)
            return 1, 1
        measured[id(node)] = 0, 0
        values, levels = 1, 1
        for name, value in _parts(node):
            inside = f"{place}.{name}" if place else name
            more, deeper = measure(value, inside, depth + 1) if depth < _MAX_DEPTH else (0, _MAX_DEPTH)
            values, levels = values + more, max(levels, 1 + deeper)
            if values > _MAX_VALUES:
                raise _refused(f"`{inside}`: over {_MAX_VALUES:,} values, with every alias written out", value)
            if levels > _MAX_DEPTH:
                raise _refused(f"`{inside[:80]}` is nested over {_MAX_DEPTH} levels", value)
        measured[id(node)] = values, levels
        return values, levels

    if root is not None:
        measure(root, "", 0)


def _parts(node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    """Return the values in a mapping or a list with their names, and the keys themselves."""
    if isinstance(node, yaml.SequenceNode):
        return [(str(number), part) for number, part in enumerate(node.value)]
    keys: set[tuple[str, str]] = set()
    parts: list[tuple[str, yaml.Node]] = []
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if isinstance(key, yaml.ScalarNode) and key.tag != _TAG + "merge":
            if (key.tag, key.value) in keys:
                raise _refused(f"the key `{key.value}` is given twice", key)
            keys.add((key.tag, key.value))
        parts += [(name, key), (name, value)]
    return parts


def _refused(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
