package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ipfs/go-datastore"

	"syncline/store/leveldb"
	"syncline/store/mem"
	"syncline/store/pebbledb"
)

// backends holds a constructor for each scheme.
var backends = map[string]func(dir string) (datastore.Batching, error){
	"mem":     func(string) (datastore.Batching, error) { return mem.New(), nil },
	"pebble":  func(dir string) (datastore.Batching, error) { return pebbledb.Open(dir, pebbledb.Options{}) },
	"leveldb": func(dir string) (datastore.Batching, error) { return leveldb.Open(dir, leveldb.Options{}) },
}

// DefaultBackend is the scheme of an empty specification for a directory that holds no database yet.
const DefaultBackend = "pebble"

// OpenBackend opens the datastore that spec names: "pebble:" and "leveldb:" keep their files in dir; "mem:" keeps nothing. An empty spec
// means the one that dir was begun with, or [DefaultBackend]. A directory that holds a database of the other kind is refused with [ErrOtherBackend] and not touched. Programs that
// want another datastore open it themselves and give it to [Open].
func OpenBackend(spec, dir string) (datastore.Batching, error) {
	scheme, rest, _ := strings.Cut(spec, ":")
	if spec == "" {
		scheme = cmp.Or(heldBy(dir), DefaultBackend)
	}
	open, ok := backends[scheme]
	if !ok {
		known := slices.Sorted(maps.Keys(backends))
		return nil, fmt.Errorf("%w as %q: want one of %s", ErrNoBackend, spec, strings.Join(known, ", "))
	}
	if rest != "" {
		return nil, fmt.Errorf("%w as %q: it takes no options after %q", ErrNoBackend, spec, scheme+":")
	}
	if held := heldBy(dir); scheme != "mem" && held != "" && held != scheme {
		return nil, fmt.Errorf("%w is in %s: it was begun with %q, not %q", ErrOtherBackend, dir, held+":", scheme+":")
	}
	return open(dir)
}

// BackendOf returns the specification of the database that dir holds, as "leveldb:", or nothing.
func BackendOf(dir string) string {
	if scheme := heldBy(dir); scheme != "" {
		return scheme + ":"
	}
	return ""
}

// heldBy returns the scheme of the database in dir, or nothing. The two share names of files: LevelDB takes pebble's for a damaged
// database of its own, and go-ds-leveldb would rebuild that.
func heldBy(dir string) string {
	files, _ := os.ReadDir(dir)
	has := func(prefix string) bool {
		return slices.ContainsFunc(files, func(f os.DirEntry) bool { return strings.HasPrefix(f.Name(), prefix) })
	}
	switch {
	case has("marker.manifest."):
		return "pebble"
	case has("CURRENT"):
		return "leveldb"
	}
	return ""
}

// CheckAtomic refuses datastores that are known to apply half a batch, with the reason. A store on such a one would not survive a
// crash: the context could cover what is not there.
func CheckAtomic(ds datastore.Batching) error {
	name := fmt.Sprintf("%T", ds)
	if reason := notAtomicReason(name); reason != "" {
		return fmt.Errorf("%w: %s %s", ErrNotAtomic, name, reason)
	}
	// A type that embeds one of them has a name of its own, and its batches give it away. One that is never committed changes nothing.
	b, err := ds.Batch(context.Background())
	if err != nil {
		return fmt.Errorf("new batch: %w", err)
	}
	if one := fmt.Sprintf("%T", datastore.NewBasicBatch(nil)); fmt.Sprintf("%T", b) == one {
		return fmt.Errorf("%w: the batches of %s (%s) write their entries one by one", ErrNotAtomic, name, one)
	}
	return nil
}

// notAtomic lists them by the beginning of their package's name and their own: most are of modules that this program does not link.
var notAtomic = []struct{ pkg, name, reason string }{
	{"datastore", "MapDatastore", "writes the entries of a batch one by one"},
	{"datastore", "NullDatastore", "keeps nothing"},
	{"sync", "MutexDatastore", "hides what it wraps; give the store the datastore itself"},
	{"keytransform", "Datastore", "hides what it wraps; give the store the datastore itself"},
	{"failstore", "Failstore", "hides what it wraps; give the store the datastore itself"},
	{"trace", "Datastore", "hides what it wraps; give the store the datastore itself"},
	{"datastore", "LogDatastore", "hides what it wraps; give the store the datastore itself"},
	{"mount", "Datastore", "commits one batch for each of its parts"},
	{"delayed", "Delayed", "writes the entries of a batch one by one"},
	{"badger", "Datastore", "commits a large batch in parts"},
	{"flatfs", "Datastore", "writes each entry to a file of its own"},
}

// notAtomicReason returns why a type, as %T prints it, is refused, or nothing.
func notAtomicReason(typeName string) string {
	for _, bad := range notAtomic {
		if strings.HasPrefix(typeName, "*"+bad.pkg) && strings.HasSuffix(typeName, "."+bad.name) {
			return bad.reason
		}
	}
	return ""
}
