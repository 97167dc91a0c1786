package crdt_test

import (
	"fmt"

	"syncline/crdt"
)

// write makes one operation on a state, as the replica with the given number, at the given second.
func write(s *crdt.State, replica byte, second int64, changes ...crdt.Change) *crdt.Op {
	id := crdt.ReplicaID{replica}
	w := crdt.Writer{Dot: crdt.Dot{Replica: id, Counter: s.Context().Get(id) + 1}, Time: crdt.At(second * 1000)}
	if w.Dot.Counter == 1 {
		w.Open = []byte("the device of this replica")
	}
	op, _, err := crdt.Write(s, w, changes)
	if err != nil {
		panic(err)
	}
	return op
}

// Two devices are apart and change the same path. When they meet, each merges what it lacks of the other. Both find the conflict,
// and both hold the same state.
func ExampleMerge() {
	phone, laptop := crdt.NewState(), crdt.NewState()
	write(phone, 1, 10, crdt.Change{Path: "shopping", Data: []byte("milk")}, crdt.Change{Path: "phone", Data: []byte("1")})
	write(laptop, 2, 20, crdt.Change{Path: "shopping", Data: []byte("bread")})

	toPhone, toLaptop := crdt.Diff(phone, laptop), crdt.Diff(laptop, phone)
	phone, onPhone := crdt.Merge(phone, toPhone)
	laptop, onLaptop := crdt.Merge(laptop, toLaptop)

	fmt.Println("equal:", phone.Equal(laptop))
	for _, c := range onPhone {
		fmt.Printf("phone: %s: %s here, %s there\n", c.Path, c.Local.Data, c.Remote.Data)
	}
	for _, c := range onLaptop {
		fmt.Printf("laptop: %s: %s here, %s there\n", c.Path, c.Local.Data, c.Remote.Data)
	}
	// Output:
	// equal: true
	// phone: shopping: milk here, bread there
	// laptop: shopping: bread here, milk there
}

// Only what is missing travels: a thousand values are equal, one is not.
func ExampleDiff() {
	phone := crdt.NewState()
	for i := range 1000 {
		write(phone, 1, int64(i), crdt.Change{Path: fmt.Sprint("note/", i), Data: []byte("text")})
	}
	laptop, _ := crdt.Merge(crdt.NewState(), crdt.Diff(crdt.NewState(), phone))
	write(phone, 1, 20_000, crdt.Change{Path: "note/7", Data: []byte("new text"), ShownAll: true})

	delta := crdt.Diff(laptop, phone)
	for _, row := range delta.Rows {
		fmt.Printf("%s: %s\n", row.Path, row.Values[0].Data)
	}
	fmt.Println("the other way:", len(crdt.Diff(phone, laptop).Rows), "rows")
	// Output:
	// note/7: new text
	// the other way: 0 rows
}

// A strategy decides what a conflict becomes; Change writes the decision over exactly the values that were seen.
func ExampleResolve() {
	phone, laptop := crdt.NewState(), crdt.NewState()
	write(phone, 1, 10, crdt.Change{Path: "shopping", Data: []byte("milk")})
	write(laptop, 2, 20, crdt.Change{Path: "shopping", Data: []byte("bread")})
	phone, conflicts := crdt.Merge(phone, crdt.Diff(phone, laptop))
	conflict := conflicts[0]

	newest, _ := crdt.Resolve(conflict, crdt.LastWriteWins)
	fmt.Printf("last write wins: %s\n", newest.Data)
	chosen, _ := crdt.Resolve(conflict, crdt.ManualResolve(crdt.Value{Data: []byte("cheese")}))
	fmt.Printf("a person's choice: %s\n", chosen.Data)
	both, _ := crdt.Resolve(conflict, crdt.MergeValues(func(siblings []crdt.Value) (crdt.Value, error) {
		out := siblings[0]
		for _, v := range siblings[1:] {
			out.Data = fmt.Appendf(out.Data, ", %s", v.Data)
		}
		return out, nil
	}))
	fmt.Printf("merged: %s\n", both.Data)

	write(phone, 1, 30, conflict.Change(both))
	laptop, again := crdt.Merge(laptop, crdt.Diff(laptop, phone))
	shown, _ := laptop.Get("shopping").Shown()
	fmt.Printf("on the laptop: %s, %d conflicts\n", shown.Data, len(again))
	// Output:
	// last write wins: bread
	// a person's choice: cheese
	// merged: bread, milk
	// on the laptop: bread, milk, 0 conflicts
}

// One operation is written on one replica, travels as bytes, and is applied on another as soon as it is ready there.
func ExampleApply() {
	phone, laptop := crdt.NewState(), crdt.NewState()
	first := write(phone, 1, 10, crdt.Change{Path: "title", Data: []byte("Draft")}).Encode()
	second := write(phone, 1, 20, crdt.Change{Path: "title", Data: []byte("Final"), ShownAll: true}).Encode()

	// The network delivers the second operation first, and the first one twice.
	var early []*crdt.Op
	for _, b := range [][]byte{second, first, first} {
		op, err := crdt.DecodeOp(b)
		if err != nil {
			panic(err)
		}
		switch op.Check(laptop.Context()) {
		case crdt.Ready:
			crdt.Apply(laptop, op)
		case crdt.Early:
			early = append(early, op)
		case crdt.Seen:
			fmt.Println("seen before:", op.Dot.Counter)
		}
	}
	for _, op := range early {
		crdt.Apply(laptop, op)
	}
	shown, _ := laptop.Get("title").Shown()
	fmt.Printf("%s, equal: %v\n", shown.Data, laptop.Equal(phone))
	// Output:
	// seen before: 1
	// Final, equal: true
}

// A transaction writes several paths at once; the others see all of them or none.
func ExampleWrite() {
	s := crdt.NewState()
	op := write(s, 1, 10,
		crdt.Change{Path: "from", Data: []byte("0")},
		crdt.Change{Path: "to", Data: []byte("100")},
	)
	fmt.Println(len(op.Entries), "paths under counter", op.Dot.Counter)

	op = write(s, 1, 20, crdt.Change{Path: "nothing here", Delete: true, ShownAll: true})
	fmt.Println("a delete of nothing:", op)
	// Output:
	// 2 paths under counter 1
	// a delete of nothing: <nil>
}

// Two timestamps of one clock never stand still or go back, whatever the wall clock does.
func ExampleClock() {
	var c crdt.Clock
	for _, wallMillis := range []int64{1_700_000_000_000, 1_700_000_000_000, 1_600_000_000_000} {
		fmt.Println(c.Tick(wallMillis))
	}
	fmt.Println("follows a clock that is a year ahead:", c.Observe(crdt.At(1_731_536_000_000), 1_700_000_000_001))
	// Output:
	// 2023-11-14T22:13:20.000Z+0
	// 2023-11-14T22:13:20.000Z+1
	// 2023-11-14T22:13:20.000Z+2
	// follows a clock that is a year ahead: false
}
