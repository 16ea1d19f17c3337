"""unit: pure, no doubles. transitions: one decision a test. journeys: a Slack payload to cluster
objects. contracts: one suite for the real thing and its double. faults: what breaks. e2e: the whole
sandbox. fakes: doubles at the ports. builders: frozen values.
"""
