// load URL RATE: requests at a steady rate until its standard input ends, each on a connection of its own.
// One line for each: when it began (Unix milliseconds), how long it took (milliseconds), and the first word of the reply,
// or "!" and the cause where there was none.
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

func main() {
	url := os.Args[1]
	rate, _ := strconv.ParseFloat(os.Args[2], 64)
	client := &http.Client{
		Timeout: 20 * time.Second, // of a busy machine: only what is refused or cut off is lost
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		},
	}
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
			go func() {
				defer running.Done()
				began := time.Now()
				word := reply(client, url)
				lock.Lock()
				defer lock.Unlock()
				fmt.Printf("%d %d %s\n", began.UnixMilli(), time.Since(began).Milliseconds(), word)
			}()
		}
	}
}
