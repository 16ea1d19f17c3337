"""The first quarter of an hour with Pilothouse: deploy, inspect, mistype, a bad image, and undo."""

from __future__ import annotations

from tests.tour.conversation import DEVELOPER, MANAGER, VIEWER, Tour


def tell(tour: Tour) -> None:
    tour.say(DEVELOPER, "/deploy hello 2.0.0")
    tour.expect(r"hello 1\.0\.0 → 2\.0\.0", within=30)
    tour.expect(r"hello is on 2\.0\.0", within=30)
    tour.check(
        "every pod runs 2.0.0",
        holds=tour.images("hello") == {"pilothouse/hello:2.0.0"},
        but=str(tour.images("hello")),
    )
    annotations = tour.deployment("hello").metadata.annotations
    tour.check(
        "the Deployment carries nothing of ours",
        holds="pilothouse.dev/release" not in annotations,
        but=str(annotations),
    )

    tour.say(DEVELOPER, "/pods hello")
    tour.expect(r"revision 2 \(2\.0\.0\): 5 pods", within=30)

    seen = tour.say(DEVELOPER, "/deploy helo 2.0.0")
    tour.check("a mistake gets the nearest command", holds="Did you mean `hello`" in seen, but=seen)
    seen = tour.say(VIEWER, "/deploy hello 3.0.0")
    tour.check("a viewer may not deploy", holds="deployer" in seen, but=seen)
    tour.check("mistakes started nothing", holds=tour.images("hello") == {"pilothouse/hello:2.0.0"})

    tour.say(DEVELOPER, "/deploy hello missing")
    tour.expect(r"cannot be pulled: not found", within=30)
    tour.expect(
        r"→ missing rolling failed: image pilothouse/hello:missing cannot be pulled.*<@U0DEV1>",
        within=30,
    )
    tour.expect(r"hello is back on 2\.0\.0", within=30)
    tour.check(
        "every pod runs 2.0.0 again",
        holds=tour.images("hello") == {"pilothouse/hello:2.0.0"},
        but=str(tour.images("hello")),
    )

    tour.say(DEVELOPER, "/scale hello 3")
    tour.expect(r"hello has 3 pods", within=30)
    tour.say(MANAGER, "/rollout undo hello")
    tour.expect(r"hello is on 1\.0\.0", within=30)
    tour.check(
        "every pod runs 1.0.0",
        holds=tour.images("hello") == {"pilothouse/hello:1.0.0"},
        but=str(tour.images("hello")),
    )
    tour.check(
        "undo left the number of pods alone", holds=tour.deployment("hello").spec.replicas == 3
    )
