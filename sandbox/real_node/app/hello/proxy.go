package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var (
	listens   = regexp.MustCompile(`listen\s+(\d+)\b([^;]*);`)
	upstreams = regexp.MustCompile(`upstream\s+(\S+)\s*\{[^}]*?server\s+([^;\s]+)[^;]*;`)
	locations = regexp.MustCompile(`location\s+(\S+)\s*\{[^}]*?proxy_pass\s+https?://([^;/\s]+)`)
	sslIsOn   = regexp.MustCompile(`\bssl\s+on\s*;`)
)

// proxy is the part of nginx that the demo's frontend needs: one server, whose locations are prefixes of paths.
type proxy struct {
	port    string
	isTLS   bool
	targets map[string]http.Handler
}

// configuredProxy reads /etc/nginx/conf.d; nil where nothing is mounted there.
func configuredProxy() *proxy {
	files, _ := filepath.Glob("/etc/nginx/conf.d/*.conf")
	if len(files) == 0 {
		return nil
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		return nil
	}
	text := string(content)
	made := &proxy{port: "80", targets: map[string]http.Handler{}}
	if found := listens.FindStringSubmatch(text); found != nil {
		made.port, made.isTLS = found[1], strings.Contains(found[2], "ssl") || sslIsOn.MatchString(text)
	}
	servers := map[string]string{}
	for _, found := range upstreams.FindAllStringSubmatch(text, -1) {
		servers[found[1]] = found[2]
	}
	for _, found := range locations.FindAllStringSubmatch(text, -1) {
		host := found[2]
		if server, named := servers[host]; named {
			host = server
		}
		made.targets[found[1]] = forwarding(host)
	}
	return made
}

// forwarding opens a connection for each request, so that each is spread anew by the target's Service.
func forwarding(host string) http.Handler {
	handler := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	handler.Transport = &http.Transport{DisableKeepAlives: true}
	return handler
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	longest := ""
	for prefix := range p.targets {
		if strings.HasPrefix(r.URL.Path, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	if longest == "" {
		http.NotFound(w, r)
		return
	}
	p.targets[longest].ServeHTTP(w, r)
}

func (p *proxy) address() string { return ":" + p.port }

// serving is how the server listens: with a certificate of its own where it speaks TLS, since the demo's files hold none.
func (p *proxy) serving(server *http.Server) func() error {
	if !p.isTLS {
		return server.ListenAndServe
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{selfSigned()}}
	return func() error { return server.ListenAndServeTLS("", "") }
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"frontend"}, NotAfter: time.Now().AddDate(1, 0, 0)}
	content, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{content}, PrivateKey: key}
}
