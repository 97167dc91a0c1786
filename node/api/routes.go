package api

import "net/http"

// A handler answers one request; an error becomes a problem document.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes lists everything the API can do.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /v1/kv/{path...}":    s.getValue,
		"PUT /v1/kv/{path...}":    s.putValue,
		"DELETE /v1/kv/{path...}": s.deleteValue,

		"GET /v1/entries/{path...}": s.getEntry,
		"GET /v1/entries":           s.listEntries,
		"DELETE /v1/entries":        s.deletePrefix,

		"GET /v1/export":  s.export,
		"POST /v1/import": s.importLines,
		"POST /v1/tx":     s.transaction,
		"GET /v1/changes": s.changes,

		"GET /v1/conflicts":           s.listConflicts,
		"GET /v1/conflicts/{path...}": s.getConflict,
		"POST /v1/resolve":            s.resolve,
		"POST /v1/undo":               s.undo,
		"POST /v1/undo/{id}":          s.undo,

		"GET /v1/history/{path...}": s.getHistory,
		"POST /v1/restore":          s.restore,
		"GET /v1/backup":            s.backup,

		"GET /v1/policies": s.getPolicies,
		"PUT /v1/policies": s.putPolicies,

		"POST /v1/repair": s.repair,

		"GET /v1/status":                  s.status,
		"GET /v1/devices":                 s.listDevices,
		"GET /v1/devices/{id}":            s.getDevice,
		"POST /v1/devices/{id}/addresses": s.addAddress,
		"POST /v1/devices/{id}/ping":      s.ping,
		"GET /v1/spaces":                  s.listSpaces,
		"POST /v1/sync/wait":              s.waitSync,

		"GET /v1/invites":              s.listInvites,
		"POST /v1/invites":             s.invite,
		"GET /v1/invites/{id}":         s.getInvite,
		"POST /v1/invites/{id}/accept": s.answerInvite(true),
		"POST /v1/invites/{id}/reject": s.answerInvite(false),
		"POST /v1/join":                s.join,

		"GET /v1/version": s.version,
		"POST /v1/down":   s.down,
		"GET /healthz":    s.health,
	} {
		mux.Handle(pattern, s.handle(h))
	}
	return mux
}
