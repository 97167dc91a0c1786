package api

import (
	"net/http"

	"golang.org/x/text/unicode/norm"

	"syncline/node"
	"syncline/node/api/wire"
)

// getPolicies answers with the policies of a space.
func (s *Server) getPolicies(w http.ResponseWriter, r *http.Request) error {
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	return s.answerPolicies(w, r, sp)
}

func (s *Server) answerPolicies(w http.ResponseWriter, r *http.Request, sp *node.Space) error {
	rules, version, err := sp.Policies(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(version))
	if r.Method != http.MethodPut && notModified(r, version) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return answer(w, http.StatusOK, wire.PoliciesOf(rules, version, s.node.Merges()))
}

// putPolicies replaces the policies of a space by those in the body.
func (s *Server) putPolicies(w http.ResponseWriter, r *http.Request) error {
	var ask wire.Policies
	if err := question(r, &ask); err != nil {
		return err
	}
	if ask.Policies == nil {
		return node.ErrBadRequest.With("The body has no policies.").Next(`Send {"policies":[{"pattern":"cart/**","policy":"union"}]}; an empty list removes all.`)
	}
	for i, p := range ask.Policies {
		ask.Policies[i].Pattern = norm.NFC.String(p.Pattern)
	}
	var want node.Version
	if match := r.Header.Get("If-Match"); match != "" && match != "*" {
		tags, _ := parseTags(match)
		if want = tags[0]; len(tags) != 1 || want == "" {
			return node.ErrBadRequest.With("If-Match names one version of the policies, or none.").Next("Send the ETag of GET /v1/policies.")
		}
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	if err := sp.SetPolicies(r.Context(), ask.Rules(), want); err != nil {
		return err
	}
	return s.answerPolicies(w, r, sp)
}
