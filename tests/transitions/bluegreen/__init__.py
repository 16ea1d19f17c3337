"""Blue/green, decision by decision: whole releases, every point of abort and every crash, against a
model of the controllers."""
