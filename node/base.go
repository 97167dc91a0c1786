package node

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"syncline/crdt"
)

// base returns the value that all values of a register were made from, one without an ID if there was nothing, or the reason why
// that is not certain here, which continues a sentence. If brought, values that were brought back count as their originals, if all of them
// were: beside a value that was made from the decision, they would hide that it was taken back.
func (s *Space) base(path string, reg crdt.Register, brought bool) (*Value, string) {
	for _, v := range reg.Live {
		if v.Won {
			return nil, "one of the values won over a delete"
		}
	}
	kept := s.kept(path)
	var past []crdt.Value
	for _, p := range kept {
		past = append(past, p.Value)
	}
	v, how := crdt.CommonAncestor(reg.Live, past)
	if how == crdt.AncestorUntold && brought {
		if before := s.together(reg.Live, kept); before != nil {
			v, how = crdt.CommonAncestor(before, past)
		}
	}
	switch how {
	case crdt.AncestorFound:
		base := s.value(v, false)
		return &base, ""
	case crdt.AncestorNothing:
		return &Value{}, ""
	case crdt.AncestorSeveral:
		return nil, "the values were made from several values, none of which is the nearest"
	case crdt.AncestorMissing:
		return nil, "the value that they were made from is not in this device's history"
	case crdt.AncestorUntold:
		return nil, "one of the values does not say what it was made from: it comes from an older program, an import or an undo, or it replaced too many values"
	case crdt.AncestorMany:
		return nil, fmt.Sprintf("more than %d values compete", crdt.AncestorLiveMax)
	}
	return nil, "the values were not made from one value"
}

// Diff returns what v, one of the values of c, changed of the base, as a unified diff of lines; "" if there is no base, if one of them is
// not text, or if they are equal.
func (c Conflict) Diff(v Value) string {
	if c.Base == nil || !v.IsText() || !c.Base.IsText() {
		return ""
	}
	by := v.Device
	if v.Origin != nil {
		by = v.Origin.Device
	}
	return udiff.Unified("base", by.Name, wholeLines(c.Base.Data), wholeLines(v.Data))
}

// wholeLines returns a text with a line feed at its end: values that were typed have none, and that is no difference.
func wholeLines(b []byte) string {
	if text := string(b); text == "" || strings.HasSuffix(text, "\n") {
		return text
	} else {
		return text + "\n"
	}
}
