"""The waves of an app: in which order its clusters get a new version, and what keeps waves from
being one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.entries import AppSettings, ClusterEntry, WaveEntry
from config.entry_types import Clusters
from config.nearest import nearest


@dataclass(frozen=True)
class ResolvedWave:
    """``clusters``: names, where the catalog may have labels."""

    clusters: tuple[str, ...]
    entry: WaveEntry


def with_labels(clusters: Mapping[str, ClusterEntry], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Those that have each of the labels, in the order of the catalog."""
    return tuple(name for name, one in clusters.items() if wanted.items() <= one.labels.items())


def fits_no_cluster(wanted: Mapping[str, str], clusters: Mapping[str, ClusterEntry]) -> str:
    """The first label that no cluster has, with the nearest that one has."""
    known = sorted(
        {f"{key}: {value}" for one in clusters.values() for key, value in one.labels.items()}
    )
    asked = [f"{key}: {value}" for key, value in wanted.items()]
    missing = next((one for one in asked if one not in known), None)
    if missing is None:
        return f"no cluster has all of {{{', '.join(asked)}}}"
    if not known:
        return f"no cluster has the label `{missing}`: none has `labels`"
    return f"no cluster has the label `{missing}`{_did_you_mean(missing, known)}"


def resolved_waves(
    app: AppSettings, clusters: tuple[str, ...], known: Mapping[str, ClusterEntry]
) -> tuple[ResolvedWave, ...]:
    """``clusters``: those of the app. Without waves one follows the other."""
    if app.waves is None or len(clusters) < 2:
        return tuple(ResolvedWave((one,), WaveEntry(clusters=(one,))) for one in clusters)
    return tuple(ResolvedWave(_of_wave(one.clusters, clusters, known), one) for one in app.waves)


def _of_wave(
    meant: Clusters, clusters: tuple[str, ...], known: Mapping[str, ClusterEntry]
) -> tuple[str, ...]:
    if not isinstance(meant, dict):
        return meant
    fitting = with_labels(known, meant)
    return tuple(one for one in clusters if one in fitting)


def mistakes_in_waves(
    app: AppSettings, clusters: tuple[str, ...], known: Mapping[str, ClusterEntry]
) -> Iterator[tuple[int | None, str]]:
    """The number of the wave, None for all of them, and what is wrong with it."""
    if app.waves is None:
        return
    if len(clusters) < 2:
        yield None, "waves need an app with more than one cluster: name them in `clusters`"
        return
    placed: dict[str, int] = {}
    for at, wave in enumerate(resolved_waves(app, clusters, known)):
        meant = wave.entry.clusters
        if isinstance(meant, dict) and not wave.clusters:
            yield at, fits_no_cluster(meant, {name: known[name] for name in clusters})
        for name in wave.clusters:
            if name not in clusters:
                yield at, f"the app is not in `{name}`{_did_you_mean(name, clusters)}"
            elif name in placed:
                yield at, f"`{name}` is in wave {placed[name] + 1} already"
            placed.setdefault(name, at)
    missing = [one for one in clusters if one not in placed]
    if missing:
        yield None, f"`{missing[0]}` is in no wave: add {{clusters: [{missing[0]}]}}"


def _did_you_mean(word: str, known: tuple[str, ...] | list[str]) -> str:
    close = nearest(word, known)
    if close:
        return f"; did you mean `{close}`?"
    return f"; the known ones are {', '.join(f'`{key}`' for key in known)}" if known else ""
