package api

import (
	"net/http"
)

// A handler answers one request; an error becomes a problem document.
type handler func(w http.ResponseWriter, r *http.Request) error

// A route is what answers at a pattern, with the parameters that it reads; each reads ?space=, too.
type route struct {
	handler
	reads []string
}

func serve(h handler, reads ...string) route { return route{h, append(reads, "space")} }

// routes lists everything the API can do.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, r := range map[string]route{
		"GET /v1/kv/{path...}":    serve(s.getValue),
		"PUT /v1/kv/{path...}":    serve(s.putValue, "type"),
		"DELETE /v1/kv/{path...}": serve(s.deleteValue, "all"),

		"GET /v1/entries/{path...}": serve(s.getEntry),
		"GET /v1/entries":           serve(s.listEntries, "prefix", "after", "limit", "values"),
		"DELETE /v1/entries":        serve(s.deletePrefix, "prefix", "dry_run"),

		"GET /v1/export":  serve(s.export, "prefix", "partial"),
		"POST /v1/import": serve(s.importLines),
		"POST /v1/tx":     serve(s.transaction),
		"GET /v1/changes": serve(s.changes, "since", "prefix", "wait", "limit", "values"),

		"GET /v1/conflicts":           serve(s.listConflicts, "prefix"),
		"GET /v1/conflicts/{path...}": serve(s.getConflict),
		"POST /v1/resolve":            serve(s.resolve),
		"POST /v1/undo":               serve(s.undo),
		"POST /v1/undo/{id}":          serve(s.undo),

		"GET /v1/history/{path...}": serve(s.getHistory, "limit", "version"),
		"POST /v1/restore":          serve(s.restore),
		"GET /v1/backup":            serve(s.backup),

		"GET /v1/policies": serve(s.getPolicies),
		"PUT /v1/policies": serve(s.putPolicies),

		"POST /v1/repair": serve(s.repair),

		"GET /v1/status":                  serve(s.status),
		"GET /v1/devices":                 serve(s.listDevices),
		"GET /v1/devices/{id}":            serve(s.getDevice),
		"POST /v1/devices/{id}/addresses": serve(s.addAddress),
		"POST /v1/devices/{id}/ping":      serve(s.ping),
		"GET /v1/spaces":                  serve(s.listSpaces),
		"POST /v1/sync/wait":              serve(s.waitSync),

		"GET /v1/invites":              serve(s.listInvites),
		"POST /v1/invites":             serve(s.invite),
		"GET /v1/invites/{id}":         serve(s.getInvite, "wait", "state"),
		"DELETE /v1/invites/{id}":      serve(s.closeInvite),
		"POST /v1/invites/{id}/accept": serve(s.answerInvite(true)),
		"POST /v1/invites/{id}/reject": serve(s.answerInvite(false)),
		"POST /v1/join":                serve(s.join),

		"GET /v1/version": serve(s.version),
		"POST /v1/down":   serve(s.down),
		"GET /healthz":    serve(s.health),
	} {
		mux.Handle(pattern, s.handle(r))
	}
	return mux
}
