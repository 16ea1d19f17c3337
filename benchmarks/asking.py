"""Asks one query after the other as Slack would, and prints as JSON how many milliseconds each
answer took."""

from __future__ import annotations

import http.server
import json
import queue
import sys
import threading
import time
from urllib.parse import urlencode

import httpx

from benchmarks.acknowledgement import signed

KINDS = {
    "/pods": ("/pods", "hello"),
    "/get pods": ("/get", "pods hello"),
    "/get events": ("/get", "events hello"),
    "status": ("/rollout", "status hello"),
    "history": ("/rollout", "history hello"),
    "/explain": ("/explain", "deployment.spec.strategy"),
}
PAUSE_S = 0.05


class Answers(http.server.BaseHTTPRequestHandler):
    arrived: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.arrived.put((time.perf_counter(), body.decode()))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_words: object) -> None:
        pass


def main(bot_url: str, secret: str, rounds: int) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with httpx.Client(timeout=30.0, trust_env=False) as client:
        for number in range(rounds + 1):
            for kind, (command, text) in KINDS.items():
                body = urlencode(
                    {
                        "token": "t",
                        "team_id": "T0LOCAL",
                        "channel_id": "C0RELEASES",
                        "channel_name": "releases",
                        "user_id": "U0DEV1",
                        "user_name": "developer",
                        "command": command,
                        "text": text,
                        "api_app_id": "A0LOCAL",
                        "response_url": f"http://127.0.0.1:{server.server_port}/{number}",
                        "trigger_id": f"ask.{time.time_ns()}",
                    }
                )
                began = time.perf_counter()
                client.post(
                    f"{bot_url}/slack/events", content=body, headers=signed(secret, body)
                ).raise_for_status()
                at, answer = Answers.arrived.get(timeout=30)
                if "⚠️" in answer:
                    raise RuntimeError(f"{command} {text} was refused: {answer[:300]}")
                if number:  # the first of each kind warms up
                    times[kind].append((at - began) * 1000)
                time.sleep(PAUSE_S)
    print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
