"""Eight clients that send bad requests to a bot, one after another, until they are terminated.

python -m benchmarks.hostile_clients URL
"""

from __future__ import annotations

import itertools
import sys
import threading

import httpx

CLIENTS = 8
_FORGED = {"X-Slack-Request-Timestamp": "1", "X-Slack-Signature": f"v0={'0' * 64}"}
REQUESTS: tuple[tuple[bytes, dict[str, str]], ...] = (
    (b"a." * 40_000, {}),
    (b"a&" * 100_000, _FORGED),
    (b"[" * 100_000, _FORGED),
    (b"a&" * 500_000, {}),
    (b"command=%2Fdeploy&text=hello", _FORGED),
)


def attack(url: str) -> None:
    with httpx.Client(timeout=5.0, trust_env=False) as client:
        for body, headers in itertools.cycle(REQUESTS):
            try:
                client.post(f"{url}/slack/events", content=body, headers=headers)
            except httpx.HTTPError:
                continue  # the connection was closed: also a refusal


def main() -> None:
    threads = [threading.Thread(target=attack, args=(sys.argv[1],)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    print("attacking", flush=True)


if __name__ == "__main__":
    main()
