package crdt

import (
	"fmt"
	"testing"
)

// benchmarkOp is a usual write: 64 bytes over one predecessor.
func benchmarkOp() *Op {
	return &Op{Dot: dot(1, 70_000), Time: At(1_700_000_000_000), Entries: []OpEntry{
		{Path: "notes/2026/today.md", Type: "text/markdown; charset=utf-8", Data: make([]byte, 64), Preds: []Dot{dot(1, 69_999)}}}}
}

func BenchmarkOpEncode64B(b *testing.B) {
	op := benchmarkOp()
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(op.Encode())))
	}
}

func BenchmarkOpDecode64B(b *testing.B) {
	encoded := benchmarkOp().Encode()
	b.ReportAllocs()
	b.SetBytes(int64(len(encoded)))
	for b.Loop() {
		if _, err := DecodeOp(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite overwrites one of 1,000 paths at a time, in memory.
func BenchmarkWrite(b *testing.B) {
	r := newReplica(1)
	data := make([]byte, 64)
	paths := benchmarkPaths(1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.write(Change{Path: paths[i%len(paths)], Data: data, ShownAll: true})
	}
}

// BenchmarkApply applies a decoded write over one value, in memory.
func BenchmarkApply(b *testing.B) {
	const n = 1000
	r := newReplica(1)
	ops := make([]*Op, n)
	for i, path := range benchmarkPaths(n) {
		r.put(path, "old")
		ops[i] = r.write(Change{Path: path, Data: make([]byte, 64), ShownAll: true})
	}
	base := NewState()
	base.Advance(dot(1, 1))
	i := n
	b.ReportAllocs()
	for b.Loop() {
		if i == n {
			// The state returns to what it was before the first of ops; its context is moved as if it had seen the rest.
			i = 0
			for _, op := range ops {
				v := value(1, op.Dot.Counter-1, 1, "old")
				base.SetRegister(op.Entries[0].Path, Register{Live: []Value{v}})
			}
		}
		last := Dot{r.id, ops[i].Dot.Counter - 1}
		base.parts[0].Context.Retreat(last)
		base.parts[0].Context.Add(last)
		if _, err := Apply(base, ops[i]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkJoin10kRows joins an answer with 10,000 paths of 64 bytes into a state that holds their older values.
func BenchmarkJoin10kRows(b *testing.B) {
	source, target := benchmarkStates(10_000)
	delta := Diff(target, source)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		into := target.Clone()
		b.StartTimer()
		if _, err := Join(into, delta); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/row")
}

// BenchmarkAnswer10kRows makes that answer; a State in memory has no index, a store answers faster in proportion.
func BenchmarkAnswer10kRows(b *testing.B) {
	source, target := benchmarkStates(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Answer(source, target.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/row")
}

func benchmarkPaths(n int) []string {
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("notes/2026/%06d.md", i)
	}
	return paths
}

func benchmarkStates(n int) (source, target *State) {
	a, b := newReplica(1), newReplica(2)
	paths := benchmarkPaths(n)
	for _, path := range paths {
		a.put(path, "old")
	}
	b.pull(a)
	for _, path := range paths {
		a.write(Change{Path: path, Data: make([]byte, 64), ShownAll: true})
	}
	return a.State, b.State
}

func BenchmarkDigestAdd64B(b *testing.B) {
	v := value(1, 1, 1, string(make([]byte, 64)))
	var g Digest
	b.ReportAllocs()
	for b.Loop() {
		g.Add("notes/2026/today.md", v)
	}
}

func BenchmarkVectorHash10k(b *testing.B) {
	var v Vector
	for i := range 10_000 {
		v.Add(Dot{ReplicaID{byte(i), byte(i >> 8), 1}, uint64(i + 1)})
	}
	b.ReportAllocs()
	for b.Loop() {
		v.Hash()
	}
}

func BenchmarkDecodeValues64B(b *testing.B) {
	encoded := AppendValues(nil, []Value{value(1, 1, 1, string(make([]byte, 64)))})
	b.ReportAllocs()
	b.SetBytes(int64(len(encoded)))
	for b.Loop() {
		if _, err := DecodeValues(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
