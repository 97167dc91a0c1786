package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"syncline/store/mem"
	"syncline/store/pebbledb"
)

// backends holds a constructor for each scheme.
var backends = map[string]func(dir string) (datastore.Batching, error){
	"mem":    func(string) (datastore.Batching, error) { return mem.New(), nil },
	"pebble": func(dir string) (datastore.Batching, error) { return pebbledb.Open(dir, pebbledb.Options{}) },
}

// DefaultBackend is the scheme of an empty specification.
const DefaultBackend = "pebble"

// OpenBackend opens the datastore that spec names: "pebble:", also meant by an empty spec, keeps its files in dir; "mem:" keeps
// nothing. Programs that want another one open it themselves and give it to [Open].
func OpenBackend(spec, dir string) (datastore.Batching, error) {
	scheme, rest, _ := strings.Cut(spec, ":")
	if spec == "" {
		scheme = DefaultBackend
	}
	open, ok := backends[scheme]
	if !ok {
		known := slices.Sorted(maps.Keys(backends))
		return nil, fmt.Errorf("unknown backend %q: want one of %s", spec, strings.Join(known, ", "))
	}
	if rest != "" {
		return nil, fmt.Errorf("backend %q takes no options after %q", spec, scheme+":")
	}
	return open(dir)
}

// CheckAtomic refuses datastores that are known to apply half a batch, with the reason. A store on such a one would not survive a
// crash: the context could cover what is not there.
func CheckAtomic(ds datastore.Batching) error {
	for _, bad := range notAtomic {
		if bad.is(ds) {
			return fmt.Errorf("%w: %T %s", ErrNotAtomic, ds, bad.reason)
		}
	}
	return nil
}

// notAtomic lists them. Types of modules that this program does not link are known by their names.
var notAtomic = []struct {
	is     func(datastore.Batching) bool
	reason string
}{
	{isType[*datastore.MapDatastore], "writes the entries of a batch one by one"},
	{isType[*dssync.MutexDatastore], "hides what it wraps; give the store the datastore itself"},
	{isNamed("badger", "Datastore"), "commits a large batch in parts"},
	{isNamed("flatfs", "Datastore"), "writes each entry to a file of its own"},
}

func isType[T any](ds datastore.Batching) bool {
	_, ok := ds.(T)
	return ok
}

// isNamed matches a type by its name and the beginning of its package's name.
func isNamed(pkg, name string) func(datastore.Batching) bool {
	return func(ds datastore.Batching) bool {
		t := fmt.Sprintf("%T", ds)
		return strings.HasPrefix(t, "*"+pkg) && strings.HasSuffix(t, "."+name)
	}
}
