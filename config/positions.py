"""YAML with the line of every key and item, so that a mistake can be shown at its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scanner import Scanner

Place: TypeAlias = tuple[str | int, ...]

MOST_BYTES = 1024 * 1024
MOST_VALUES = 100_000
"""Each alias counts with all that it stands for: thousands of apps fit, and ten lines of aliases to
aliases do not."""
DEEPEST = 100


class YamlMistake(Exception):
    """Not YAML at all; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Document:
    data: Any
    lines: dict[Place, int]
    problems: tuple[tuple[Place, str], ...]

    def knows(self, place: Place) -> bool:
        return place in self.lines

    def below(self, key: str) -> Document:
        """The value of a key of the outermost mapping, as a document of its own."""
        return Document(
            self.data[key],
            {place[1:]: line for place, line in self.lines.items() if place[:1] == (key,)},
            tuple((place[1:], text) for place, text in self.problems if place[:1] == (key,)),
        )

    def line(self, place: Place) -> int:
        """The line of the place, or of the nearest place around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


class _Scanner(Scanner):
    """Scans every open bracket for each token, so their number is limited here already."""

    def fetch_flow_collection_start(self, token: Any, to_push: str) -> None:
        if len(self.flow_context) > DEEPEST:
            line = self.reader.line + 1
            raise YamlMistake(line, f"the file is nested deeper than {DEEPEST} levels")
        super().fetch_flow_collection_start(token, to_push)


def read_yaml(text: str) -> Document:
    """YAML 1.2; anchors and merge keys work. Raises YamlMistake."""
    if len(text) > MOST_BYTES:
        raise YamlMistake(1, "the file is larger than 1 MiB")
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _Scanner
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise YamlMistake(mark.line + 1 if mark else 1, f"not valid YAML: {what}") from error
    except YAMLError as error:
        raise YamlMistake(1, f"not valid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError:
        raise YamlMistake(1, f"the file is nested deeper than {DEEPEST} levels") from None
    if root is None:
        raise YamlMistake(1, "the file is empty")
    walk = _Walk(yaml)
    data = walk.value(root, ())
    return Document(data, walk.lines, tuple(walk.problems))


class _Walk:
    def __init__(self, yaml: YAML) -> None:
        self.lines: dict[Place, int] = {}
        self.problems: list[tuple[Place, str]] = []
        self._constructor = yaml.constructor
        self._open: set[int] = set()
        self._left = MOST_VALUES

    def value(self, node: Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0:
            raise YamlMistake(line, f"the file becomes more than {MOST_VALUES:,} values")
        if len(place) > DEEPEST:
            raise YamlMistake(line, f"the file is nested deeper than {DEEPEST} levels")
        self.lines.setdefault(place, line)
        if id(node) in self._open:
            self.problems.append((place, "an anchor that contains itself cannot be used here"))
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, place)
            if isinstance(node, SequenceNode):
                return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, place)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if (
                key_node.tag == "tag:yaml.org,2002:merge"
                or getattr(key_node, "value", None) == "<<"
            ):
                for source in (
                    value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                ):
                    content = self.value(source, place)
                    if isinstance(content, dict):
                        merged = {**content, **merged}
                continue
            key = str(key_node.value) if isinstance(key_node, ScalarNode) else "?"
            here = (*place, key)
            if key in result:
                self.problems.append((here, f"the key `{key}` is given twice"))
            self.lines[here] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, here)
        return {**merged, **result}

    def _scalar(self, node: Node, place: Place) -> Any:
        try:
            return self._constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError, ArithmeticError, LookupError, TypeError) as error:
            # ruamel's constructors raise the last three for `!!int` without a value and the like
            what = (str(error) or type(error).__name__).splitlines()[0]
            self.problems.append((place, f"this value cannot be read: {what}"))
            return None
