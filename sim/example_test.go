package sim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"syncline/crdt"
	"syncline/sim"
)

// unionOfLines merges shopping lists: every line that is on any of them, once, in order.
func unionOfLines(values []crdt.Value) (crdt.Value, error) {
	var lines []string
	for _, v := range values {
		lines = append(lines, strings.Split(string(v.Data), "\n")...)
	}
	slices.Sort(lines)
	return crdt.Value{Data: []byte(strings.Join(slices.Compact(lines), "\n"))}, nil
}

// drawList draws a shopping list.
func drawList(r *rand.Rand) []byte {
	lists := []string{"milk", "bread\nmilk", "tea", "bread\ntea\neggs"}
	return []byte(lists[r.IntN(len(lists))])
}

// printed stands for the t of a test: it prints what goes wrong.
type printed struct{ testing.TB }

func (printed) Helper()                           {}
func (printed) Name() string                      { return "TestCart" }
func (printed) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// headline prints the first line of what goes wrong. The rest is a story: who wrote what, which faults there were, what was merged.
type headline struct{ printed }

func (headline) Errorf(format string, args ...any) {
	first, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	fmt.Println(first)
}

// A test passes its own t. The first function obeys every law; the second depends on the order in which it is given the values.
func ExampleCheckMerge() {
	t := printed{}
	sim.CheckMerge(t, unionOfLines, drawList)
	fmt.Println("The union is fine.")

	lastOneWins := func(values []crdt.Value) (crdt.Value, error) {
		return crdt.Value{Data: values[len(values)-1].Data}, nil
	}
	sim.CheckMerge(t, lastOneWins, drawList)
	// Output:
	// The union is fine.
	// sim.CheckMerge: the merge function breaks the law "commutative": the order in which the values are presented changes the result.
	//     f("", "a") = "a"
	//     f("a", "") = ""
	// The values, as Go:
	//     []crdt.Value{
	//         {Data: []byte(""), Time: 2, Dot: crdt.Dot{Replica: crdt.ReplicaID{1}, Counter: 3}}, // empty
	//         {Data: []byte("a"), Time: 1, Dot: crdt.Dot{Replica: crdt.ReplicaID{2}, Counter: 4}}, // 1 B, hex 61
	//     }
	// Reproduce with sim.MergeSeed(1): go test -run '^TestCart$'. It is input 4 of 213, cut down.
}

// Four devices write shopping lists while their network fails, and merge what competes.
func ExampleCheck() {
	t := printed{}
	config := sim.Config{
		Seeds: 10,
		Paths: []string{"cart/home", "cart/office"},
		Value: func(r *rand.Rand, path string) []byte { return drawList(r) },
		Merge: map[string]sim.MergeFunc{"cart/*": unionOfLines},
		Invariant: func(state map[string][][]byte) error {
			for path, contents := range state {
				if len(contents) > 1 {
					return fmt.Errorf("%s has %d values", path, len(contents))
				}
			}
			return nil
		},
	}
	sim.Check(t, config)
	fmt.Println("The union is fine.")

	config.Merge = map[string]sim.MergeFunc{"cart/*": func([]crdt.Value) (crdt.Value, error) {
		return crdt.Value{}, errors.New("let somebody else decide")
	}}
	sim.Check(headline{}, config)
	// Output:
	// The union is fine.
	// sim.Check: seed 1 breaks the claim "merged":
}
