package pebbledb

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-datastore"
)

// TestAReaderFindsWhatGetFinds: in whatever order keys are asked for, dense or with gaps, present or not, behind the last one, or twice.
func TestAReaderFindsWhatGetFinds(t *testing.T) {
	ds, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	draw := rand.New(rand.NewPCG(1, 2))
	const keys = 400
	key := func(i int) []byte { return fmt.Appendf(nil, "/k/%04d", i) }
	for i := range keys {
		if i%7 > 3 && i < 300 || i%7 == 1 {
			if err := ds.Put(ctx, datastore.RawKey(string(key(i))), key(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for round := range 300 {
		asked := make([]int, 1+draw.IntN(100))
		for i := range asked {
			asked[i] = draw.IntN(keys + 20)
		}
		switch from := draw.IntN(keys); round % 4 {
		case 1:
			slices.Sort(asked)
		case 2, 3: // one after the other, or every so many
			for i := range asked {
				asked[i] = from + i*(1+round%4*(round%5))
			}
		}
		r, err := ds.OpenReader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for n, i := range asked {
			if n == len(asked)/2 && round%3 == 0 {
				i = asked[0] // back to the beginning in between
			}
			want, there, err := ds.AppendValue(ctx, nil, key(i))
			if err != nil {
				t.Fatal(err)
			}
			if got, found, err := r.AppendValue(ctx, nil, key(i)); err != nil || found != there || string(got) != string(want) {
				t.Fatalf("round %d, asked for %v: at %d the reader says %q, %v, %v; Get says %q, %v", round, asked, n, got, found, err, want, there)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAReaderWalksWhereKeysAreClose: over neighbours it looks for a few keys only and walks to the others; over keys far apart it gives up
// trying.
func TestAReaderWalksWhereKeysAreClose(t *testing.T) {
	ds, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	for i := range 10_000 {
		if err := ds.Put(ctx, datastore.RawKey(fmt.Sprintf("/k/%05d", i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		stride, walked int
		atLeast        bool
	}{{1, 990, true}, {3, 990, true}, {9, 20, false}} {
		opened, err := ds.OpenReader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r, walked := opened.(*reader), 0
		for i := range 1000 {
			if _, found, err := r.AppendValue(ctx, nil, fmt.Appendf(nil, "/k/%05d", i*test.stride)); !found || err != nil {
				t.Fatal(i, found, err)
			}
			if r.walking {
				walked++
			}
		}
		if (walked >= test.walked) != test.atLeast {
			t.Errorf("of 1000 keys, %d apart, %d were walked to", test.stride, walked)
		}
		r.Close()
	}
}
