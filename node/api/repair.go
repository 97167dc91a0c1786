package api

import (
	"net/http"

	"syncline/node"
	"syncline/node/api/wire"
)

// repair looks for damaged records and puts whole ones in their place.
func (s *Server) repair(w http.ResponseWriter, r *http.Request) error {
	var ask wire.Repair
	if err := question(r, &ask); err != nil {
		return err
	}
	prefix, err := cleanPrefix(ask.Prefix)
	if err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	found, err := sp.Repair(r.Context(), prefix, node.RepairOptions{GiveUp: ask.GiveUp})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.RepairedOf(found))
}
