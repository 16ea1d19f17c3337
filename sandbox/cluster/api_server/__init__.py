"""The simulated kube-apiserver: paths, verbs, patches, managedFields, validation, watches,
discovery, OpenAPI, access.

Here belongs what the real API server does with a request. What reacts to stored objects is a
controller.
"""
