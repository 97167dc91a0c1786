package client

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"iter"
	"net/http"

	"syncline/node"
	"syncline/node/api/wire"
)

// PutOptions says under which conditions and how a value is stored.
type PutOptions struct {
	Type      string // "lww" or "multi"; empty keeps the type of the entry
	IfVersion string
	IfAbsent  bool
}

// Put stores a value.
func (c *Client) Put(ctx context.Context, path string, v node.Content, o PutOptions) (wire.Put, error) {
	h := http.Header{}
	if v.Type != "" {
		h.Set("Content-Type", v.Type)
	}
	if o.IfVersion != "" {
		h.Set("If-Match", `"`+o.IfVersion+`"`)
	}
	if o.IfAbsent {
		h.Set("If-None-Match", "*")
	}
	var doc wire.Put
	err := c.call(ctx, request{
		method: http.MethodPut, path: "/v1/kv/" + escape(path), query: query("type", o.Type), header: h,
		body: bytes.NewReader(v.Data),
	}, nil, &doc)
	return doc, err
}

// Raw is the shown value of an entry.
type Raw struct {
	node.Content
	Version  string
	Device   string // the whole id; empty if it is not known
	Conflict string // how many values compete, "" if none do
	// Settled is how many values compete where Policy shows what they come to, and "" otherwise.
	Settled, Policy string
}

// Get returns the shown value.
func (c *Client) Get(ctx context.Context, path string) (Raw, error) {
	res, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/kv/" + escape(path)})
	if err != nil {
		return Raw{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return Raw{}, c.failure(ctx, err)
	}
	h := res.Header
	return Raw{
		Content: node.Content{Data: data, Type: h.Get("Content-Type")},
		Version: trimQuotes(h.Get("ETag")), Device: h.Get("Peer-Device"), Conflict: h.Get("Peer-Conflict"),
		Settled: h.Get("Peer-Settled"), Policy: h.Get("Peer-Policy"),
	}, nil
}

func trimQuotes(s string) string {
	if len(s) > 1 && s[0] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// Entry returns an entry with all its values.
func (c *Client) Entry(ctx context.Context, path string) (wire.Entry, error) {
	var doc wire.Entry
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/entries/" + escape(path)}, nil, &doc)
	return doc, err
}

// List yields the entries under a prefix in the order of paths, with their values if values is set. If entries cannot be read it
// yields the others, and then [ErrDamaged]; if the device still receives what others have, it yields what is here, and then
// [node.ErrFilling].
func (c *Client) List(ctx context.Context, prefix string, values bool) iter.Seq2[wire.Entry, error] {
	return lines[wire.Entry](ctx, c, request{
		method: http.MethodGet, path: "/v1/entries", query: query("prefix", prefix, "values", yes(values)),
	})
}

// Delete deletes the shown value of an entry, or with all every value.
func (c *Client) Delete(ctx context.Context, path string, all bool) (wire.Del, error) {
	var doc wire.Del
	err := c.call(ctx, request{
		method: http.MethodDelete, path: "/v1/kv/" + escape(path), query: query("all", yes(all)),
		header: set(nil, "Prefer", "return=representation"),
	}, nil, &doc)
	return doc, err
}

// DeleteIf deletes every value of an entry, if its version still is the one given.
func (c *Client) DeleteIf(ctx context.Context, path, version string) (wire.Del, error) {
	var doc wire.Del
	h := set(nil, "Prefer", "return=representation")
	err := c.call(ctx, request{
		method: http.MethodDelete, path: "/v1/kv/" + escape(path), header: set(h, "If-Match", `"`+version+`"`),
	}, nil, &doc)
	return doc, err
}

// DeletePrefix deletes every entry under a prefix, or only says which it would.
func (c *Client) DeletePrefix(ctx context.Context, prefix string, dryRun bool) (wire.Del, error) {
	var doc wire.Del
	err := c.call(ctx, request{
		method: http.MethodDelete, path: "/v1/entries", query: query("prefix", prefix, "dry_run", yes(dryRun)),
	}, nil, &doc)
	return doc, err
}

// Export returns the export of a prefix, one line an entry. It ends with [ErrDamaged] if entries had to be left out. While the device
// still receives what others have it is refused with [node.ErrFilling], unless partial is set. The caller closes it.
func (c *Client) Export(ctx context.Context, prefix string, partial bool) (io.ReadCloser, error) {
	res, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/export", query: query("prefix", prefix, "partial", yes(partial))})
	if err != nil {
		return nil, err
	}
	return &stream{ReadCloser: res.Body, fail: func(err error) error {
		if err != io.EOF {
			return c.failure(ctx, err)
		}
		return cmp.Or(damage(res), io.EOF)
	}}, nil
}

// Backup returns a copy of all spaces of the device. The caller closes it.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	res, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/backup"})
	if err != nil {
		return nil, err
	}
	return &stream{ReadCloser: res.Body, fail: func(err error) error {
		if err != io.EOF {
			return c.failure(ctx, err)
		}
		return io.EOF
	}}, nil
}

// stream is the body of an answer whose errors are problems.
type stream struct {
	io.ReadCloser
	fail func(error) error
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	if err != nil {
		err = s.fail(err)
	}
	return n, err
}

// Import sends lines to be stored.
func (c *Client) Import(ctx context.Context, body io.Reader) (wire.Imported, error) {
	var doc wire.Imported
	err := c.call(ctx, request{
		method: http.MethodPost, path: "/v1/import", body: io.NopCloser(body), header: set(nil, "Content-Type", ndjson),
	}, nil, &doc)
	return doc, err
}

// Tx carries out operations together, or none of them; a problem with one of them has its place in Index, from 1.
func (c *Client) Tx(ctx context.Context, ops []wire.TxOp) (wire.TxDone, error) {
	var doc wire.TxDone
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/tx"}, wire.Tx{Ops: ops}, &doc)
	return doc, err
}

// Conflicts yields the open conflicts under a prefix. What cannot be read or is not here yet ends it as it ends List.
func (c *Client) Conflicts(ctx context.Context, prefix string) iter.Seq2[wire.Conflict, error] {
	return lines[wire.Conflict](ctx, c, request{method: http.MethodGet, path: "/v1/conflicts", query: query("prefix", prefix)})
}

// Conflict returns one open Conflict.
func (c *Client) Conflict(ctx context.Context, path string) (wire.Conflict, error) {
	var doc wire.Conflict
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/conflicts/" + escape(path)}, nil, &doc)
	return doc, err
}

// Policies returns the policies of the space and their version.
func (c *Client) Policies(ctx context.Context) (wire.Policies, error) {
	var doc wire.Policies
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/policies"}, nil, &doc)
	return doc, err
}

// SetPolicies makes p all the policies of the space, if their version still is p.Version.
func (c *Client) SetPolicies(ctx context.Context, p wire.Policies) (wire.Policies, error) {
	var doc wire.Policies
	h := set(nil, "If-Match", `"`+p.Version+`"`)
	err := c.call(ctx, request{method: http.MethodPut, path: "/v1/policies", header: h}, wire.Policies{Policies: p.Policies}, &doc)
	return doc, err
}

// Resolve closes a Conflict and returns the entry as it is then.
func (c *Client) Resolve(ctx context.Context, r wire.Resolve) (wire.Resolved, error) {
	var doc wire.Resolved
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/resolve"}, r, &doc)
	return doc, err
}

// PreviewResolve returns what Resolve would do, and does nothing.
func (c *Client) PreviewResolve(ctx context.Context, r wire.Resolve) (wire.Preview, error) {
	r.DryRun = true
	var doc wire.Preview
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/resolve"}, r, &doc)
	return doc, err
}

// Repair looks for damaged records and puts whole ones in their place.
func (c *Client) Repair(ctx context.Context, r wire.Repair) (wire.Repaired, error) {
	var doc wire.Repaired
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/repair"}, r, &doc)
	return doc, err
}

// Undo takes back a resolution of this device, the last one if id is empty, and returns the entry as it is then.
func (c *Client) Undo(ctx context.Context, id string) (wire.Entry, error) {
	var doc wire.Entry
	path := "/v1/undo"
	if id != "" {
		path += "/" + escape(id)
	}
	err := c.call(ctx, request{method: http.MethodPost, path: path}, nil, &doc)
	return doc, err
}
