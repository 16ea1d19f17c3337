package main

import (
	"fmt"
	"io"
	"sync"
)

// counts are the replies so far, by whether they were errors.
type counts struct {
	lock     sync.Mutex
	good     int
	bad      int
	fraction float64
}

// next counts a request and tells whether it is one of those that fail: spread evenly, so that even a few show the percentage.
func (c *counts) next(percent float64) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.fraction += percent / 100
	if c.fraction >= 1 {
		c.fraction--
		c.bad++
		return true
	}
	c.good++
	return false
}

// write gives them in the text format of Prometheus.
func (c *counts) write(to io.Writer, version string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	fmt.Fprintln(to, "# HELP http_requests_total Requests by the status of the reply.")
	fmt.Fprintln(to, "# TYPE http_requests_total counter")
	fmt.Fprintf(to, "http_requests_total{version=%q,code=\"200\"} %d\n", version, c.good)
	fmt.Fprintf(to, "http_requests_total{version=%q,code=\"503\"} %d\n", version, c.bad)
}
