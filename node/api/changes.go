package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"syncline/node"
	"syncline/node/api/wire"
)

// waitMax bounds every long poll.
const waitMax = 5 * time.Minute

// changes answers with a page of the feed, at once or as a long poll, or with an endless stream of lines.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) error {
	prefix, err := cleanPrefix(r.URL.Query().Get("prefix"))
	if err != nil {
		return err
	}
	values, err := flag(r, "values")
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	since := node.Cursor(r.URL.Query().Get("since"))
	if accepts(r, ndjson) {
		if q := r.URL.Query(); q.Has("limit") || q.Has("wait") {
			return node.ErrBadRequest.With("limit and wait are for pages; lines do not end.").Next("Leave them out, or ask for pages: without Accept: " + ndjson)
		}
		return s.streamChanges(w, r, sp, prefix, since, values)
	}
	limit, err := number(r, "limit")
	if err != nil {
		return err
	}
	wait, err := duration("wait", r.URL.Query().Get("wait"), 0, waitMax)
	if err != nil {
		return err
	}
	ctx, stop := s.streaming(r, 0)
	defer stop()
	page, err := sp.Changes(ctx, node.ChangesOptions{Since: since, Prefix: prefix, Limit: limit, Wait: wait})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.ChangesOf(page, values))
}

// next is what the watch of a stream yields.
type next struct {
	event node.Event
	err   error
}

// streamChanges sends lines until the client leaves or the server closes. The first line says hello; a silent stream sends a
// heartbeat, so that both ends notice when the other is gone.
func (s *Server) streamChanges(w http.ResponseWriter, r *http.Request, sp *node.Space, prefix string, since node.Cursor, values bool) error {
	ctx, stop := s.streaming(r, 0)
	events := make(chan next)
	done := make(chan struct{})
	go func() {
		defer close(done)
		watch(ctx, sp, prefix, since, events)
	}()
	defer func() { stop(); <-done }()

	// The first event decides whether this is a stream at all: a cursor that has expired is answered as a problem.
	first, ok := receive(ctx, events)
	if !ok || first.err != nil {
		return cmpErr(first.err, ctx)
	}
	out := &lineWriter{w: w, flush: http.NewResponseController(w)}
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("Cache-Control", "no-store")
	out.send(s.hello(sp, since))
	out.event(first.event, values)

	beat := time.NewTimer(s.cfg.Heartbeat)
	defer beat.Stop()
	cursor := first.event.Cursor
	for out.err == nil {
		beat.Reset(s.cfg.Heartbeat)
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			out.send(wire.Signal{Schema: wire.SchemaChange, Type: wire.LineHeartbeat, Cursor: string(cursor)})
		case n := <-events:
			if n.err != nil {
				return s.endStream(out, n.err)
			}
			cursor = n.event.Cursor
			out.event(n.event, values)
		}
	}
	return nil
}

// watch passes on what the space yields until ctx ends.
func watch(ctx context.Context, sp *node.Space, prefix string, since node.Cursor, events chan<- next) {
	for ev, err := range sp.Watch(ctx, prefix, since) {
		select {
		case events <- next{ev, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func receive(ctx context.Context, events <-chan next) (next, bool) {
	select {
	case n := <-events:
		return n, true
	case <-ctx.Done():
		return next{}, false
	}
}

// cmpErr returns err, or what ended ctx.
func cmpErr(err error, ctx context.Context) error {
	if err == nil {
		return context.Cause(ctx)
	}
	return err
}

// endStream tells the client that it must list again if its cursor has expired meanwhile; any other error cuts the stream off.
func (s *Server) endStream(out *lineWriter, err error) error {
	switch {
	case errors.Is(err, node.ErrCursorExpired):
		out.send(wire.Signal{Schema: wire.SchemaChange, Type: wire.LineReset})
		return nil
	case errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

func (s *Server) hello(sp *node.Space, since node.Cursor) wire.Signal {
	space, device := wire.SpaceOf(sp.Info()), wire.DeviceOf(node.DeviceRef{ID: s.node.ID(), Name: s.node.Name()})
	hello := wire.Signal{Schema: wire.SchemaChange, Type: wire.LineHello, Space: &space, Device: &device}
	if since != node.CursorNow {
		hello.Cursor = string(since)
	}
	return hello
}

// A lineWriter sends documents as lines, each at once.
type lineWriter struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	err   error
}

func (l *lineWriter) event(ev node.Event, values bool) {
	if ev.UpToDate {
		l.send(wire.Signal{Schema: wire.SchemaChange, Type: wire.LineUpToDate, Cursor: string(ev.Cursor)})
		return
	}
	doc := wire.ChangeOf(ev.Change, values)
	doc.Schema = wire.SchemaChange
	if doc.Cursor == "" {
		doc.Cursor = string(ev.Cursor)
	}
	l.send(doc)
}

func (l *lineWriter) send(doc any) {
	if l.err != nil {
		return
	}
	b, err := wire.Encode(doc)
	if err == nil {
		_, err = l.w.Write(append(b, '\n'))
	}
	if err == nil {
		err = l.flush.Flush()
	}
	l.err = err
}
