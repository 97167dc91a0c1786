package reserve

import (
	"errors"
	"slices"
	"sync"
	"testing"
)

// A disk holds what the keys of a database take, and the spans that were compacted.
type disk struct {
	mu    sync.Mutex
	spans [][2]string
}

// reclaimer returns one over the disk on which each letter takes so many bytes.
func (d *disk) reclaimer(each uint64, room error) *Reclaimer {
	return &Reclaimer{
		Compact: func(lo, hi []byte) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.spans = append(d.spans, [2]string{string(lo), string(hi)})
			return nil
		},
		Size: func(lo, hi []byte) uint64 { return uint64(hi[0]-lo[0]+1) * each },
		Room: func(int) error { return room },
	}
}

// TestReclaimerGoesSpanBySpan: keys that lie together are compacted together, as far as their tables are small.
func TestReclaimerGoesSpanBySpan(t *testing.T) {
	keys := func() [][]byte { return [][]byte{[]byte("c"), []byte("a"), []byte("z"), []byte("b")} }
	for each, want := range map[uint64][][2]string{
		1:             {{"a", "z\x00"}},
		1 << 20:       {{"a", "c\x00"}, {"z", "z\x00"}},
		2 * (1 << 20): {{"a", "b\x00"}, {"c", "c\x00"}, {"z", "z\x00"}},
		1 << 30:       {{"a", "a\x00"}, {"b", "b\x00"}, {"c", "c\x00"}, {"z", "z\x00"}},
	} {
		d := new(disk)
		r := d.reclaimer(each, nil)
		r.Add(keys())
		r.wg.Wait()
		if !slices.Equal(d.spans, want) {
			t.Errorf("with %d bytes each: %q, want %q", each, d.spans, want)
		}
		r.Stop()
		r.Add(keys())
		if len(d.spans) != len(want) {
			t.Error("it goes on after Stop")
		}
	}
}

// TestReclaimerLeavesRoom: what has no room is not compacted.
func TestReclaimerLeavesRoom(t *testing.T) {
	d := new(disk)
	r := d.reclaimer(1, errors.New("full"))
	r.Add([][]byte{[]byte("a")})
	r.Stop()
	if len(d.spans) > 0 {
		t.Errorf("compacted %q", d.spans)
	}
}

// TestDeletesMayUseAPartOfTheReserve: half of it for deletes, three quarters for compactions, however little was asked for before.
func TestDeletesMayUseAPartOfTheReserve(t *testing.T) {
	free := uint64(1000)
	r := New(400, func() (uint64, error) { return free, nil })
	for _, tt := range []struct {
		free                   uint64
		write, delete, compact bool
	}{
		{410, true, true, true}, {399, false, true, true}, {210, false, true, true}, {209, false, false, true}, {110, false, false, true}, {109, false, false, false},
	} {
		free = tt.free
		for name, got := range map[string][2]bool{"write": {r.Take(10) == nil, tt.write}, "delete": {r.TakeToFree(10) == nil, tt.delete}, "compact": {r.TakeToCompact(10) == nil, tt.compact}} {
			if got[0] != got[1] {
				t.Errorf("with %d free, %s: %v, want %v", free, name, got[0], got[1])
			}
		}
	}
}
