package gossip

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"syncline/crdt"
)

// nameRows puts names into rows by path, in which form they travel.
func nameRows(names []crdt.Name) []crdt.Row {
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, func(a, b crdt.Name) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), a.Dot.Compare(b.Dot))
	})
	var rows []crdt.Row
	for _, n := range sorted {
		if len(rows) == 0 || rows[len(rows)-1].Path != n.Path {
			rows = append(rows, crdt.Row{Path: n.Path})
		}
		row := &rows[len(rows)-1]
		row.Known = append(row.Known, crdt.KnownValue{Dot: n.Dot})
	}
	return rows
}

// rowNames is the inverse of nameRows; the names come in their own order.
func rowNames(rows []crdt.Row) []crdt.Name {
	var names []crdt.Name
	for _, row := range rows {
		for _, k := range row.Known {
			names = append(names, crdt.Name{Dot: k.Dot, Path: row.Path})
		}
	}
	slices.SortFunc(names, crdt.Name.Compare)
	return names
}

// checkDelta says whether a delta is one that a correct sender makes: values and deletes outside what was asked and inside its
// context, known values and kills inside both.
func checkDelta(d *crdt.Delta) error {
	if !d.Floor.Within(d.Context) {
		return fmt.Errorf("%w: a floor above its context", crdt.ErrDecode)
	}
	in := func(path string) bool { return path >= d.From && (d.To == "" || path < d.To) }
	if n := len(d.Rows); n > 0 && !(in(d.Rows[0].Path) && in(d.Rows[n-1].Path)) {
		return fmt.Errorf("%w: rows from %q to %q, outside their range", crdt.ErrDecode, d.Rows[0].Path, d.Rows[n-1].Path)
	}
	inside := func(dot crdt.Dot) bool { return d.Context.Has(dot) && d.Asked.Has(dot) }
	outside := func(dot crdt.Dot) bool { return d.Context.Has(dot) && !d.Asked.Has(dot) }
	for i := range d.Rows {
		row := &d.Rows[i]
		wrong := slices.ContainsFunc(row.Values, func(v crdt.Value) bool { return !outside(v.Dot) }) ||
			slices.ContainsFunc(row.Known, func(k crdt.KnownValue) bool { return !inside(k.Dot) }) ||
			slices.ContainsFunc(row.Deletes, func(x crdt.Delete) bool { return !outside(x.Dot) })
		if wrong || len(row.Values)+len(row.Deletes) == 0 {
			return fmt.Errorf("%w: a row of %q that does not fit its contexts", crdt.ErrDecode, row.Path)
		}
	}
	if slices.ContainsFunc(d.Kills, func(n crdt.Name) bool { return !inside(n.Dot) || !in(n.Path) }) {
		return fmt.Errorf("%w: a kill outside what was asked", crdt.ErrDecode)
	}
	for i, o := range d.Opens {
		if len(o.Open) == 0 || len(o.Open) > crdt.OpenBytesMax || d.Asked.Get(o.Replica) > 0 || d.Context.Get(o.Replica) == 0 ||
			i > 0 && o.Replica.Compare(d.Opens[i-1].Replica) <= 0 {
			return fmt.Errorf("%w: a binding of replica %v that does not fit", crdt.ErrDecode, o.Replica)
		}
	}
	return nil
}
