package sim_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"syncline/crdt"
	"syncline/node/merge"
	"syncline/sim"
)

// TestBuiltinMergesObeyTheLaws: merge:text and merge:json, on texts and objects that have much in common.
func TestBuiltinMergesObeyTheLaws(t *testing.T) {
	text := func(base, a, b crdt.Value) (crdt.Value, error) {
		out, err := merge.Text(context.Background(), string(base.Data), []string{string(a.Data), string(b.Data)})
		return crdt.Value{Data: []byte(out)}, err
	}
	sim.CheckMergeBase(t, text, func(r *rand.Rand) []byte {
		lines := []string{"milk", "tea", "bread", "eggs", ""}
		for range r.IntN(4) {
			i := r.IntN(len(lines))
			lines = slices.Replace(lines, i, i+1, [][]string{{}, {"oat milk"}, {"salt", lines[i]}}[r.IntN(3)]...)
		}
		return []byte(strings.Join(lines, "\n"))
	})
	object := func(base, a, b crdt.Value) (crdt.Value, error) {
		out, err := merge.JSON(context.Background(), base.Data, [][]byte{a.Data, b.Data})
		return crdt.Value{Data: out}, err
	}
	sim.CheckMergeBase(t, object, func(r *rand.Rand) []byte {
		fields := map[string]any{}
		for _, name := range []string{"a", "b", "c"} {
			if r.IntN(4) > 0 {
				fields[name] = map[string]any{"x": r.IntN(2), "y": r.IntN(2)}
			}
		}
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}
