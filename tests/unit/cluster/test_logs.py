from __future__ import annotations

from bot.cluster.logs import written_lines


def test_a_log_that_the_kubelet_has_removed_is_no_line_of_the_app() -> None:
    """A real kubelet replies so, with status 200, when the container is gone."""
    gone = "unable to retrieve container logs for containerd://12bfc54843dd45632c43f58f4a41cb06"
    assert written_lines(gone) == ()
    assert written_lines(f"starting\n{gone}") == ("starting",)
