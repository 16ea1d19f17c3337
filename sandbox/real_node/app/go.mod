module pilothouse.dev/sandbox/real-node/app

go 1.26.0
