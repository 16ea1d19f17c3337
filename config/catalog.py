"""The catalog: one strict YAML file that says which apps there are and who may release them.

``load_catalog(path)`` gives a CatalogSettings or raises CatalogMistakes with every mistake, its
line, and the nearest correct word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.entries import AccessEntry, AppSettings, CatalogFile, ClusterEntry, RetentionEntry
from config.nearest import listed, nearest
from config.positions import MOST_BYTES, Document, Place, YamlMistake, read_yaml


@dataclass(frozen=True, order=True)
class CatalogMistake:
    line: int  # counted from 1
    place: str  # apps.hello.canary.hold
    message: str

    def __str__(self) -> str:
        return (
            f"line {self.line}: {self.place}: {self.message}"
            if self.place
            else f"line {self.line}: {self.message}"
        )


class CatalogMistakes(Exception):
    """The catalog has mistakes; ``mistakes`` holds all of them in the order of their lines."""

    def __init__(self, file: str, mistakes: tuple[CatalogMistake, ...]) -> None:
        super().__init__("\n".join(f"{file}: {mistake}" for mistake in mistakes))
        self.file = file
        self.mistakes = mistakes


@dataclass(frozen=True)
class AppCatalogEntry:
    """One app with the defaults filled in. ``settings`` holds the rest, as written or by
    default."""

    name: str
    cluster: str
    namespace: str
    deployment: str
    container: str | None
    services: tuple[str, ...]
    channel: str | None
    settings: AppSettings


@dataclass(frozen=True)
class CatalogSettings:
    clusters: Mapping[str, ClusterEntry]
    apps: Mapping[str, AppCatalogEntry]
    access: AccessEntry
    retention: RetentionEntry
    directory: Path = Path()

    def path(self, relative: str) -> Path:
        """Files are named relative to the catalog's folder."""
        return self.directory / relative


def load_catalog(path: Path) -> CatalogSettings:
    """Raises CatalogMistakes."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise CatalogMistakes(
            str(path), (CatalogMistake(1, "", f"the file cannot be read: {error.strerror}"),)
        ) from error
    except UnicodeDecodeError as error:
        raise CatalogMistakes(
            str(path), (CatalogMistake(1, "", "the file is not UTF-8 text"),)
        ) from error
    return parse_catalog(text, file=str(path), directory=path.resolve().parent)


def parse_catalog(
    text: str, *, file: str = "catalog", directory: Path | None = None
) -> CatalogSettings:
    """``directory`` None: skips the check that named files exist. Raises CatalogMistakes."""
    try:
        document = read_yaml(text)
    except YamlMistake as error:
        raise CatalogMistakes(file, (CatalogMistake(error.line, "", error.message),)) from error
    mistakes = [
        CatalogMistake(document.line(place), _dotted(place), message)
        for place, message in document.problems
    ]
    content, problems = _validated(document)
    mistakes += problems
    if content is None:
        raise CatalogMistakes(file, _in_order(mistakes))
    apps: dict[str, AppCatalogEntry] = {}
    for name, entry in content.apps.items():
        app = _resolved(name, entry, content, document, mistakes)
        if app is not None:
            apps[name] = app
    catalog = CatalogSettings(
        content.clusters, apps, content.access, content.retention, directory or Path()
    )
    if directory is not None:
        mistakes += _missing_files(catalog, document)
    if mistakes:
        raise CatalogMistakes(file, _in_order(mistakes))
    return catalog


def _in_order(mistakes: list[CatalogMistake]) -> tuple[CatalogMistake, ...]:
    return tuple(sorted(set(mistakes)))


def _validated(document: Document) -> tuple[CatalogFile | None, list[CatalogMistake]]:
    if not isinstance(document.data, dict):
        return None, [
            CatalogMistake(1, "", "the catalog must be a mapping with `clusters` and `apps`")
        ]
    try:
        return CatalogFile.model_validate(document.data), []
    except ValidationError as error:
        return None, [_translated(problem, document) for problem in error.errors(include_url=False)]


def _resolved(
    name: str,
    entry: AppSettings,
    content: CatalogFile,
    document: Document,
    mistakes: list[CatalogMistake],
) -> AppCatalogEntry | None:
    place: Place = ("apps", name)
    own = entry.model_dump(by_alias=True, exclude_unset=True)
    inherited = content.defaults.model_dump(by_alias=True, exclude_unset=True)
    if "service" in own:
        inherited.pop("services", None)
    if "services" in own:
        inherited.pop("service", None)
    merged = AppSettings.model_validate(_as_written(_merged(inherited, own)))
    cluster = merged.cluster
    if cluster is None and len(content.clusters) == 1:
        cluster = next(iter(content.clusters))
    if cluster is None:
        known = listed(content.clusters)
        mistakes.append(
            CatalogMistake(
                document.line(place), _dotted(place), f"`cluster` is missing: use {known}"
            )
        )
        return None
    if cluster not in content.clusters:
        where = (*place, "cluster") if "cluster" in own else ("defaults", "cluster")
        hint = _did_you_mean(cluster, list(content.clusters))
        mistakes.append(
            CatalogMistake(document.line(where), _dotted(where), f"no cluster `{cluster}`{hint}")
        )
        return None
    if merged.services is not None:
        services = merged.services
    elif "service" in merged.model_fields_set:
        services = (merged.service,) if merged.service else ()
    else:
        services = (name,)
    return AppCatalogEntry(
        name=name,
        cluster=cluster,
        namespace=merged.namespace,
        deployment=merged.deployment or name,
        container=merged.container,
        services=services,
        channel=merged.channel,
        settings=merged,
    )


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: _merged(below.get(key), above.get(key, below.get(key))) for key in (*below, *above)
        }
    return above


_DURATIONS = frozenset(
    {"hold", "rollback_window", "for", "expires", "remind", "ready_within", "watch_after"}
)


def _as_written(value: Any) -> Any:
    """A dump holds durations as milliseconds; validating it again needs them as written."""
    if isinstance(value, dict):
        return {
            key: _in_ms(item) if key in _DURATIONS else _as_written(item)
            for key, item in value.items()
        }
    return value


def _in_ms(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_in_ms(item) for item in value]
    return f"{value}ms" if isinstance(value, int) else value


def _missing_files(catalog: CatalogSettings, document: Document) -> Iterator[CatalogMistake]:
    for app in catalog.apps.values():
        named: list[tuple[Place, str]] = [(("manifests",), path) for path in app.settings.manifests]
        for kind, entries in (
            ("secrets", app.settings.files.secrets),
            ("configmaps", app.settings.files.configmaps),
        ):
            named += [
                (("files", kind, name), path) for name, paths in entries.items() for path in paths
            ]
        for inner, path in named:
            if not catalog.path(path).exists():
                own: Place = ("apps", app.name, *inner)
                place = own if document.knows(own) else ("defaults", *inner)
                yield CatalogMistake(
                    document.line(place), _dotted(place), f"no file `{path}` in {catalog.directory}"
                )


# --- pydantic's findings in plain words -----------------------------------------------------------

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


def _translated(problem: ErrorDetails, document: Document) -> CatalogMistake:
    place, kind, context = (
        _known_place(problem["loc"], document),
        problem["type"],
        problem.get("ctx", {}),
    )
    value = problem.get("input")
    message = problem["msg"]
    if kind == "extra_forbidden":
        key = str(problem["loc"][-1])
        place = (*place, key) if document.knows((*place, key)) else place
        message = f"unknown key `{key}`{_did_you_mean(key, _keys_at(place[:-1]))}"
    elif kind == "missing":
        message = f"the key `{problem['loc'][-1]}` is missing"
    elif kind == "literal_error":
        known = [
            word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")
        ]
        close = nearest(str(value), known)
        hint = f"; did you mean `{close}`?" if close else ""
        message = f"`{_shown(value)}` is not allowed: use {listed(known)}{hint}"
    elif kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind]}, not `{_shown(value)}`"
    elif kind == "too_short":
        message = "at least one entry is needed"
    elif kind in ("greater_than_equal", "less_than_equal"):
        bound = (
            f"too small: use {context['ge']} or more"
            if "ge" in context
            else f"too large: use {context['le']} or less"
        )
        message = f"`{_shown(value)}` is {bound}"
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
    return CatalogMistake(document.line(place), _dotted(place), message)


def _known_place(location: tuple[int | str, ...], document: Document) -> Place:
    """pydantic's location also names union members and "[key]"; keep what is in the file."""
    place: Place = ()
    for part in location:
        if document.knows((*place, part)):
            place = (*place, part)
    return place


def _keys_at(place: Place) -> list[str]:
    """The keys allowed at a place of the file."""
    model: type[BaseModel] | None = CatalogFile
    inner = place
    if (
        place[:1] in (("apps",), ("clusters",)) and len(place) > 1
    ):  # the names of apps and clusters are free
        model, inner = (AppSettings if place[0] == "apps" else ClusterEntry), place[2:]
    for part in inner:
        model = _model_below(model, str(part)) if model else None
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_below(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    for name, field in model.model_fields.items():
        if (field.alias or name) == key:
            found = [field.annotation, *getattr(field.annotation, "__args__", ())]
            return next(
                (t for t in found if isinstance(t, type) and issubclass(t, BaseModel)), None
            )
    return None


def _did_you_mean(word: str, known: list[str]) -> str:
    close = nearest(word, known)
    if close:
        return f"; did you mean `{close}`?"
    return f"; the known ones are {listed([f'`{key}`' for key in known], 'and')}" if known else ""


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


__all__ = [
    "AppCatalogEntry",
    "CatalogMistake",
    "CatalogMistakes",
    "CatalogSettings",
    "load_catalog",
    "parse_catalog",
]
