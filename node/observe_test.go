package node

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/gossip"
	"syncline/store"
	"syncline/store/mem"
)

// Each Write and each Merged is a step of its own, in the order of the batch; all else stays together.
func TestApartIsolatesWrites(t *testing.T) {
	kinds := map[rune]Input{'w': Write{}, 'm': Merged{}, 't': Tick{}}
	for batch, want := range map[string]string{"": "", "t": "t", "w": "w", "ww": "w w", "twt": "t w t", "ttwwt": "tt w w t", "tmmwtt": "t m m w tt"} {
		var in []Input
		for _, c := range batch {
			in = append(in, kinds[c])
		}
		var got []string
		for _, step := range apart(in) {
			text := ""
			for _, i := range step {
				for c, kind := range kinds {
					if reflect.TypeOf(kind) == reflect.TypeOf(i) {
						text += string(c)
					}
				}
			}
			got = append(got, text)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%q became %q, want %q", batch, text, want)
		}
	}
}

// A recorder writes down what an observer is told.
type recorder struct {
	mu    sync.Mutex // guards what follows
	state Committed
	lines []string
}

func (r *recorder) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *recorder) Stepping(_ gossip.SpaceID, committed Committed, _ Time, in []Input) {
	for _, i := range in {
		w, ok := i.(Write)
		if !ok || len(w.Ops) == 0 || w.Ops[0].Path != "a" {
			continue
		}
		reg, err := committed.Get("a")
		r.note(fmt.Sprintf("stepping over %d values, %d inputs, %v", len(reg.Live), len(in), err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = committed
}

func (r *recorder) Stepped(_ gossip.SpaceID, out []Output, err error) {
	for _, o := range out {
		if c, ok := o.(Changed); ok && slices.Contains(c.Paths, "a") {
			reg, _ := r.state.Get("a")
			r.note(fmt.Sprintf("stepped to %d values, %v", len(reg.Live), err))
		}
	}
}

func (r *recorder) Replied(_ gossip.SpaceID, rep Reply) {
	if len(rep.Results) == 1 && rep.Results[0].Created {
		r.note("replied")
	}
}

// An observer sees what is committed just before and just after a write, and its answer after that; the store is the one that the
// Backend gave.
func TestObserverSeesEachWrite(t *testing.T) {
	var r recorder
	ds := mem.New()
	backend := func(string) (datastore.Batching, store.BootToken, error) { return ds, nil, nil }
	n, err := Open(context.Background(), Config{Dir: t.TempDir(), Backend: backend, Observe: &r})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s, err := n.Space("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a", Text("1")); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	want := []string{"stepping over 0 values, 1 inputs, <nil>", "stepped to 1 values, <nil>", "replied"}
	if got := r.lines[max(0, len(r.lines)-3):]; !slices.Equal(got, want) {
		t.Errorf("observed %q, want %q", got, want)
	}
	if ds.Len() == 0 {
		t.Error("nothing lies in the datastore of the Backend")
	}
}
