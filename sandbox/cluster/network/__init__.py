"""HTTP in the simulated cluster: the demo applications in its pods, Services and their load
balancers.

Nothing here decides about the cluster's objects; it reads them from the store. The only value
written is the external address of a Service of type LoadBalancer.
"""
