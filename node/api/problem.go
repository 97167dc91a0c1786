package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"syncline/node"
	"syncline/node/api/wire"
)

// Problems that only HTTP knows.
var (
	errNoRoute     = &node.Problem{Code: "route_unknown", Status: http.StatusNotFound, Title: "No such route", Hint: "docs/reference/api.md lists the routes."}
	errMethod      = &node.Problem{Code: "method_not_allowed", Status: http.StatusMethodNotAllowed, Title: "Method not allowed here", Hint: "The header Allow lists the methods of this route."}
	errRange       = &node.Problem{Code: "range_invalid", Status: http.StatusRequestedRangeNotSatisfiable, Title: "Range not satisfiable", Hint: "Ask for bytes within the size of the value."}
	errNoMedia     = &node.Problem{Code: "not_acceptable", Status: http.StatusNotAcceptable, Title: "Not offered in that form", Hint: "Follow GET /v1/changes as lines, with Accept: application/x-ndjson, or by ?wait=30s."}
	errInterrupted = &node.Problem{Code: "interrupted", Status: 499, Title: "Interrupted", Hint: "Run it again.", Retryable: true}
)

// A reply is the ResponseWriter of one request. It remembers whether the answer has begun, and holds back plain-text errors
// of net/http, which wrap turns into problem documents.
type reply struct {
	http.ResponseWriter
	begun bool
	// closing is closed when the server closes; from then on a client must take what is written in time.
	closing <-chan struct{}
	// refused is the status of a held-back plain-text error, or 0.
	refused int
}

func (w *reply) WriteHeader(code int) {
	if w.begun || w.refused != 0 {
		return
	}
	if isRedirect(code) || code >= 400 && w.Header().Get("Content-Type") != wire.ProblemType {
		w.refused = code
		return
	}
	w.begun = code >= 200
	w.hurryIfClosing()
	w.ResponseWriter.WriteHeader(code)
}

func (w *reply) Write(b []byte) (int, error) {
	if w.refused != 0 {
		return len(b), nil
	}
	w.begun = true
	w.hurryIfClosing()
	return w.ResponseWriter.Write(b)
}

// hurryIfClosing gives the client its time for what is written next, if the server closes.
func (w *reply) hurryIfClosing() {
	select {
	case <-w.closing:
		w.hurry()
	default:
	}
}

// stallMax is how long a server that closes waits for a client that does not take its answer, from one write to the next.
const stallMax = time.Second

// hurry gives up the client, if it takes nothing for some time from now on.
func (w *reply) hurry() {
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(stallMax))
}

// isRedirect reports whether the mux proposes another spelling of the URL; the API has one spelling of everything.
func isRedirect(code int) bool { return 300 <= code && code < 400 && code != http.StatusNotModified }

// Unwrap lets http.ResponseController find the connection.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// refusal returns the problem for a status that net/http answered by itself.
func refusal(code int, r *http.Request) *node.Problem {
	switch {
	case code == http.StatusNotFound || isRedirect(code):
		return errNoRoute.With("Nothing is served at %s.", r.URL.Path)
	case code == http.StatusMethodNotAllowed:
		return errMethod.With("%s is not possible on %s.", r.Method, r.URL.Path)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return errRange.With("The value has no range %s.", r.Header.Get("Range"))
	case code == http.StatusPreconditionFailed:
		return node.ErrVersionMismatch.With("The version is none of %s.", r.Header.Get("If-Match"))
	}
	return &node.Problem{Code: "http_" + strconv.Itoa(code), Status: code, Title: http.StatusText(code)}
}

// handle adapts a route to net/http.
func (s *Server) handle(to route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := checkParameters(r, to.reads)
		if err == nil {
			err = checkHeaders(r)
		}
		if err == nil {
			err = to.handler(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail answers with the problem that err describes. Once the answer has begun it can only be cut off, so that the client sees
// that it is not whole.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r, err)
	doc := wire.ProblemOf(p)
	doc.RequestID = requestID()
	level := s.log.Debug
	if doc.Status >= 500 && doc.Status != http.StatusGatewayTimeout {
		level = s.log.Error
	}
	level("request failed", "method", r.Method, "route", r.Pattern, "code", doc.Code, "status", doc.Status, "request", doc.RequestID, "err", err)
	if rw, ok := w.(*reply); ok && rw.begun {
		panic(http.ErrAbortHandler)
	}
	body, _ := wire.Encode(doc)
	h := w.Header()
	for _, k := range []string{"Content-Length", "Content-Range", "ETag", "Accept-Ranges", "Location"} {
		h.Del(k)
	}
	h.Set("Content-Type", wire.ProblemType)
	w.WriteHeader(doc.Status)
	if r.Method != http.MethodHead {
		w.Write(append(body, '\n'))
	}
}

// problemOf finds the problem in err; the end of a request's own context is no internal error.
func problemOf(r *http.Request, err error) *node.Problem {
	var p *node.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled) && r.Context().Err() == nil:
		return node.ErrClosed.Because(err)
	case errors.Is(err, context.Canceled):
		return errInterrupted.Because(err)
	}
	return node.ProblemOf(err)
}

func requestID() string {
	var b [4]byte
	rand.Read(b[:])
	return "r_" + hex.EncodeToString(b[:])
}

// tooLarge returns the problem for a body of more than limit bytes.
func tooLarge(what string, limit int) *node.Problem {
	p := node.ErrTooLarge.With("%s has more than %s bytes.", what, grouped(limit)).
		Next("Split it into several entries, or keep it in a file and store its place.")
	p.Limit = limit
	return p
}

// grouped writes n with commas, as 1,048,576.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
