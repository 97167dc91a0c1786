package mem

import (
	"context"
	"slices"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// reads returns what each way of reading makes of a key.
func reads(t *testing.T, d *Datastore, key string) []string {
	t.Helper()
	ctx, k := context.Background(), datastore.RawKey(key)
	var out []string
	if v, err := d.Get(ctx, k); err == nil {
		out = append(out, string(v))
	}
	if v, found, err := d.AppendValue(ctx, nil, []byte(key)); err == nil && found {
		out = append(out, string(v))
	}
	d.Range(ctx, []byte(key), nil, func(found, value []byte) bool {
		if string(found) == key {
			out = append(out, string(value))
		}
		return false
	})
	results, err := d.Query(ctx, query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for r := range results.Next() {
		if r.Key == key {
			out = append(out, string(r.Value))
		}
	}
	return out
}

// TestDamageLastsUntilItIsWrittenOver: every read of a damaged value is short, on clones as well; a write mends it, and a crash that takes
// the write back takes the damage up again.
func TestDamageLastsUntilItIsWrittenOver(t *testing.T) {
	ctx := context.Background()
	d := New()
	write := func(key, value string) {
		t.Helper()
		if err := d.Put(ctx, datastore.RawKey(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, d *Datastore, damaged []string, a string) {
		t.Helper()
		if got := d.Damaged(); !slices.Equal(got, damaged) {
			t.Errorf("%s: %v is damaged, want %v", what, got, damaged)
		}
		if got := reads(t, d, "/a"); !slices.Equal(got, []string{a, a, a, a}) {
			t.Errorf("%s: /a is read as %q, want %q", what, got, a)
		}
	}
	write("/a", "first")
	write("/b", "other")
	d.Sync(ctx, datastore.RawKey("/"))
	if d.Damage("/none") || !d.Damage("/a") {
		t.Error("something was damaged where nothing is, or nothing where something is")
	}
	want("damaged", d, []string{"/a"}, "firs")
	clone := d.Clone()
	write("/b", "another")
	write("/a", "second")
	want("written over", d, nil, "second")
	want("its clone", clone, []string{"/a"}, "firs")
	d.Crash(1)
	want("the write is lost", d, []string{"/a"}, "firs")
	write("/a", "third")
	d.Sync(ctx, datastore.RawKey("/"))
	write("/b", "")
	d.Crash(0)
	want("the write is durable", d, nil, "third")

	write("/c", "new")
	d.Damage("/c")
	d.Crash(0)
	want("what was damaged is gone", d, nil, "third")
}
