package wire

import "syncline/node"

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// Problem is an RFC 9457 problem: the one shape of every error, in HTTP and on the standard error of the command line.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail,omitempty"`
	Path      string `json:"path,omitempty"`
	Version   string `json:"version,omitempty"`
	Limit     int    `json:"limit,omitempty"`
	Index     int    `json:"index,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Retryable bool   `json:"retryable"`
	RequestID string `json:"request_id,omitempty"`
}

// ProblemOf returns the document that describes err.
func ProblemOf(err error) Problem {
	p := node.ProblemOf(err)
	return Problem{
		Type: "/errors/" + p.Code, Title: p.Title, Status: p.Status, Code: p.Code, Detail: p.Detail,
		Path: p.Path, Version: p.Version, Limit: p.Limit, Index: p.Index, Hint: p.Hint, Retryable: p.Retryable,
	}
}

// Err returns the error that the document describes. It matches node's Err… values under errors.Is.
func (p Problem) Err() *node.Problem {
	return &node.Problem{
		Code: p.Code, Status: p.Status, Title: p.Title, Detail: p.Detail, Hint: p.Hint,
		Path: p.Path, Version: p.Version, Limit: p.Limit, Index: p.Index, Retryable: p.Retryable,
	}
}

// HeaderFilling is a header of a list that is not complete because the device still receives what others have: the first path from which
// entries are missing, escaped as in the query of a URL.
const HeaderFilling = "Peer-Filling"

// Trailers of a list from which entries that cannot be read are left out: how many, and the path of the first, escaped as in the
// query of a URL.
const (
	TrailerDamaged     = "Peer-Damaged"
	TrailerDamagedPath = "Peer-Damaged-Path"
)
