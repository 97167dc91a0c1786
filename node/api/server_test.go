package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/node/api"
	"syncline/node/api/wire"
)

// A peer is a node with its API on a Unix socket.
type peer struct {
	t      *testing.T
	node   *node.Node
	server *api.Server
	socket string
	http   *http.Client
	down   chan struct{}
}

// newPeer starts a node in memory, without a network, and serves it until the test ends.
func newPeer(t *testing.T) *peer { return newPeerOn(t, "laptop", nil) }

// newPeerOn starts a node on a network.
func newPeerOn(t *testing.T, name string, network gossip.Network) *peer {
	t.Helper()
	return newPeerWith(t, node.Config{Name: name, Network: network})
}

// newPeerWith starts a node; its RuntimeDir is set.
func newPeerWith(t *testing.T, cfg node.Config) *peer {
	t.Helper()
	// The name of a socket is short, that of t.TempDir may not be.
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg.RuntimeDir = dir
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, node: n, socket: filepath.Join(dir, "peer.sock"), down: make(chan struct{})}
	l, err := api.Listen(p.socket)
	if err != nil {
		t.Fatal(err)
	}
	p.server = api.New(api.Config{
		Node: n, Version: wire.Version{Schema: wire.SchemaVersion, Version: "test"}, Address: p.socket,
		Shutdown: func() { close(p.down) }, Heartbeat: 20 * time.Millisecond,
	})
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(l) }()
	p.http = &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		p.http.CloseIdleConnections()
		if err := p.server.Close(context.Background()); err != nil {
			t.Errorf("close server: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("close node: %v", err)
		}
	})
	return p
}

// answerTimeout is how long any answer may take; only a deadlock takes so long.
const answerTimeout = 30 * time.Second

// An answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// do sends a request; headers are pairs.
func (p *peer) do(method, url, body string, headers ...string) answer {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://peer"+url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := p.http.Do(req)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatalf("%s %s: body: %v", method, url, err)
	}
	return answer{res, string(b)}
}

// want sends a request and checks the status.
func (p *peer) want(status int, method, url, body string, headers ...string) answer {
	p.t.Helper()
	a := p.do(method, url, body, headers...)
	if a.StatusCode != status {
		p.t.Fatalf("%s %s: got %d, want %d: %s", method, url, a.StatusCode, status, a.body)
	}
	return a
}

// refused sends a request and checks that it is answered with a problem of this status and code.
func (p *peer) refused(status int, code, method, url, body string, headers ...string) wire.Problem {
	p.t.Helper()
	a := p.want(status, method, url, body, headers...)
	if got := a.Header.Get("Content-Type"); got != wire.ProblemType {
		p.t.Errorf("%s %s: an error of type %q, want %q", method, url, got, wire.ProblemType)
	}
	if method == http.MethodHead {
		return wire.Problem{}
	}
	var doc wire.Problem
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		p.t.Fatalf("%s %s: %v in %s", method, url, err, a.body)
	}
	if doc.Code != code || doc.Status != status || doc.Type != "/errors/"+code || doc.Title == "" || doc.RequestID == "" {
		p.t.Errorf("%s %s: got the problem %s, want code %s", method, url, a.body, code)
	}
	return doc
}

// decode reads the document in an answer and checks its schema.
func decode[T any](a answer, schema string) T {
	var doc T
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		panic(fmt.Sprintf("%v in %s", err, a.body))
	}
	if json.Unmarshal([]byte(a.body), &head); head.Schema != schema {
		panic(fmt.Sprintf("schema %q, want %q in %s", head.Schema, schema, a.body))
	}
	return doc
}

// conflict makes an entry with competing values, as another device would have left it.
func (p *peer) conflict(path string, values ...string) {
	p.t.Helper()
	line := wire.Line{Path: path}
	for _, v := range values {
		line.Values = append(line.Values, wire.BodyOf(node.Text(v)))
	}
	b, err := wire.Encode(line)
	if err != nil {
		p.t.Fatal(err)
	}
	p.want(200, "POST", "/v1/import", string(b)+"\n")
}

// A stream is an open feed.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	close func() error
}

func (p *peer) stream(url string) *stream {
	p.t.Helper()
	req, _ := http.NewRequestWithContext(p.t.Context(), "GET", "http://peer"+url, nil)
	req.Header.Set("Accept", "application/x-ndjson")
	res, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	if res.StatusCode != 200 {
		p.t.Fatalf("%s: %s", url, res.Status)
	}
	return &stream{p.t, bufio.NewScanner(res.Body), res.Body.Close}
}

// next returns the next line of one of the given types, or of any if none is given; other lines but heartbeats are errors.
func (s *stream) next(want string) wire.Change {
	s.t.Helper()
	for s.lines.Scan() {
		var doc wire.Change
		if err := json.Unmarshal(s.lines.Bytes(), &doc); err != nil {
			s.t.Fatalf("%v in %s", err, s.lines.Text())
		}
		if doc.Schema != wire.SchemaChange {
			s.t.Errorf("a line without its schema: %s", s.lines.Text())
		}
		if doc.Type == want {
			return doc
		}
		if doc.Type != wire.LineHeartbeat {
			s.t.Fatalf("got the line %s, want type %s", s.lines.Text(), want)
		}
	}
	s.t.Fatalf("the stream ended before a line of type %s: %v", want, s.lines.Err())
	return wire.Change{}
}

// The socket is for its owner alone.
func TestSocketHasMode0600(t *testing.T) {
	p := newPeer(t)
	info, err := os.Stat(p.socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %v, want 0600", got)
	}
}

// Streams and long polls must not hold up the end of a daemon.
func TestCloseEndsStreamsAndLongPolls(t *testing.T) {
	p := newPeer(t)
	s := p.stream("/v1/changes?since=now")
	s.next(wire.LineHello)
	polled := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		res, err := p.http.Get("http://peer/v1/changes?since=now&wait=4m")
		if err == nil {
			res.Body.Close()
		}
		polled <- err
	}()
	<-started
	if err := p.server.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	for s.lines.Scan() {
	}
	<-polled
}

func TestDownEndsTheDaemonOnce(t *testing.T) {
	p := newPeer(t)
	for range 2 {
		doc := decode[wire.Down](p.want(202, "POST", "/v1/down", ""), wire.SchemaDown)
		if !doc.WasRunning || doc.PID != os.Getpid() {
			t.Errorf("got %+v", doc)
		}
	}
	<-p.down
}

func TestEmbeddedServerRefusesDown(t *testing.T) {
	n, err := node.Open(t.Context(), node.Config{RuntimeDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	w := &recorder{header: http.Header{}}
	req, _ := http.NewRequest("POST", "/v1/down", nil)
	api.New(api.Config{Node: n}).ServeHTTP(w, req)
	if w.status != http.StatusForbidden {
		t.Errorf("got %d, want 403", w.status)
	}
}

// A recorder is a ResponseWriter without a connection.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.status = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// A client that stops reading in the middle of an answer does not hold up the end of the server.
func TestAStalledClientDoesNotHoldUpClose(t *testing.T) {
	p := newPeer(t)
	big := strings.Repeat("x", node.ValueBytesMax)
	for i := range 8 { // more than the buffers of a socket hold
		p.want(201, "PUT", fmt.Sprintf("/v1/kv/big/%d", i), big)
	}
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/export HTTP/1.1\r\nHost: peer\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1<<10)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	if err := p.server.Close(ctx); err != nil {
		t.Errorf("the server waited for a client that does not read: %v", err)
	}
}

// TestTheVersionIsThatOfTheProgram: an embedding program that says nothing of itself answers with what its build knows.
func TestTheVersionIsThatOfTheProgram(t *testing.T) {
	n, err := node.Open(t.Context(), node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	w := httptest.NewRecorder()
	api.New(api.Config{Node: n}).ServeHTTP(w, httptest.NewRequest("GET", "/v1/version", nil))
	var v wire.Version
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Schema != wire.SchemaVersion || v.Version == "" || v.Go != runtime.Version() {
		t.Errorf("%s: %v", w.Body, err)
	}
}
