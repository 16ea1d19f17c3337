"""The catalog: one strict YAML file that says which apps there are and who may release them.

``load_catalog(path)`` gives a CatalogSettings or raises CatalogMistakes with every mistake, its
line, and the nearest correct word.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.access_entries import AccessEntry, FreezeEntry
from config.entries import (
    ApiEntry,
    AppSettings,
    AuditEntry,
    CatalogFile,
    ClusterEntry,
    EventsEntry,
    RetentionEntry,
)
from config.entry_types import StrategyName
from config.nearest import listed, nearest
from config.positions import MOST_BYTES, Document, Place, YamlMistake, read_yaml
from config.watch_entry import WatchEntry
from config.waves import (
    ResolvedWave,
    fits_no_cluster,
    mistakes_in_waves,
    resolved_waves,
    with_labels,
)

DIGEST_LENGTH = 16


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
    clusters: tuple[str, ...]  # one or more
    namespace: str
    deployment: str
    container: str | None
    services: tuple[str, ...]
    channel: str | None
    settings: AppSettings
    waves: tuple[ResolvedWave, ...] = ()

    def in_cluster(self, cluster: str) -> AppCatalogEntry:
        """With what the app has there instead."""
        override = self.settings.overrides.get(cluster)
        if override is None:
            return self
        scale = override.scale or self.settings.scale
        return replace(
            self,
            namespace=override.namespace or self.namespace,
            channel=override.channel or self.channel,
            settings=self.settings.model_copy(update={"scale": scale}),
        )


@dataclass(frozen=True)
class CatalogSettings:
    clusters: Mapping[str, ClusterEntry]
    apps: Mapping[str, AppCatalogEntry]
    access: AccessEntry
    freezes: tuple[FreezeEntry, ...]
    retention: RetentionEntry
    directory: Path = Path()
    audit: AuditEntry = dataclasses.field(default_factory=AuditEntry)
    digest: str = dataclasses.field(default="", compare=False)
    """Of its text: by which catalog something was decided, for the audit."""
    api: ApiEntry = dataclasses.field(default_factory=ApiEntry)
    events: tuple[EventsEntry, ...] = ()
    watch: WatchEntry = dataclasses.field(default_factory=WatchEntry)
    document: Document | None = dataclasses.field(default=None, compare=False, repr=False)

    def line(self, place: Place) -> int:
        """Of the innermost part of the place that is written, counted from 1."""
        return self.document.line(place) if self.document is not None else 1

    def path(self, relative: str) -> Path:
        """Files are named relative to the catalog's folder."""
        return self.directory / relative


def load_catalog(path: Path, *, or_values: bool = False) -> CatalogSettings:
    """``or_values``: the file may be the chart's values, whose `catalog` is meant then; what it
    names is in their `files`, which is not searched. Raises CatalogMistakes."""
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
    document = _read(text, str(path))
    if or_values and _is_of_the_chart(document):
        return _parsed(document.below("catalog"), str(path), None)
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
    return replace(_parsed(document, str(path), _folder_of(path)), digest=digest)


def _folder_of(path: Path) -> Path:
    """Where the file is. Its own links are followed; those among the folders stay, since a pod's
    ConfigMap is exchanged by one of them while its old folder goes."""
    path = path.absolute()
    while path.is_symlink():
        path = path.parent / path.readlink()
    return path.parent


def parse_catalog(
    text: str, *, file: str = "catalog", directory: Path | None = None
) -> CatalogSettings:
    """``directory`` None: skips the check that named files exist. Raises CatalogMistakes."""
    return _parsed(_read(text, file), file, directory)


def _read(text: str, file: str) -> Document:
    try:
        return read_yaml(text)
    except YamlMistake as error:
        raise CatalogMistakes(file, (CatalogMistake(error.line, "", error.message),)) from error


def _is_of_the_chart(document: Document) -> bool:
    data = document.data
    return isinstance(data, dict) and "catalog" in data and not {"clusters", "apps"} & data.keys()


def _parsed(document: Document, file: str, directory: Path | None) -> CatalogSettings:
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
    mistakes += _unknown_freezes(content, document)
    catalog = CatalogSettings(
        content.clusters,
        apps,
        content.access,
        content.freezes,
        content.retention,
        directory or Path(),
        content.audit,
        api=content.api,
        events=content.events,
        watch=content.watch,
        document=document,
    )
    mistakes += _unknown_scopes(content, document)
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
    if "cluster" in own:
        inherited.pop("clusters", None)
    for part in ("access", "approvals"):  # whom an app names are all that are meant
        for key in own.get(part) or {}:
            (inherited.get(part) or {}).pop(key, None)
    if "clusters" in own:
        inherited.pop("cluster", None)
        inherited.pop("clusters", None)  # labels are not added to those of the defaults
    merged = AppSettings.model_validate(_as_written(_merged(inherited, own)))
    clusters = _clusters_of(merged, content)
    problem = _problem_with(merged, clusters, content, place, own, document)
    problem = problem or _overridden_elsewhere(merged, clusters, place, document)
    problem = problem or _nothing_to_judge(merged, clusters, content, place, document)
    problem = problem or _strategies_at_odds(merged, place, document)
    if problem is not None:
        mistakes.append(problem)
        return None
    mistakes += _in_waves(merged, clusters, content, place, document)
    if merged.services is not None:
        services = merged.services
    elif "service" in merged.model_fields_set:
        services = (merged.service,) if merged.service else ()
    else:
        services = (name,)
    return AppCatalogEntry(
        name=name,
        clusters=clusters,
        namespace=merged.namespace,
        deployment=merged.deployment or name,
        container=merged.container,
        services=services,
        channel=merged.channel,
        settings=merged,
        waves=resolved_waves(merged, clusters, content.clusters),
    )


def _clusters_of(app: AppSettings, content: CatalogFile) -> tuple[str, ...]:
    """Empty where the app names none and more than one may be meant."""
    if isinstance(app.clusters, dict):
        return with_labels(content.clusters, app.clusters)
    if app.clusters is not None:
        return app.clusters
    if app.cluster is not None:
        return (app.cluster,)
    return tuple(content.clusters) if len(content.clusters) == 1 else ()


def _problem_with(
    app: AppSettings,
    clusters: tuple[str, ...],
    content: CatalogFile,
    place: Place,
    own: dict[str, Any],
    document: Document,
) -> CatalogMistake | None:
    if isinstance(app.clusters, dict) and not clusters:
        line = fits_no_cluster(app.clusters, content.clusters)
        return _mistake_of(place, ("clusters",), line, document)
    if not clusters:
        line = f"`cluster` is missing: use {listed(content.clusters)}"
        return CatalogMistake(document.line(place), _dotted(place), line)
    unknown = next((one for one in clusters if one not in content.clusters), None)
    if unknown is None:
        return None
    key = next((key for key in ("cluster", "clusters") if key in own), "")
    below = key or ("cluster" if document.knows(("defaults", "cluster")) else "clusters")
    where: Place = (*place, key) if key else ("defaults", below)
    hint = _did_you_mean(unknown, list(content.clusters))
    return CatalogMistake(document.line(where), _dotted(where), f"no cluster `{unknown}`{hint}")


def _overridden_elsewhere(
    app: AppSettings, clusters: tuple[str, ...], place: Place, document: Document
) -> CatalogMistake | None:
    other = next((one for one in app.overrides if one not in clusters), None)
    if other is None:
        return None
    key: Place = ("overrides", other)
    where = next(
        (one for one in ((*place, *key), ("defaults", *key)) if document.knows(one)), place
    )
    line = f"the app is not in `{other}`{_did_you_mean(other, list(clusters))}"
    return CatalogMistake(document.line(where), _dotted(where), line)


def _in_waves(
    app: AppSettings,
    clusters: tuple[str, ...],
    content: CatalogFile,
    place: Place,
    document: Document,
) -> Iterator[CatalogMistake]:
    is_own = document.knows((*place, "waves"))
    if len(clusters) < 2 and not is_own:
        return  # those of the defaults are for other apps
    above = place if is_own else ("defaults",)
    for at, line in mistakes_in_waves(app, clusters, content.clusters):
        where = (*above, "waves") if at is None else (*above, "waves", at)
        yield CatalogMistake(document.line(where), _dotted(where), line)


def _nothing_to_judge(
    app: AppSettings,
    clusters: tuple[str, ...],
    content: CatalogFile,
    place: Place,
    document: Document,
) -> CatalogMistake | None:
    """Of defaults and app together: either may hold the probe."""
    if app.judge is None:
        return None
    line = ""
    if app.judge.has_metrics:
        blind = [name for name in clusters if content.clusters[name].prometheus is None]
        line = f"no metrics: cluster `{blind[0]}` has no `prometheus`" if blind else ""
    elif app.probe is None or app.probe.url is not None:
        line = (
            "`judge` needs a `probe` without `url`, by which pods of both versions are asked, or"
            " `requests` and `errors`, which a Prometheus counts"
        )
    return _mistake_of(place, ("judge",), line, document) if line else None


def usual_strategies(app: AppSettings) -> tuple[StrategyName, ...]:
    """Those that may bring a new version outside an emergency."""
    if app.strategies is not None:
        return app.strategies
    return tuple(one for one in get_args(StrategyName) if one not in app.emergency)


def _strategies_at_odds(
    app: AppSettings, place: Place, document: Document
) -> CatalogMistake | None:
    usual = usual_strategies(app)
    both = next((one for one in app.emergency if one in usual), None)
    if both is not None:
        line = f"`{both}` is in `strategies` too: an emergency strategy is not for every day"
        return _mistake_of(place, ("emergency",), line, document)
    if not usual:
        line = "at least one strategy is needed outside an emergency"
        return _mistake_of(place, ("strategies", "emergency"), line, document)
    if app.strategy not in usual:
        line = f"`{app.strategy}` is not one of `strategies`: use {listed(usual)}"
        return _mistake_of(place, ("strategy", "strategies", "emergency"), line, document)
    return None


def _unknown_freezes(content: CatalogFile, document: Document) -> Iterator[CatalogMistake]:
    labels = (f"{k}:{v}" for one in content.clusters.values() for k, v in one.labels.items())
    clusters = (f"cluster:{name}" for name in content.clusters)
    known = ["all", *content.apps, *clusters, *labels]
    for number, freeze in enumerate(content.freezes):
        if freeze.scope not in known:
            place: Place = ("freezes", number, "scope")
            close = nearest(freeze.scope, known)
            hint = (
                f"; did you mean `{close}`?"
                if close
                else ": use all, an app, cluster:NAME or a label"
            )
            line = f"nothing is called `{freeze.scope}`{hint}"
            yield CatalogMistake(document.line(place), _dotted(place), line)


def _mistake_of(
    place: Place, keys: tuple[str, ...], line: str, document: Document
) -> CatalogMistake:
    """At the first of ``keys`` that is written. ``place``: of an app, whose key may come from the
    defaults."""
    known = [(*above, key) for key in keys for above in (place, ("defaults",))]
    where = next((one for one in known if document.knows(one)), place)
    return CatalogMistake(document.line(where), _dotted(where), line)


def _unknown_scopes(content: CatalogFile, document: Document) -> Iterator[CatalogMistake]:
    """Apps and clusters that are named elsewhere and that the catalog does not have."""
    named: list[tuple[Place, tuple[str, ...]]] = [(("watch", "clusters"), content.watch.clusters)]
    for number, token in enumerate(content.api.tokens):
        named += [(("api", "tokens", number, "apps"), token.apps)]
        named += [(("api", "tokens", number, "clusters"), token.clusters)]
    for number, receiver in enumerate(content.events):
        named += [(("events", number, "apps"), receiver.apps)]
    for place, names in named:
        known = list(content.clusters if place[-1] == "clusters" else content.apps)
        for at, name in enumerate(names):
            if name not in known:
                line = f"no {str(place[-1])[:-1]} `{name}`{_did_you_mean(name, known)}"
                yield CatalogMistake(document.line((*place, at)), _dotted((*place, at)), line)


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: _merged(below.get(key), above.get(key, below.get(key))) for key in (*below, *above)
        }
    return above


_DURATIONS = frozenset(
    {
        *("hold", "rollback_window", "for", "expires", "remind", "ready_within", "watch_after"),
        *("within", "extend", "slower_than", "window", "soak", "catch_up_within"),
        "scrape_interval",
    }
)


def _as_written(value: Any) -> Any:
    """A dump holds durations as milliseconds; validating it again needs them as written."""
    if isinstance(value, dict):
        return {
            key: _in_ms(item) if key in _DURATIONS else _as_written(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        return [_as_written(item) for item in value]
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
    return [one.alias or name for name, one in model.model_fields.items()] if model else []


def _model_below(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    for name, one in model.model_fields.items():
        if (one.alias or name) == key:
            found = [one.annotation, *getattr(one.annotation, "__args__", ())]
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
