// Package client speaks to the local API of a running peer: what the command line uses, for Go programs that want the same.
//
// Every method is one request. Errors are *node.Problem and match node's Err… values under errors.Is, as if the node were in
// this process; [ErrNotRunning] says that nobody answers, [ErrTimeout] that the context's time was over.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"syncline/node"
	"syncline/node/api/wire"
)

// Problems of the way to the daemon.
var (
	ErrNotRunning = &node.Problem{Code: "not_running", Status: http.StatusServiceUnavailable, Title: "No peer is running here", Hint: "Start it:  peer up -d", Retryable: true}
	ErrTimeout    = &node.Problem{Code: "timeout", Status: http.StatusGatewayTimeout, Title: "Timed out", Hint: "Give it more time:  --timeout 1m", Retryable: true}
	ErrCutOff     = &node.Problem{Code: "cut_off", Status: http.StatusBadGateway, Title: "The answer was cut off", Hint: "See whether peer is running, and what it warns of:  peer status", Retryable: true}
	ErrDamaged    = &node.Problem{Code: "entries_damaged", Status: http.StatusInternalServerError, Title: "Entries are damaged", Hint: "Fetch them from a connected device:  peer repair"}
)

// A Client talks to one daemon about one space. It is safe for concurrent use.
type Client struct {
	http   *http.Client
	socket string
	space  string
}

// New returns a client of the daemon that listens on a Unix socket. The space is a name or an id; "" is the default space.
func New(socket, space string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{
		http:   &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}},
		socket: socket, space: space,
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request describes one request; only method and path are needed.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         io.Reader
}

// do sends a request and returns the answer if it is a success. The caller closes its body.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	if c.space != "" {
		if q.query == nil {
			q.query = url.Values{}
		}
		q.query.Set("space", c.space)
	}
	address := "http://peer" + q.path
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.method, address, q.body)
	if err != nil {
		return nil, node.ErrBadRequest.Because(err)
	}
	if q.header != nil {
		req.Header = q.header
	}
	res, err := c.http.Do(req)
	if err != nil && q.method == http.MethodGet && errors.Is(err, syscall.ECONNRESET) {
		// A daemon that was killed a moment ago leaves connections that it never took. Asking again tells whether one is there.
		res, err = c.http.Do(req)
	}
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	if res.StatusCode >= 400 {
		defer res.Body.Close()
		return nil, problemIn(res)
	}
	return res, nil
}

// failure finds the problem in an error of the transport.
func (c *Client) failure(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ErrTimeout.With("There was no answer in time.")
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrPermission):
		return node.ErrForbidden.With("The socket %s belongs to another user.", c.socket).Next("Start your own:  peer up -d")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.ENOTDIR):
		return ErrNotRunning.With("Nothing answers at %s.", c.socket)
	}
	p := ErrCutOff.With("%s", reason(err))
	p.Cause = err
	return p
}

// reason says for people why a connection ended; that it did is all that some errors know.
func reason(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next // the outer ones repeat the request
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "The daemon ended in the middle of it, or met something that it could not read."
	}
	return err.Error()
}

// problemIn reads the problem document of an answer.
func problemIn(res *http.Response) error {
	var doc wire.Problem
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && json.Unmarshal(body, &doc) == nil && doc.Code != "" {
		return doc.Err()
	}
	return node.ErrInternal.With("The daemon answered %s.", res.Status)
}

// call sends ask as JSON, if it is not nil, and reads the answer into doc, if that is not nil.
func (c *Client) call(ctx context.Context, q request, ask, doc any) error {
	if ask != nil {
		body, err := wire.Encode(ask)
		if err != nil {
			return node.ErrBadRequest.Because(err)
		}
		q.body = bytes.NewReader(body)
		q.header = set(q.header, "Content-Type", "application/json")
	}
	res, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if doc == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(doc); err != nil {
		return c.failure(ctx, fmt.Errorf("%s %s: %w", q.method, q.path, err))
	}
	return nil
}

// damage returns an [ErrDamaged] if the trailer of an answer that has been read to its end says that entries were left out.
func damage(res *http.Response) error {
	lost, path := res.Trailer.Get(wire.TrailerDamaged), res.Trailer.Get(wire.TrailerDamagedPath)
	if lost == "" {
		return nil
	}
	path, err := url.QueryUnescape(path)
	if err != nil {
		path = ""
	}
	if path == "" {
		return ErrDamaged.With("A file of the store is damaged. What lies in it cannot be named; it was left out, and everything else is listed.").Next(node.ErrFileDamaged.Hint)
	}
	return ErrDamaged.With("%s cannot be read here, the first is %s; they were left out, and everything else is listed.", lost, path).On(path)
}

// filling returns a [node.ErrFilling] if the header of a list says that more belongs to it than is there.
func filling(res *http.Response) error {
	from := res.Header.Get(wire.HeaderFilling)
	if len(res.Header[wire.HeaderFilling]) == 0 {
		return nil
	}
	if path, err := url.QueryUnescape(from); err == nil {
		from = path
	}
	return node.Filling{Ranges: 1, From: from}.Err()
}

func set(h http.Header, key, value string) http.Header {
	if h == nil {
		h = http.Header{}
	}
	h.Set(key, value)
	return h
}

// escape writes an entry's path as part of a URL. Slashes stay.
func escape(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

// query builds the parameters of a URL from pairs; pairs with an empty value are left out.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func yes(on bool) string {
	if on {
		return "1"
	}
	return ""
}
