package sketch

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var testKey = Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// TestSipHash compares with the vector of the authors for the bytes 0 to 15 under the key 0 to 15.
func TestSipHash(t *testing.T) {
	want := binary.LittleEndian.Uint64([]byte{0xdb, 0x9b, 0xc2, 0x57, 0x7f, 0xcc, 0x2a, 0x3f})
	if got := siphash(words(testKey), words(Item(testKey))); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func randomItems(r *rand.Rand, n int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = item([2]uint64{r.Uint64(), r.Uint64()})
	}
	return items
}

func sketchOf(key Key, n int, items ...[]Item) *Sketch {
	s := New(key, n)
	for _, list := range items {
		for _, x := range list {
			s.Add(x)
		}
	}
	return s
}

func sorted(items []Item) []Item {
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b Item) int { return bytes.Compare(a[:], b[:]) })
	return items
}

// TestDensityOfSymbols: symbol i covers an item with probability 1/(1+i/2) (section 4.2 of the paper).
func TestDensityOfSymbols(t *testing.T) {
	const items = 40_000
	s := sketchOf(testKey, 200, randomItems(newRand(1), items))
	for _, i := range []int{0, 1, 2, 3, 10, 50, 199} {
		p := 1 / (1 + float64(i)/2)
		if got, want, dev := float64(s.symbols[i].count), items*p, math.Sqrt(items*p*(1-p)); math.Abs(got-want) > 5*dev {
			t.Errorf("symbol %d covers %v of %d items, want about %.0f", i, got, items, want)
		}
	}
}

// TestDiffTellsTheDifference: whatever the sets, the outcome is exactly the difference, or none.
func TestDiffTellsTheDifference(t *testing.T) {
	for seed := range uint64(300) {
		r := newRand(seed)
		both, a, b := randomItems(r, r.IntN(300)), randomItems(r, r.IntN(40)), randomItems(r, r.IntN(40))
		var key Key
		binary.LittleEndian.PutUint64(key[:], r.Uint64())
		n := 1
		for ; ; n *= 2 {
			if n > 1024 {
				t.Fatalf("seed %d: %d and %d items apart are not told by %d symbols", seed, len(a), len(b), n/2)
			}
			here, there, ok := sketchOf(key, n, both, a).Diff(sketchOf(key, n, b, both))
			if !ok {
				continue
			}
			if !slices.Equal(sorted(here), sorted(a)) || !slices.Equal(sorted(there), sorted(b)) {
				t.Fatalf("seed %d: %d symbols tell %d and %d items, want %d and %d", seed, n, len(here), len(there), len(a), len(b))
			}
			break
		}
		if d := len(a) + len(b); n/2 >= max(8, 4*d) {
			t.Errorf("seed %d: a difference of %d takes more than %d symbols", seed, d, n/2)
		}
	}
}

// needed returns the least number of symbols that tell a difference of d items.
func needed(r *rand.Rand, d int) int {
	items := randomItems(r, d)
	full, empty := sketchOf(testKey, 8*d+100, items[:d/2]), sketchOf(testKey, 8*d+100, items[d/2:])
	lo, hi := 0, full.Len()
	for lo+1 < hi { // more symbols never tell less
		mid := (lo + hi) / 2
		if _, _, ok := full.Prefix(mid).Diff(empty.Prefix(mid)); ok {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// TestSymbolsForADifference: 1.35 to 1.72 symbols for each item in the mean (section 5 of the paper).
func TestSymbolsForADifference(t *testing.T) {
	for _, c := range []struct {
		d, trials int
		most      float64
	}{{1, 200, 1}, {2, 200, 1.9}, {10, 200, 1.95}, {100, 60, 1.6}, {1000, 10, 1.45}, {10_000, 2, 1.42}} {
		sum, worst := 0, 0
		for i := range c.trials {
			n := needed(newRand(uint64(i)), c.d)
			sum += n
			worst = max(worst, n)
		}
		mean := float64(sum) / float64(c.trials*c.d)
		t.Logf("a difference of %d: %.2f symbols for each item, %.2f at most", c.d, mean, float64(worst)/float64(c.d))
		if mean > c.most || c.d >= 1000 && mean < 1.3 {
			t.Errorf("a difference of %d takes %.2f symbols for each item, want 1.35 to %.2f", c.d, mean, c.most)
		}
	}
}

func TestSketchIsAFunctionOfItsSet(t *testing.T) {
	items := randomItems(newRand(1), 100)
	a, b := sketchOf(testKey, 50, items[:90]), New(testKey, 50)
	for i := range items {
		b.Add(items[len(items)-1-i])
	}
	for _, x := range items[90:] {
		b.Remove(x)
	}
	if !bytes.Equal(a.Append(nil, 0), b.Append(nil, 0)) || a.Items() != 90 {
		t.Errorf("the same set has two sketches, of %d and %d items", a.Items(), b.Items())
	}
	if longer := sketchOf(testKey, 80, items[:90]); !bytes.Equal(a.Append(nil, 20), longer.Append(nil, 20)[:len(a.Append(nil, 20))]) {
		t.Error("the first symbols depend on how many there are")
	}
}

// TestSymbolsHaveTheirBytes pins the wire form, and with it the hash and the walk.
func TestSymbolsHaveTheirBytes(t *testing.T) {
	s := New(testKey, 4)
	s.Add(Item(testKey))
	s.Add(Item{1})
	const want = "010102030405060708090a0b0c0d0e0f" + "b4481c622b2bf559" + "02" +
		"01000000000000000000000000000000" + "8b62d01d7ce96e82" + "01" +
		"000102030405060708090a0b0c0d0e0f" + "3f2acc7f57c29bdb" + "01" +
		"00000000000000000000000000000000" + "0000000000000000" + "00"
	if got := hex.EncodeToString(s.Append(nil, 0)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestForgedSymbolsEnd: whatever the symbols, Diff comes to an end and tells no more items than there are symbols.
func TestForgedSymbolsEnd(t *testing.T) {
	own := sketchOf(testKey, 64, randomItems(newRand(1), 20))
	x := Item{7}
	forged := New(testKey, 64)
	forged.symbols[5].toggle(words(x), siphash(forged.key, words(x)), 1) // covers x where x does not belong, and nowhere else
	miscounted := &Sketch{own.key, slices.Clone(own.symbols)}
	miscounted.symbols[3].count++
	for name, s := range map[string]*Sketch{"of an item in the wrong place": forged, "with a wrong count": miscounted} {
		if _, _, ok := own.Diff(s); ok {
			t.Errorf("symbols %s are taken", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sketchOf(testKey, 3, randomItems(newRand(1), 5)).Append(nil, 0))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(testKey, b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Append(nil, 0), b) {
			t.Fatalf("%x decodes and encodes to %x", b, s.Append(nil, 0))
		}
		here, there, _ := sketchOf(testKey, s.Len(), randomItems(newRand(2), 3)).Diff(s)
		if len(here)+len(there) > s.Len()+1 {
			t.Fatalf("%d symbols tell %d items", s.Len(), len(here)+len(there))
		}
	})
}

// BenchmarkAdd is what a write would pay, twice, for a sketch that is kept up to date.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{16, 1024, 4096, SymbolsMax} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := New(testKey, n)
			for i := range b.N {
				s.change([2]uint64{uint64(i), 1}, 1)
			}
		})
	}
}

func BenchmarkDiff(b *testing.B) {
	for _, d := range []int{10, 1000, 10_000} {
		items := randomItems(newRand(1), d)
		x, y := sketchOf(testKey, 2*d, items[:d/2]), sketchOf(testKey, 2*d, items[d/2:])
		b.Run(fmt.Sprint(d), func(b *testing.B) {
			for range b.N {
				if _, _, ok := x.Diff(y); !ok {
					b.Fatal("not told")
				}
			}
		})
	}
}
