"""The data visualization block: bar, area and line charts. Source: docs.slack.dev."""

from __future__ import annotations

from typing import Any

from sandbox.slack.findings import Findings

MAX_CHARTS = 2
MAX_SERIES = 6
MAX_POINTS = 20
MAX_TITLE = 50
MAX_LABEL = 20


def check_chart(block: Any, at: str, found: Findings) -> None:
    found.only(block, at, {"title", "chart"})
    found.string(block, "title", at, MAX_TITLE, required=True, least=1)
    chart, here = block.get("chart"), f"{at}/chart"
    if not found.is_object(chart, here):
        return
    found.one_of(chart, "type", here, ("bar", "area", "line"))
    axis = chart.get("axis_config")
    if not found.is_object(axis, f"{here}/axis_config"):
        return
    categories = axis.get("categories")
    found.is_list(categories, f"{here}/axis_config/categories", most=MAX_POINTS, least=1)
    if not found.is_list(chart.get("series"), f"{here}/series", most=MAX_SERIES, least=1):
        return
    for number, series in enumerate(chart["series"]):
        _check_series(series, categories, f"{here}/series/{number}", found)


def _check_series(series: Any, categories: Any, at: str, found: Findings) -> None:
    if not found.is_object(series, at):
        return
    found.string(series, "name", at, MAX_LABEL, required=True, least=1)
    if not found.is_list(series.get("data"), f"{at}/data", most=MAX_POINTS, least=1):
        return
    points = [one for one in series["data"] if isinstance(one, dict)]
    if [one.get("label") for one in points] != categories:
        found.add("labels must match axis_config.categories", f"{at}/data")
    if not all(isinstance(one.get("value"), int | float) for one in points):
        found.add("must provide a number", f"{at}/data")
