package api

import (
	"net/http"
	"strings"
)

// A handler answers one request; an error becomes a problem document.
type handler func(w http.ResponseWriter, r *http.Request) error

// A route is a handler and the parameters, separated by spaces, that it reads beside space.
type route struct {
	serve      handler
	parameters string
}

// routes lists everything the API can do.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, r := range map[string]route{
		"GET /v1/kv/{path...}":    {s.getValue, ""},
		"PUT /v1/kv/{path...}":    {s.putValue, "type"},
		"DELETE /v1/kv/{path...}": {s.deleteValue, "all"},

		"GET /v1/entries/{path...}": {s.getEntry, ""},
		"GET /v1/entries":           {s.listEntries, "after limit prefix values"},
		"DELETE /v1/entries":        {s.deletePrefix, "dry_run prefix"},

		"GET /v1/export":  {s.export, "partial prefix"},
		"POST /v1/import": {s.importLines, ""},
		"POST /v1/tx":     {s.transaction, ""},
		"GET /v1/changes": {s.changes, "limit prefix since values wait"},

		"GET /v1/conflicts":           {s.listConflicts, "prefix"},
		"GET /v1/conflicts/{path...}": {s.getConflict, ""},
		"POST /v1/resolve":            {s.resolve, ""},
		"POST /v1/undo":               {s.undo, ""},
		"POST /v1/undo/{id}":          {s.undo, ""},

		"GET /v1/history/{path...}": {s.getHistory, "limit version"},
		"POST /v1/restore":          {s.restore, ""},
		"GET /v1/backup":            {s.backup, ""},

		"GET /v1/policies": {s.getPolicies, ""},
		"PUT /v1/policies": {s.putPolicies, ""},

		"POST /v1/repair": {s.repair, ""},

		"GET /v1/status":                  {s.status, ""},
		"GET /v1/devices":                 {s.listDevices, ""},
		"GET /v1/devices/{id}":            {s.getDevice, ""},
		"POST /v1/devices/{id}/addresses": {s.addAddress, ""},
		"POST /v1/devices/{id}/ping":      {s.ping, ""},
		"GET /v1/spaces":                  {s.listSpaces, ""},
		"POST /v1/sync/wait":              {s.waitSync, ""},

		"GET /v1/invites":              {s.listInvites, ""},
		"POST /v1/invites":             {s.invite, ""},
		"GET /v1/invites/{id}":         {s.getInvite, "state wait"},
		"POST /v1/invites/{id}/accept": {s.answerInvite(true), ""},
		"POST /v1/invites/{id}/reject": {s.answerInvite(false), ""},
		"POST /v1/join":                {s.join, ""},

		"GET /v1/version": {s.version, ""},
		"POST /v1/down":   {s.down, ""},
		"GET /healthz":    {s.health, ""},
	} {
		mux.Handle(pattern, s.handle(r.serve, strings.Fields(r.parameters)))
	}
	return mux
}
