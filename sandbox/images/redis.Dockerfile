# Stands for the Redis image that the chart names: Debian's server, as `redis-server` on PATH.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && apt-get install -qq --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
USER 999:999
CMD ["redis-server"]
