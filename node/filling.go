package node

import (
	"strings"

	"syncline/crdt"
)

// Filling says what is not here yet while a device takes over a large state, range of paths by range. The zero Filling says that
// nothing is known to be missing: what others have written since they were last met always may be.
type Filling struct {
	// Ranges is the number of ranges of paths of which something is known to be missing.
	Ranges int
	// From is the first path from which something is missing. Entries at paths before it are all here.
	From string
}

// Filling returns what is not here yet of the paths that begin with prefix. Reads and writes go on meanwhile; a list, a query of a
// [Datastore] or a feed then tells what is here.
func (s *Space) Filling(prefix string) Filling {
	if !s.store.Parted() {
		return Filling{}
	}
	return fillingOf(s.store.Parts(), prefix)
}

// fillingOf looks for the parts that have not seen all that others have. Parts of system paths alone hold no entries.
func fillingOf(parts crdt.Parts, prefix string) Filling {
	var f Filling
	top := parts.Top()
	for i := range parts {
		from, to := parts[i].From, parts.To(i)
		below := from < prefix || strings.HasPrefix(from, prefix) // the part does not begin behind all of them
		if !below || to != "" && to <= prefix || crdt.IsSystemPath(from) && to != "" && crdt.IsSystemPath(to) || top.Within(parts[i].Context) {
			continue
		}
		if f.Ranges++; f.Ranges == 1 {
			f.From = max(from, prefix)
		}
	}
	return f
}

// Err returns an [ErrFilling], or nil if nothing is missing.
func (f Filling) Err() error {
	if f.Ranges == 0 {
		return nil
	}
	return ErrFilling.With("This device still receives what others have; from the path “%s” on entries are missing.", f.From)
}
