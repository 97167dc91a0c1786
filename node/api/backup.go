package api

import "net/http"

// backup streams a copy of all spaces. If it fails half-way the connection breaks, and the copy lacks its sum.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	_, err := s.node.Backup(r.Context(), w)
	return err
}
