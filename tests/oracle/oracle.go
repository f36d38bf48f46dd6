// SPDX-License-Identifier: Apache-2.0

// oracle is Go's net/http client on strings: it does what the lines of JSON on its standard input say, and writes each
// call of an httptrace hook to its standard output as "REQUEST LINE", in the order of the calls. Lines are worded as
// tests/oracle/go_lines.cc words those of conntrace, so that the two can be compared. Only the standard library.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options struct {
	MaxIdleConns          int           `json:"max_idle_conns"`
	MaxIdleConnsPerHost   int           `json:"max_idle_conns_per_host"`
	MaxConnsPerHost       int           `json:"max_conns_per_host"`
	IdleConnTimeout       time.Duration `json:"idle_conn_timeout"`
	ExpectContinueTimeout time.Duration `json:"expect_continue_timeout"`
	DisableKeepAlives     bool          `json:"disable_keep_alives"`
	CAFile                string        `json:"ca_file"`
}

type command struct {
	Do      string      `json:"do"`
	Request int         `json:"request"`
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	// BodyBytes of a body follow the line.
	BodyBytes int `json:"body_bytes"`

	body []byte
}

// oracle holds what the hooks of concurrent requests share.
type oracle struct {
	client    http.Client
	transport *http.Transport

	mutex   sync.Mutex
	conns   map[net.Conn]int // numbered in the order in which requests got them
	cancels map[int]context.CancelFunc
}

func (o *oracle) say(request int, format string, args ...interface{}) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	fmt.Printf("%d %s\n", request, fmt.Sprintf(format, args...))
}

func (o *oracle) connNumber(conn net.Conn) int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.conns[conn] == 0 {
		o.conns[conn] = len(o.conns) + 1
	}
	return o.conns[conn]
}

// Go's own words for why a connection was not pooled. They are not exported: only the text can be compared.
var putErrors = map[string]string{
	"http: putIdleConn: too many idle connections for host": "max_idle_conns_per_host",
	"http: putIdleConn: CloseIdleConnections was called":    "close_idle_connections",
	"http: putIdleConn: connection is in bad state":         "bad_state",
	"http: putIdleConn: keep alives disabled":               "keep_alives_disabled",
	"http: putIdleConn: too many idle connections":          "max_idle_conns",
}

// class names an error as both sides do. What it does not know it shows as it is, so that the comparison fails.
func class(err error) string {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no_such_host"
	case errors.As(err, &authority):
		return "unknown_authority"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected_eof"
	case errors.Is(err, io.EOF):
		return "eof"
	case errors.Is(err, context.Canceled), strings.Contains(err.Error(), "operation was canceled"):
		return "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	if name := putErrors[err.Error()]; name != "" {
		return name
	}
	return err.Error()
}

func tlsVersion(version uint16) string {
	switch version {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return "-"
}

func (o *oracle) trace(request int) *httptrace.ClientTrace {
	say := func(format string, args ...interface{}) { o.say(request, format, args...) }
	return &httptrace.ClientTrace{
		GetConn: func(hostPort string) { say("get_conn %s", hostPort) },
		GotConn: func(info httptrace.GotConnInfo) {
			say("got_conn %d reused=%t was_idle=%t idle_time=%t", o.connNumber(info.Conn), info.Reused, info.WasIdle,
				info.IdleTime > 0)
		},
		PutIdleConn:          func(err error) { say("put_idle_conn %s", class(err)) },
		GotFirstResponseByte: func() { say("got_first_response_byte") },
		Got100Continue:       func() { say("got_100_continue") },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			say("got_1xx_response %d", code)
			return nil
		},
		DNSStart: func(info httptrace.DNSStartInfo) { say("dns_start %s", info.Host) },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			addresses := []string{}
			for _, address := range info.Addrs {
				addresses = append(addresses, address.String())
			}
			say("dns_done %s coalesced=%t [%s]", class(info.Err), info.Coalesced, strings.Join(addresses, " "))
		},
		ConnectStart: func(network, address string) { say("connect_start %s %s", network, address) },
		ConnectDone: func(network, address string, err error) {
			say("connect_done %s %s %s", network, address, class(err))
		},
		TLSHandshakeStart: func() { say("tls_handshake_start") },
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			version := "-"
			if err == nil {
				version = tlsVersion(state.Version)
			}
			say("tls_handshake_done %s %s", class(err), version)
		},
		WroteHeaderField: func(key string, value []string) {
			say("wrote_header_field %s: %s", key, strings.Join(value, " | "))
		},
		WroteHeaders:    func() { say("wrote_headers") },
		Wait100Continue: func() { say("wait_100_continue") },
		WroteRequest:    func(info httptrace.WroteRequestInfo) { say("wrote_request %s", class(info.Err)) },
	}
}

func (o *oracle) run(ctx context.Context, c command) {
	var body io.Reader
	if len(c.body) > 0 {
		body = bytes.NewReader(c.body)
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, o.trace(c.Request)), c.Method, c.URL, body)
	if err != nil {
		o.say(c.Request, "done %s", class(err))
		return
	}
	for _, field := range c.Headers {
		request.Header.Add(field[0], field[1])
	}
	response, err := o.client.Do(request)
	if err != nil {
		o.say(c.Request, "done %s", class(err))
		return
	}
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		o.say(c.Request, "done %d %s", response.StatusCode, class(err))
		return
	}
	o.say(c.Request, "done %d ok %q", response.StatusCode, text)
}

// look says what no hook says: how many requests wait for a connection, dials are under way and connections are open.
// Each is a goroutine, and its stack says where it is.
func (o *oracle) look() {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	waiting, dialling, open := 0, 0, 0
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		header := stack[:strings.IndexByte(stack+"\n", '\n')]
		switch {
		case strings.Contains(stack, "\nnet/http.(*Transport).getConn(") && strings.Contains(header, "[select"):
			waiting++
		case strings.Contains(stack, "\nnet/http.(*Transport).dialConnFor("):
			dialling++
		case strings.Contains(stack, "\nnet/http.(*persistConn).readLoop("):
			open++
		}
	}
	o.say(0, "look %d %d %d", waiting, dialling, open)
}

func newOracle(options options) (*oracle, error) {
	trust := x509.NewCertPool()
	if options.CAFile != "" {
		pem, err := os.ReadFile(options.CAFile)
		if err != nil {
			return nil, err
		}
		if !trust.AppendCertsFromPEM(pem) {
			return nil, errors.New("no certificate in " + options.CAFile)
		}
	}
	transport := &http.Transport{
		MaxIdleConns:          options.MaxIdleConns,
		MaxIdleConnsPerHost:   options.MaxIdleConnsPerHost,
		MaxConnsPerHost:       options.MaxConnsPerHost,
		IdleConnTimeout:       options.IdleConnTimeout,
		ExpectContinueTimeout: options.ExpectContinueTimeout,
		DisableKeepAlives:     options.DisableKeepAlives,
		DisableCompression:    true,
		TLSClientConfig:       &tls.Config{RootCAs: trust},
	}
	return &oracle{
		client:    http.Client{Transport: transport},
		transport: transport,
		conns:     map[net.Conn]int{},
		cancels:   map[int]context.CancelFunc{},
	}, nil
}

func serve() error {
	input := bufio.NewReader(os.Stdin)
	read := func(line interface{}) error {
		text, err := input.ReadBytes('\n')
		if err != nil {
			return err
		}
		return json.Unmarshal(text, line)
	}
	var options options
	if err := read(&options); err != nil {
		return err
	}
	o, err := newOracle(options)
	if err != nil {
		return err
	}
	for {
		var c command
		if err := read(&c); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		c.body = make([]byte, c.BodyBytes)
		if _, err := io.ReadFull(input, c.body); err != nil {
			return err
		}
		switch c.Do {
		case "start":
			ctx, cancel := context.WithCancel(context.Background())
			o.cancels[c.Request] = cancel
			go o.run(ctx, c)
		case "cancel":
			o.cancels[c.Request]()
		case "close_idle":
			o.transport.CloseIdleConnections()
		case "look":
			o.look()
		default:
			return errors.New("unknown command " + c.Do)
		}
	}
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}
