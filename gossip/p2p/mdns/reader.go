package mdns

import (
	"errors"

	"golang.org/x/net/dns/dnsmessage"
)

// errEnough says that the bound of questions and records is reached; what was read before holds.
var errEnough = errors.New("mdns: a packet with more records than are looked at")

// A reader walks through the sections of a message. What dnsmessage refuses, such as a name with a dot inside a label, which many a
// printer has, is skipped; what cannot be skipped is an error.
type reader struct {
	p    *dnsmessage.Parser
	left int // questions and records that may still be looked at
}

func (r *reader) questions(take func(dnsmessage.Question)) error {
	return r.walk(r.p.SkipQuestion, func() error {
		q, err := r.p.Question()
		if err == nil {
			take(q)
		}
		return err
	})
}

// answers lets take look at each record of the section; it reports whether it has read the body.
func (r *reader) answers(take func(dnsmessage.ResourceHeader) (read bool)) error {
	return r.records(r.p.AnswerHeader, r.p.SkipAnswer, take)
}

func (r *reader) additionals(take func(dnsmessage.ResourceHeader) (read bool)) error {
	return r.records(r.p.AdditionalHeader, r.p.SkipAdditional, take)
}

func (r *reader) records(header func() (dnsmessage.ResourceHeader, error), skip func() error, take func(dnsmessage.ResourceHeader) bool) error {
	return r.walk(skip, func() error {
		h, err := header()
		if err == nil && !take(h) {
			err = skip()
		}
		return err
	})
}

// walk reads until the section ends.
func (r *reader) walk(skip, next func() error) error {
	for ; r.left > 0; r.left-- {
		err := next()
		if err != nil && !errors.Is(err, dnsmessage.ErrSectionDone) {
			err = skip()
		}
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errEnough
}
