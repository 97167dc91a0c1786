package api

import (
	"errors"
	"net/http"

	"syncline/node"
	"syncline/node/api/wire"
)

// txBytesMax bounds the body of POST /v1/tx: a transaction of the largest size in Base64, or as text that is escaped a little.
const txBytesMax = 32 << 20

// transaction carries out several writes together. A problem with one of them has its place in index, from 1.
func (s *Server) transaction(w http.ResponseWriter, r *http.Request) error {
	var ask wire.Tx
	if err := questionOf(r, &ask, txBytesMax); err != nil {
		return err
	}
	sp, err := s.space(r)
	if err != nil {
		return err
	}
	res, err := sp.Tx(r.Context(), func(tx *node.Tx) error {
		for i := range ask.Ops {
			if err := addOp(tx, &ask.Ops[i]); err != nil {
				p := *node.ProblemOf(err)
				p.Index = i + 1
				return &p
			}
		}
		return nil
	})
	if p := (*node.Problem)(nil); errors.As(err, &p) && len(ask.Ops) == 1 && p.Path != "" {
		q := *p
		q.Index = 1
		return &q
	}
	if err != nil {
		return err
	}
	doc := wire.TxDone{Schema: wire.SchemaTx, Results: []wire.TxResult{}}
	for i, op := range ask.Ops {
		doc.Results = append(doc.Results, wire.TxResult{
			Op: op.Op, Path: op.Path, Version: string(res[i].Version), Created: res[i].Created, Remaining: res[i].Remaining, Unkept: res[i].Unkept,
		})
	}
	return answer(w, http.StatusOK, doc)
}

// addOp adds one operation to a transaction. It brings its path into NFC.
func addOp(tx *node.Tx, op *wire.TxOp) error {
	path, err := cleanPath(op.Path)
	if err != nil {
		return node.ProblemOf(err).On(op.Path)
	}
	op.Path = path
	content, del, opts, err := op.Parse()
	switch {
	case err != nil:
		return node.ErrBadRequest.With("%v", err).On(path)
	case del:
		tx.Delete(path, opts...)
	default:
		tx.Put(path, content, opts...)
	}
	return nil
}
