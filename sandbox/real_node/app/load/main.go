// load URL RATE [SOURCES]: requests at a steady rate until its standard input ends, each on a connection of its own, from
// each of the addresses in turn. One line for each: when it began (Unix milliseconds), how long it took (milliseconds), the
// first word of the reply, or "!" and the cause where there was none, and the address that it came from.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func reply(client *http.Client, url string) string {
	response, err := client.Get(url)
	if err != nil {
		return "!" + cause(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "!" + cause(err)
	}
	if response.StatusCode != http.StatusOK {
		return "!" + strconv.Itoa(response.StatusCode)
	}
	word, _, _ := strings.Cut(string(body), " ")
	return word
}

func cause(err error) string {
	text := err.Error()
	return strings.ReplaceAll(text[strings.LastIndex(text, ": ")+1:], " ", "_")
}

func clientFrom(source string) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	return &http.Client{
		Timeout:   20 * time.Second, // of a busy machine: only what is refused or cut off is lost
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext},
	}
}

func main() {
	url := os.Args[1]
	rate, _ := strconv.ParseFloat(os.Args[2], 64)
	sources := []string{""}
	if len(os.Args) > 3 {
		sources = strings.Split(os.Args[3], ",")
	}
	clients := make([]*http.Client, len(sources))
	for index, source := range sources {
		clients[index] = clientFrom(source)
	}
	sent := 0
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(ended) }()
	var lock sync.Mutex
	var running sync.WaitGroup
	ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
	for {
		select {
		case <-ended:
			running.Wait()
			return
		case <-ticker.C:
			running.Add(1)
			turn := sent % len(sources)
			sent++
			go func() {
				defer running.Done()
				began := time.Now()
				word := reply(clients[turn], url)
				lock.Lock()
				defer lock.Unlock()
				fmt.Printf("%d %d %s %s\n", began.UnixMilli(), time.Since(began).Milliseconds(), word, sources[turn])
			}()
		}
	}
}
