package client

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"syncline/node"
	"syncline/node/api/wire"
)

// History returns the versions of a path, newest first; a limit of 0 means all that are kept.
func (c *Client) History(ctx context.Context, path string, limit int) (wire.History, error) {
	var doc wire.History
	q := request{method: http.MethodGet, path: "/v1/history/" + escape(path)}
	if limit > 0 {
		q.query = query("limit", strconv.Itoa(limit))
	}
	err := c.call(ctx, q, nil, &doc)
	return doc, err
}

// Past returns one version of a path by its name, or by as much of it as tells it from the others.
func (c *Client) Past(ctx context.Context, path, version string) (node.Content, error) {
	q := request{method: http.MethodGet, path: "/v1/history/" + escape(path), query: map[string][]string{"version": {version}}}
	res, err := c.do(ctx, q)
	if err != nil {
		return node.Content{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return node.Content{}, c.failure(ctx, err)
	}
	return node.Content{Data: data, Type: res.Header.Get("Content-Type")}, nil
}

// Restore writes a past value again.
func (c *Client) Restore(ctx context.Context, path, version string) (wire.Restored, error) {
	var doc wire.Restored
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/restore"}, wire.Restore{Path: path, Version: version}, &doc)
	return doc, err
}
