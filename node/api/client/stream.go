package client

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"

	"syncline/node/api/wire"
)

const ndjson = "application/x-ndjson"

// lines asks for a stream and yields its lines. An [ErrDamaged] or [node.ErrFilling] comes after the last one.
func lines[T any](ctx context.Context, c *Client, q request) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		q.header = set(nil, "Accept", ndjson)
		res, err := c.do(ctx, q)
		if err != nil {
			yield(none, err)
			return
		}
		defer res.Body.Close()
		d := json.NewDecoder(bufio.NewReader(res.Body))
		for {
			var doc T
			err := d.Decode(&doc)
			if err == io.EOF {
				err := damage(res)
				if err == nil {
					err = filling(res)
				}
				if err != nil {
					yield(none, err)
				}
				return
			}
			if err != nil {
				yield(none, c.failure(ctx, err))
				return
			}
			if !yield(doc, nil) {
				return
			}
		}
	}
}

// A Line is one line of the feed. Change is set if Type is that of a change, Raw always.
type Line struct {
	Type   string
	Cursor string
	Change wire.Change
	Raw    json.RawMessage
}

// Watch yields the lines of the feed as they come, without the heartbeats, until the context or the daemon ends.
func (c *Client) Watch(ctx context.Context, prefix, since string, values bool) iter.Seq2[Line, error] {
	raw := lines[json.RawMessage](ctx, c, request{
		method: http.MethodGet, path: "/v1/changes", query: query("prefix", prefix, "since", since, "values", yes(values)),
	})
	return func(yield func(Line, error) bool) {
		for b, err := range raw {
			l := Line{Raw: b}
			if err == nil {
				err = json.Unmarshal(b, &l.Change)
				l.Type, l.Cursor = l.Change.Type, l.Change.Cursor
			}
			if err == nil && l.Type == wire.LineHeartbeat {
				continue
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}
