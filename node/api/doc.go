// Package api serves one node over HTTP, on a Unix socket that only its owner can use.
//
// It is a translation and holds no state of its own: every route is one call of node's public API. Values go as raw bytes
// under /v1/kv/, as JSON under /v1/entries/, and errors always as application/problem+json. docs/reference/api.md lists the
// routes. Package client speaks the other side, package wire holds the documents in between.
package api
