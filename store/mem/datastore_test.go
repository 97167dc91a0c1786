package mem

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"

	"github.com/ipfs/go-datastore"
	"pgregory.net/rapid"
)

// contents returns all entries by Range, and checks their order.
func contents(t *rapid.T, d *Datastore) map[string]string {
	out, last := map[string]string{}, ""
	d.Range(context.Background(), nil, nil, func(key, value []byte) bool {
		if string(key) <= last {
			t.Fatalf("%q after %q", key, last)
		}
		last = string(key)
		out[last] = string(value)
		return true
	})
	if len(out) != d.Len() {
		t.Fatalf("%d entries, Len says %d", len(out), d.Len())
	}
	return out
}

// TestModel compares a datastore with maps: one for each batch since the last sync, copies that change on their own, and scans that
// see one moment.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		d := New()
		versions := []map[string]string{{}}
		now := func() map[string]string { return versions[len(versions)-1] }
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("/k%03d", rapid.IntRange(0, 400).Draw(t, "key")) })
		t.Repeat(map[string]func(*rapid.T){
			"batch": func(t *rapid.T) {
				b, _ := d.Batch(ctx)
				next := maps.Clone(now())
				for i := range rapid.IntRange(1, 300).Draw(t, "n") {
					k := key.Draw(t, "k")
					if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
						b.Delete(ctx, datastore.RawKey(k))
						delete(next, k)
					} else {
						b.Put(ctx, datastore.RawKey(k), []byte{byte(i)})
						next[k] = string([]byte{byte(i)})
					}
				}
				b.Commit(ctx)
				versions = append(versions, next)
			},
			"sync": func(t *rapid.T) {
				d.Sync(ctx, datastore.RawKey("/"))
				versions = []map[string]string{now()}
			},
			"settle": func(t *rapid.T) {
				n := rapid.IntRange(0, d.Unsynced()).Draw(t, "settled")
				d.Settle(n)
				versions = versions[n:]
			},
			"crash": func(t *rapid.T) {
				keep := rapid.IntRange(0, d.Unsynced()).Draw(t, "keep")
				d.Crash(keep)
				versions = []map[string]string{versions[keep]}
			},
			"clone": func(t *rapid.T) {
				was := d
				d = d.Clone()
				was.Put(ctx, datastore.RawKey("/other"), nil)
				versions = []map[string]string{now()}
			},
			"scan": func(t *rapid.T) {
				lo, hi := key.Draw(t, "lo"), key.Draw(t, "hi")
				var got []string
				before := slices.Sorted(maps.Keys(now()))
				d.Range(ctx, []byte(lo), []byte(hi), func(k, _ []byte) bool {
					got = append(got, string(k))
					next, other := maps.Clone(now()), key.Draw(t, "changed")
					if _, ok := next[other]; ok {
						d.Delete(ctx, datastore.RawKey(other))
						delete(next, other)
					} else {
						d.Put(ctx, datastore.RawKey(other), nil)
						next[other] = ""
					}
					versions = append(versions, next)
					return true
				})
				want := slices.DeleteFunc(before, func(k string) bool { return k < lo || k >= hi })
				if !slices.Equal(got, want) {
					t.Fatalf("%q to %q: got %q, want %q", lo, hi, got, want)
				}
			},
			"": func(t *rapid.T) {
				if got := contents(t, d); !maps.Equal(got, now()) {
					t.Fatalf("got %v, want %v", got, now())
				}
			},
		})
	})
}

// TestInject: an injected failure takes the place of the operation, which then does nothing.
func TestInject(t *testing.T) {
	ctx, key := context.Background(), datastore.RawKey("/k")
	d := New()
	d.Inject(DiskFull)
	if err := d.Put(ctx, key, nil); !errors.Is(err, syscall.ENOSPC) || d.Len() != 0 {
		t.Errorf("put: %v", err)
	}
	d.Inject(SyncFails)
	if err := d.Put(ctx, key, nil); err != nil {
		t.Error(err)
	}
	if err := d.Sync(ctx, key); !errors.Is(err, syscall.EIO) || d.Unsynced() != 1 {
		t.Errorf("sync: %v", err)
	}
	d.Inject(FailAt(d.Ops()+1, syscall.EIO))
	for i, want := range []bool{false, true, false} {
		if _, err := d.Get(ctx, key); (err != nil) != want {
			t.Errorf("get %d: %v", i, err)
		}
	}
	d.Inject(FailFrom(0, syscall.EIO))
	if _, err := d.Has(ctx, key); !errors.Is(err, syscall.EIO) {
		t.Errorf("has: %v", err)
	}
	d.Crash(0)
	d.Inject(nil)
	if found, _ := d.Has(ctx, key); found {
		t.Error("an unsynced write survived")
	}
}
