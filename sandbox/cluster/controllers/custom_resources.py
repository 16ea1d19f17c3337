"""CustomResourceDefinitions: their resources are served as soon as the definitions exist."""

from __future__ import annotations

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER, DeleteOptions
from sandbox.cluster.api_server.resources import DEFINITIONS, Resource
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import Json, copy_json, name_of, namespace_of


class CustomResources:
    """Key: the name of a definition."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("definition", self.establish)

    def definition_changed(self, definition: Json, *, is_gone: bool) -> None:
        spec = definition["spec"]
        table = self._view.registry.table
        if is_gone:
            for version in spec["versions"]:
                resource = table.at(spec["group"], version["name"], spec["names"]["plural"])
                if resource is not None:
                    self._delete_all(resource)
            table.remove(spec["group"], spec["names"]["plural"])
            return
        table.remove(spec["group"], spec["names"]["plural"])
        for version in spec["versions"]:
            if version.get("served"):
                table.add(self._resource(spec, version))
        self._view.queue.add("definition", name_of(definition))

    def _delete_all(self, resource: Resource) -> None:
        for obj in self._view.store.list_all(resource):
            self._view.registry.delete(
                resource,
                namespace_of(obj),
                name_of(obj),
                CONTROLLER_MANAGER,
                DeleteOptions(propagation="Background"),
            )

    def _resource(self, spec: Json, version: Json) -> Resource:
        names = spec["names"]
        return Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            subresources=tuple(version.get("subresources") or ()),
            categories=tuple(names.get("categories") or ()),
            has_generation=True,
            custom_schema=(version.get("schema") or {}).get("openAPIV3Schema")
            or {"type": "object"},
            singular_name=names.get("singular", ""),
            columns=tuple(
                (item["name"], item["type"], item["jsonPath"])
                for item in version.get("additionalPrinterColumns") or ()
            ),
        )

    def establish(self, name: str) -> None:
        definition = self._view.store.get(DEFINITIONS, "", name)
        if definition is None or (definition.get("status") or {}).get("conditions"):
            return
        now = self._view.now()
        conditions = [
            {
                "type": "NamesAccepted",
                "status": "True",
                "reason": "NoConflicts",
                "message": "no conflicts found",
                "lastTransitionTime": now,
            },
            {
                "type": "Established",
                "status": "True",
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
                "lastTransitionTime": now,
            },
        ]
        status = {
            "acceptedNames": copy_json(definition["spec"]["names"]),
            "conditions": conditions,
            "storedVersions": [
                item["name"] for item in definition["spec"]["versions"] if item.get("storage")
            ],
        }
        self._view.write_status(DEFINITIONS, {**definition, "status": status}, CONTROLLER_MANAGER)
