"""Reads with the Kubernetes client what /pods reads, and prints as JSON how many milliseconds each
observation took."""

from __future__ import annotations

import json
import sys
import time

from kubernetes import client, config


def until_ready(api: client.ApiClient, pods: int) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        found = client.AppsV1Api(api).list_namespaced_deployment("default").items
        if (
            sum(
                one.status.available_replicas or 0
                for one in found
                if one.metadata.name.startswith("load")
            )
            == pods
        ):
            return
        time.sleep(0.5)
    raise TimeoutError("the pods of the load did not become ready")


def claimed(api: client.ApiClient) -> int:
    found = client.AppsV1Api(api).list_namespaced_deployment("default").items
    return sum("pilothouse.dev/release" in (one.metadata.annotations or {}) for one in found)


def look(api: client.ApiClient) -> None:
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    core.read_namespace("kube-system")
    apps.read_namespaced_deployment("hello", "default")
    apps.list_namespaced_replica_set("default", label_selector="app=hello")
    core.list_namespaced_pod("default", label_selector="app=hello")
    core.read_namespaced_service("hello", "default")
    client.DiscoveryV1Api(api).list_namespaced_endpoint_slice(
        "default", label_selector="kubernetes.io/service-name=hello"
    )


def main(kubeconfig: str, *words: str) -> None:
    api = config.new_client_from_config(kubeconfig)
    if words[0] == "--until-ready":
        until_ready(api, int(words[1]))
        return
    if words[0] == "--claimed":
        print(claimed(api))
        return
    times = []
    for _ in range(int(words[0])):
        began = time.perf_counter()
        look(api)
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.05)
    print(json.dumps(times[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
