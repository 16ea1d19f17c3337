// The demo app: replies with its version, and can be slow, unready, crash or leak memory.
//
//	VERSION      what it replies
//	READY_AFTER  seconds until /readiness replies 200 (0)
//	CRASH        "start": exit 1 at once; "after=N": exit 3 after N seconds; "done": exit 0 at once, as an init container
//	MEMORY       megabytes that it takes hold of (0)
//	DRAIN        seconds between SIGTERM and the end of its listener (0)
//	CRASH_OF     write this to standard error before a crash
//
// POST /ready?value=false|true switches readiness; GET /slow?ms=N replies late; POST /crash ends it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
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

func routes(version, host string, ready *atomic.Bool) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"version": version})
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readiness", func(w http.ResponseWriter, r *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("POST /ready", func(w http.ResponseWriter, r *http.Request) { ready.Store(r.FormValue("value") != "false") })
	mux.HandleFunc("POST /crash", func(w http.ResponseWriter, r *http.Request) { crash(2) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		milliseconds, _ := strconv.Atoi(r.FormValue("ms"))
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
		fmt.Fprintf(w, "%s %s\n", version, host)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", version, host, r.RemoteAddr)
	})
	return mux
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

	server := &http.Server{Addr: ":80", Handler: routes(version, host, &ready)}
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
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-done
}
