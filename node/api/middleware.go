package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"syncline/node"
	"syncline/node/api/wire"
)

// requestBytesMax bounds the JSON body of a request other than an import or a transaction. It leaves room for a value of the largest size in
// which every byte is escaped.
const requestBytesMax = 8 << 20

// wrap puts the checks that every request passes in front of the routes.
func (s *Server) wrap(routes http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &reply{ResponseWriter: rw}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := checkCaller(r.Context()); err != nil {
			s.fail(w, r, err)
			return
		}
		if err := checkURL(r.URL); err != nil {
			s.fail(w, r, err)
			return
		}
		if err := checkForm(r); err != nil {
			s.fail(w, r, err)
			return
		}
		routes.ServeHTTP(w, r)
		if w.refused != 0 {
			code := w.refused
			w.refused = 0
			s.fail(w, r, refusal(code, r))
		}
	})
}

// checkForm refuses a client that can read nothing but what this API does not offer: it would wait for events that never come.
func checkForm(r *http.Request) error {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return errNoMedia.With("This API has no web sockets.")
	}
	if accepts(r, "text/event-stream") && !accepts(r, ndjson) && !accepts(r, "application/json") && !accepts(r, "*/*") {
		return errNoMedia.With("This API has no event streams (text/event-stream).")
	}
	return nil
}

// space returns the space that the request names by ?space=, or the default one.
func (s *Server) space(r *http.Request) (*node.Space, error) {
	return s.node.Space(r.URL.Query().Get("space"))
}

// flag reports whether a query parameter says yes.
func flag(r *http.Request, name string) (bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, node.ErrBadRequest.With("%s is 1 or 0, not “%s”.", name, v)
	}
	return on, nil
}

// number returns a query parameter that counts something; 0 if it is absent.
func number(r *http.Request, name string) (int, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, node.ErrBadRequest.With("%s is a number from 1, not “%s”.", name, v)
	}
	return n, nil
}

// duration reads a length of time as "30s", at most the given one; empty stands for def.
func duration(name, v string, def, most time.Duration) (time.Duration, error) {
	if v == "" {
		return def, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, node.ErrBadRequest.With("%s is a length of time as 30s or 10m, not “%s”.", name, v)
	}
	if d > most {
		return 0, node.ErrBadRequest.With("%s is at most %v, not %s.", name, most, v)
	}
	return d, nil
}

// answer writes one document.
func answer(w http.ResponseWriter, status int, doc any) error {
	body, err := wire.Encode(doc)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	return ignoreGone(err)
}

// ignoreGone drops the error of writing to a client that has left: there is nobody to tell.
func ignoreGone(error) error { return nil }

// question reads the JSON body of a request into doc. It refuses fields that it does not know, and what follows the document.
func question(r *http.Request, doc any) error { return questionOf(r, doc, requestBytesMax) }

// questionOf is question with another bound of the body.
func questionOf(r *http.Request, doc any, bytesMax int) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, int64(bytesMax)))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return tooLarge("The request", bytesMax)
	case err != nil:
		return node.ErrBadRequest.With("The body ended early.").Because(err)
	case len(bytes.TrimSpace(body)) == 0:
		return nil // an empty body asks for the defaults
	}
	if err := wire.Decode(body, doc); err != nil {
		return node.ErrBadRequest.With("The body is not what this route takes: %v.", err).Next("docs/reference/api.md shows the body of each route.")
	}
	return nil
}
