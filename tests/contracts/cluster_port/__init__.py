"""The Cluster port on the simulated cluster and on the real control plane: what the adapter
promises whichever it talks to."""
