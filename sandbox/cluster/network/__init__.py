"""What answers HTTP in the simulated cluster: the demo applications in its pods, Services and their
load balancers.

Nothing here decides what the cluster's objects are; it reads them from the store. The one thing
written is the external address of a Service of type LoadBalancer.
"""
