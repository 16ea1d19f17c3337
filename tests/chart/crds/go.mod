// The custom resource definitions that the chart's monitors, alerts and route are checked against. Nothing is built from it.
module pilothouse.dev/crds

go 1.24

require (
	github.com/prometheus-operator/prometheus-operator v0.79.2
	sigs.k8s.io/gateway-api v1.2.1
)
