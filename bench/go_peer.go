// SPDX-License-Identifier: Apache-2.0

// The Go peer of bench/run: net/http's Client, goroutines that each wait for their response.
// Prints the line that client_bench prints.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	url         = flag.String("url", "", "what it asks for")
	concurrency = flag.Int("concurrency", 1, "requests under way at once")
	warmUp      = flag.Float64("warm-up", 0.3, "seconds before the measurement")
	seconds     = flag.Float64("seconds", 2, "of the measurement")
	trace       = flag.Bool("trace", false, "set every hook of httptrace, each counting")
	caFile      = flag.String("ca-file", "", "whom to trust, if the URL is https")

	requests, failed, bodyBytes, hooks int64
	stop                               int32
)

func hook() { atomic.AddInt64(&hooks, 1) }

func countingTrace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:              func(string) { hook() },
		GotConn:              func(httptrace.GotConnInfo) { hook() },
		PutIdleConn:          func(error) { hook() },
		GotFirstResponseByte: hook,
		Got100Continue:       hook,
		Got1xxResponse:       func(int, textproto.MIMEHeader) error { hook(); return nil },
		DNSStart:             func(httptrace.DNSStartInfo) { hook() },
		DNSDone:              func(httptrace.DNSDoneInfo) { hook() },
		ConnectStart:         func(string, string) { hook() },
		ConnectDone:          func(string, string, error) { hook() },
		TLSHandshakeStart:    hook,
		TLSHandshakeDone:     func(tls.ConnectionState, error) { hook() },
		WroteHeaderField:     func(string, []string) { hook() },
		WroteHeaders:         hook,
		Wait100Continue:      hook,
		WroteRequest:         func(httptrace.WroteRequestInfo) { hook() },
	}
}

func work(client *http.Client) {
	for atomic.LoadInt32(&stop) == 0 {
		request, err := http.NewRequest("GET", *url, nil)
		if err != nil {
			log.Fatal(err)
		}
		if *trace {
			request = request.WithContext(httptrace.WithClientTrace(request.Context(), countingTrace()))
		}
		response, err := client.Do(request)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(response.Body)
			response.Body.Close()
			atomic.AddInt64(&bodyBytes, int64(len(body)))
		}
		if err != nil || response.StatusCode != 200 {
			atomic.AddInt64(&failed, 1)
		}
		atomic.AddInt64(&requests, 1)
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func main() {
	flag.Parse()
	roots := x509.NewCertPool()
	if *caFile != "" {
		pem, err := os.ReadFile(*caFile)
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			log.Fatalf("go_peer: %s: %v", *caFile, err)
		}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: *concurrency, TLSClientConfig: &tls.Config{RootCAs: roots}}
	client := &http.Client{Transport: transport}
	var workers sync.WaitGroup
	for i := 0; i < *concurrency; i++ {
		workers.Add(1)
		go func() { defer workers.Done(); work(client) }()
	}
	time.Sleep(time.Duration(*warmUp * 1e9))
	start, cpu, before := time.Now(), cpuSeconds(), atomic.LoadInt64(&requests)
	time.Sleep(time.Duration(*seconds * 1e9))
	after, used, elapsed := atomic.LoadInt64(&requests), cpuSeconds()-cpu, time.Since(start).Seconds()
	atomic.StoreInt32(&stop, 1)
	workers.Wait()
	err := json.NewEncoder(os.Stdout).Encode(map[string]any{
		"peer": "go", "concurrency": *concurrency, "requests": after - before, "seconds": elapsed, "cpu_seconds": used,
		"failed": failed, "body_bytes": bodyBytes, "hooks": hooks, "total": requests, "records_lost": 0,
		"version": runtime.Version(),
	})
	if err != nil || failed != 0 {
		os.Exit(1)
	}
}
