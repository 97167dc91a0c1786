package gossip

import (
	"fmt"
	"strings"
	"testing"

	"syncline/crdt"
)

// early returns the n-th operation of a replica, as it is held back.
func early(replica, n, size int) Held {
	op := &crdt.Op{Dot: crdt.Dot{Replica: replicaID(replica), Counter: uint64(n)}, Time: crdt.At(wallMillis), Entries: []crdt.OpEntry{{Path: fmt.Sprintf("p%d", n), Data: make([]byte, size)}}}
	if n == 1 {
		op.Open = []byte("binding")
	}
	return Held{Op: op, Encoded: op.Encode()}
}

// drain takes out what is ready until nothing is.
func drain(d *Delivery, c *crdt.Vector) (dots []crdt.Dot) {
	for h := d.Next(stateAt(*c)); h != nil; h = d.Next(stateAt(*c)) {
		c.Add(h.Op.Dot)
		dots = append(dots, h.Op.Dot)
	}
	return dots
}

func TestHeldOperationsComeOutInTheOrderOfTheirReplica(t *testing.T) {
	for _, seed := range seeds(20) {
		var d Delivery
		var c crdt.Vector
		for _, i := range newRand(seed).Perm(300) {
			if same, dropped := d.Hold(early(1+i%3, 2+i/3, 1)); !same || dropped {
				t.Fatalf("seed %d: same %v, dropped %v", seed, same, dropped)
			}
		}
		if got := drain(&d, &c); len(got) > 0 {
			t.Errorf("seed %d: %v came out before the first", seed, got)
		}
		last := map[crdt.ReplicaID]uint64{}
		for r := 1; r <= 3; r++ {
			c.Add(crdt.Dot{Replica: replicaID(r), Counter: 1})
			last[replicaID(r)] = 1
		}
		got := drain(&d, &c)
		for _, dot := range got {
			if dot.Counter != last[dot.Replica]+1 {
				t.Fatalf("seed %d: %v came after %d", seed, dot, last[dot.Replica])
			}
			last[dot.Replica]++
		}
		if len(got) != 300 || d.Len() != 0 || d.bytes != 0 {
			t.Errorf("seed %d: %d came out and %d of %d bytes are held, want 300 and none", seed, len(got), d.Len(), d.bytes)
		}
	}
}

func TestOldestAreDroppedWhenTooManyAreHeld(t *testing.T) {
	var d Delivery
	for i := range HeldOpsMax + 10 {
		_, dropped := d.Hold(early(1, 2+i, 0))
		if want := i >= HeldOpsMax; dropped != want {
			t.Fatalf("operation %d: dropped %v, want %v", i, dropped, want)
		}
	}
	if d.Len() != HeldOpsMax || d.Dropped != 10 {
		t.Errorf("%d held, %d dropped, want %d and 10", d.Len(), d.Dropped, HeldOpsMax)
	}
	c := crdt.Vector{}
	c.Add(crdt.Dot{Replica: replicaID(1), Counter: 11})
	if got := drain(&d, &c); len(got) != HeldOpsMax {
		t.Errorf("%d came out, want the %d youngest", len(got), HeldOpsMax)
	}
}

func TestOldestAreDroppedWhenTooManyBytesAreHeld(t *testing.T) {
	var d Delivery
	for i := range 100 {
		d.Hold(early(1, 2+i, 60<<10))
	}
	if d.bytes > HeldBytesMax || d.bytes < HeldBytesMax-(64<<10) || d.Dropped != uint64(100-d.Len()) {
		t.Errorf("%d bytes in %d operations are held, %d dropped", d.bytes, d.Len(), d.Dropped)
	}
	if _, dropped := d.Hold(early(2, 2, HeldBytesMax)); !dropped || d.Len() != 0 || d.bytes != 0 {
		t.Errorf("an operation larger than all that may be held: dropped %v, %d held", dropped, d.Len())
	}
}

func TestOneDotWithTwoContentsIsFound(t *testing.T) {
	var d Delivery
	d.Hold(early(1, 5, 1))
	if same, _ := d.Hold(early(1, 5, 1)); !same || d.Len() != 1 {
		t.Errorf("the same twice: same %v, %d held", same, d.Len())
	}
	if same, _ := d.Hold(early(1, 5, 2)); same || d.Len() != 1 {
		t.Errorf("another content: same %v, %d held", same, d.Len())
	}
}

func TestPruneLetsGoOfWhatWasSeen(t *testing.T) {
	var d Delivery
	for i := range 10 {
		d.Hold(early(1, 2+i, 1))
		d.Hold(early(2, 2+i, 1))
	}
	c := crdt.Vector{}
	c.Add(crdt.Dot{Replica: replicaID(1), Counter: 6})
	d.Prune(crdt.Parts{{Context: c}})
	if d.Len() != 15 || len(d.order) != 15 {
		t.Errorf("%d held, %d in order, want 15", d.Len(), len(d.order))
	}
	if got := drain(&d, &c); len(got) != 5 {
		t.Errorf("%d came out, want 5", len(got))
	}
}

// An operation that was seen in all parts that it touches waits for nothing, whatever the others have seen.
func TestPruneLetsGoOfWhatWasSeenWhereItBelongs(t *testing.T) {
	var d Delivery
	for i := range 3 {
		d.Hold(early(1, 2+i, 1)) // p2, p3, p4
	}
	var seen, behind crdt.Vector
	seen.Add(crdt.Dot{Replica: replicaID(1), Counter: 9})
	d.Prune(crdt.Parts{{Context: behind}, {From: "p3", Context: seen}, {From: "p4", Context: behind}})
	if got := fmt.Sprint(d.order); d.Len() != 2 || len(d.order) != 2 || strings.Contains(got, ":3") {
		t.Errorf("%d held, %v in order, want those at p2 and p4", d.Len(), got)
	}
}

func TestOrderOfTheHeldStaysBounded(t *testing.T) {
	var d Delivery
	c := crdt.Vector{}
	c.Add(crdt.Dot{Replica: replicaID(1), Counter: 1})
	for i := range 20 * HeldOpsMax { // each comes early and leaves at once
		d.Hold(early(1, 2+i, 0))
		if len(drain(&d, &c)) != 1 {
			t.Fatal("it did not come out")
		}
	}
	if len(d.order) > 2*HeldOpsMax+1 {
		t.Errorf("%d dots are remembered in order of arrival", len(d.order))
	}
}

// TestWhatIsHeldIsNotLookedAtForEverythingThatComes: of each operation that waits one thing that is missing is remembered, and as long as
// it is, the others of its dots are not asked for.
func TestWhatIsHeldIsNotLookedAtForEverythingThatComes(t *testing.T) {
	var d Delivery
	const n = 300
	never := crdt.Dot{Replica: replicaID(9999), Counter: 7}
	for i := range n {
		h := early(1+i, 1, 1)
		h.Op.Entries[0].Also = []crdt.Dot{never}
		d.Hold(h)
	}
	b := &countingBase{State: crdt.NewState()}
	for i := range n {
		b.Advance(crdt.Dot{Replica: replicaID(5000), Counter: uint64(1 + i)})
		if d.Next(b) != nil {
			t.Fatal("an operation came out early")
		}
	}
	if b.looks > 5*n {
		t.Errorf("%d looks at the state for %d operations that come and %d that wait", b.looks, n, n)
	}
	b.Advance(never)
	for i := range n {
		if d.Next(b) == nil {
			t.Fatalf("%d of %d came out", i, n)
		}
	}
}

// TestHeldOperationsCountTheirEntries: an operation of many small entries takes more memory than bytes.
func TestHeldOperationsCountTheirEntries(t *testing.T) {
	op := &crdt.Op{Dot: crdt.Dot{Replica: replicaID(1), Counter: 2}}
	for i := range 5000 {
		op.Entries = append(op.Entries, crdt.OpEntry{Path: fmt.Sprintf("%04d", i)})
	}
	var d Delivery
	for i := range 100 {
		op.Dot.Counter = uint64(2 + i)
		next := *op
		d.Hold(Held{Op: &next, Encoded: next.Encode()})
	}
	if memory := d.Len() * 5000 * entryMemory; d.Len() == 0 || memory > HeldBytesMax {
		t.Errorf("%d operations are held, which take %d bytes", d.Len(), memory)
	}
}

// A countingBase counts how often its parts are asked for.
type countingBase struct {
	*crdt.State
	looks int
}

func (b *countingBase) Parts() crdt.Parts {
	b.looks++
	return b.State.Parts()
}

func BenchmarkDeliveryDrain(b *testing.B) {
	for _, replicas := range []int{1, 100} {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			var held []Held
			for i := range HeldOpsMax {
				held = append(held, early(1+i%replicas, 2+i/replicas, 0))
			}
			for b.Loop() {
				var d Delivery
				var c crdt.Vector
				for _, h := range held {
					d.Hold(h)
				}
				for r := range replicas {
					c.Add(crdt.Dot{Replica: replicaID(1 + r), Counter: 1})
				}
				if got := drain(&d, &c); len(got) != HeldOpsMax {
					b.Fatal(len(got))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/HeldOpsMax, "ns/held")
		})
	}
}

// stateAt returns a state that has seen c and holds nothing.
func stateAt(c crdt.Vector) *crdt.State {
	s := crdt.NewState()
	for d := range c.All() {
		s.Advance(d)
	}
	return s
}
