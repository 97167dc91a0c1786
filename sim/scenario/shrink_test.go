package scenario_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"syncline/sim/scenario"
)

// TestShrinkGoesOnWhereNoSingleStepCanGo: two steps that need each other go together, writes of one device become one, and a step that
// only the luck of this seed needs goes with another seed. What is left is the same each time.
func TestShrinkGoesOnWhereNoSingleStepCanGo(t *testing.T) {
	base := func() *scenario.Scenario {
		s, err := scenario.Parse("x.toml", []byte("devices = 3\nseed = 100\nend = \"30s\"\nconverge = \"1m\"\npaths = [\"a\", \"b\", \"c\", \"d\"]"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	add := func(s *scenario.Scenario, o scenario.Op) {
		o.At = time.Duration(len(s.Ops)+1) * time.Second
		s.Ops = append(s.Ops, o)
	}
	count := func(s *scenario.Scenario, do scenario.Action) (n int) {
		for _, o := range s.Ops {
			if o.Do == do {
				n++
			}
		}
		return n
	}
	put := func(device int, path string) scenario.Op {
		return scenario.Op{Do: scenario.DoWrite, Device: device, Parts: []scenario.Part{{Path: path, Verb: scenario.Put}}}
	}
	writes := base()
	for _, path := range []string{"a", "b", "c", "d"} {
		add(writes, put(1, path))
	}
	pair := base()
	add(pair, scenario.Op{Do: scenario.DoDisconnect, Device: 0, For: time.Second})
	add(pair, put(1, "a"))
	add(pair, scenario.Op{Do: scenario.DoReset, Device: 0})
	lucky := base()
	for i := range 12 {
		add(lucky, put(i%3, "a"))
	}
	for _, x := range []struct {
		name  string
		s     *scenario.Scenario
		fails func(*scenario.Scenario) bool
		ops   int
	}{
		{"writes", writes, func(s *scenario.Scenario) bool {
			var paths []string
			for _, o := range s.Ops {
				for _, p := range o.Parts {
					paths = append(paths, p.Path)
				}
			}
			slices.Sort(paths)
			return reflect.DeepEqual(paths, []string{"a", "b", "c", "d"})
		}, 1},
		{"pair", pair, func(s *scenario.Scenario) bool {
			return count(s, scenario.DoWrite) == 1 && count(s, scenario.DoDisconnect) == count(s, scenario.DoReset)
		}, 1},
		{"luck", lucky, func(s *scenario.Scenario) bool { return len(s.Ops) == 12 || s.Seed == 7 && len(s.Ops) >= 3 }, 3},
	} {
		t.Run(x.name, func(t *testing.T) {
			if !x.fails(x.s) {
				t.Fatal("it does not fail to begin with")
			}
			small := scenario.Shrink(x.s, x.fails)
			if len(small.Ops) != x.ops || !x.fails(small) || small.Check() != nil {
				t.Errorf("%d operations are left, want %d:\n%s", len(small.Ops), x.ops, small.TOML())
			}
			if again := scenario.Shrink(x.s, x.fails); !reflect.DeepEqual(again, small) {
				t.Errorf("another time it came to\n%s", again.TOML())
			}
		})
	}
}
