// The demo app: replies with its version, and can fail, be slow, be unready, crash or leak memory.
//
//	VERSION      what it replies
//	NAME         "auth" replies to /login too ("hello")
//	READY_AFTER  seconds until /readiness replies 200 (0)
//	CRASH        "start": exit 1 at once; "after=N": exit 3 after N seconds; "done": exit 0 at once, as an init container
//	MEMORY       megabytes that it takes hold of (0)
//	DRAIN        seconds between SIGTERM and the end of its listener (0)
//	CRASH_OF     write this to standard error before a crash
//	ERRORS       percent of the replies that are 503 instead, spread evenly (0)
//	DELAY        milliseconds before each reply (0)
//	LISTEN       where it listens (":80"); by default its probes are answered at :81 too
//
// ERRORS and DELAY leave probes and /metrics alone. GET /who replies in one line of text; POST /ready?value=false|true switches
// readiness; GET /slow?ms=N replies late; POST /crash ends it. With a configuration of nginx in /etc/nginx/conf.d it is a reverse
// proxy instead, see proxy.go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func seconds(name string) time.Duration {
	value, _ := strconv.ParseFloat(env(name, "0"), 64)
	return time.Duration(value * float64(time.Second))
}

func log(format string, values ...any) {
	fmt.Printf(time.Now().UTC().Format("2006-01-02T15:04:05.000Z ")+format+"\n", values...)
}

func crash(code int) {
	fmt.Fprintln(os.Stderr, env("CRASH_OF", "panic: could not connect to db.internal:5432: connection refused"))
	os.Exit(code)
}

var held [][]byte

func takeMemory() {
	megabytes, _ := strconv.Atoi(env("MEMORY", "0"))
	for range megabytes {
		block := make([]byte, 1<<20)
		for index := range block {
			block[index] = 1
		}
		held = append(held, block)
	}
}

func reply(w http.ResponseWriter, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body)
}

// probes are what a kubelet and Prometheus ask; they count as no request of the app.
func probes(version string, ready *atomic.Bool, counts *counts) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readiness", func(w http.ResponseWriter, r *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) { counts.write(w, version) })
	return mux
}

func routes(name, version, host string, ready *atomic.Bool) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) { reply(w, map[string]string{"version": version}) })
	mux.HandleFunc("/hostname", func(w http.ResponseWriter, r *http.Request) { reply(w, map[string]string{"hostname": host}) })
	if name == "auth" {
		mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) { reply(w, map[string]string{"token": "demo"}) })
	}
	mux.HandleFunc("POST /ready", func(w http.ResponseWriter, r *http.Request) { ready.Store(r.FormValue("value") != "false") })
	mux.HandleFunc("POST /crash", func(w http.ResponseWriter, r *http.Request) { crash(2) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		milliseconds, _ := strconv.Atoi(r.FormValue("ms"))
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
		fmt.Fprintf(w, "%s %s\n", version, host)
	})
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", version, host, r.RemoteAddr)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { reply(w, map[string]string{"message": "Hello"}) })
	return mux
}

// behaving serves what the app replies, as often and as fast as it is told to; what no path of it matches goes to others.
func behaving(app, others *http.ServeMux, counts *counts) http.HandlerFunc {
	percent, _ := strconv.ParseFloat(env("ERRORS", "0"), 64)
	milliseconds, _ := strconv.Atoi(env("DELAY", "0"))
	return func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := others.Handler(r); pattern != "" {
			others.ServeHTTP(w, r)
			return
		}
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
		if counts.next(percent) {
			http.Error(w, "503 service unavailable", http.StatusServiceUnavailable)
			return
		}
		app.ServeHTTP(w, r)
	}
}

// serveProbesApart where the port is free: of two containers of a pod only one can have it.
func serveProbesApart(handler http.Handler) {
	if os.Getenv("LISTEN") != "" {
		return
	}
	if listener, err := net.Listen("tcp", ":81"); err == nil {
		go http.Serve(listener, handler)
	}
}

func main() {
	version := env("VERSION", "0.0.0")
	host, _ := os.Hostname()
	log("hello %s starts in %s", version, host)
	if env("CRASH", "") == "start" {
		crash(1)
	}
	if env("CRASH", "") == "done" {
		return
	}
	if after, found := strings.CutPrefix(env("CRASH", ""), "after="); found {
		value, _ := strconv.ParseFloat(after, 64)
		time.AfterFunc(time.Duration(value*float64(time.Second)), func() { crash(3) })
	}
	takeMemory()
	var ready atomic.Bool
	time.AfterFunc(seconds("READY_AFTER"), func() { ready.Store(true); log("ready") })

	var counts counts
	own := probes(version, &ready, &counts)
	server := &http.Server{Addr: env("LISTEN", ":80"), Handler: behaving(routes(env("NAME", "hello"), version, host, &ready), own, &counts)}
	serve := server.ListenAndServe
	if proxy := configuredProxy(); proxy != nil {
		server.Addr, server.Handler = proxy.address(), proxy
		serve = proxy.serving(server)
	}
	serveProbesApart(own)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		<-signals
		log("SIGTERM")
		time.Sleep(seconds("DRAIN"))
		server.Shutdown(context.Background())
		close(done)
	}()
	if err := serve(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-done
}
