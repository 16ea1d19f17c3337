"""The controllers of the simulated cluster, each with the behaviour of its real counterpart.

Here belongs what reacts to a change of objects and writes objects: Deployment and ReplicaSet
controllers, scheduler, kubelet, EndpointSlices, garbage collection, quotas and budgets. HTTP and
request handling do not belong here.
"""
