package netns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// A jack is a port of a switch whose other end is a test: in is what the host sends, out what it gets.
type jack struct {
	in   chan []byte
	out  chan []byte
	once sync.Once
	gone chan struct{}
}

func plugJack(t *testing.T, s *Switch) *jack {
	t.Helper()
	j := &jack{in: make(chan []byte), out: make(chan []byte, 1<<12), gone: make(chan struct{})}
	if _, err := s.Plug(j); err != nil {
		t.Fatal(err)
	}
	return j
}

func (j *jack) Read(b []byte) (int, error) {
	select {
	case f := <-j.in:
		return copy(b, f), nil
	case <-j.gone:
		return 0, io.EOF
	}
}

func (j *jack) Write(b []byte) (int, error) {
	j.out <- bytes.Clone(b)
	return len(b), nil
}

func (j *jack) Close() error {
	j.once.Do(func() { close(j.gone) })
	return nil
}

const everybody = 0xff

// send hands a frame with a number in it to the switch, from one host to another or to everybody.
func (j *jack) send(from, to byte, n int) {
	f := make([]byte, frameMin+8)
	for i := range 6 {
		f[i], f[6+i] = to&^1, from&^1
	}
	f[5], f[11] = to, from
	if to == everybody {
		f[0] = everybody
	}
	binary.BigEndian.PutUint64(f[frameMin:], uint64(n))
	j.in <- f
}

// took returns the numbers of the frames that arrived before the frame with number last, and takes that one, too.
func (j *jack) took(t *testing.T, last int) []int {
	t.Helper()
	var ns []int
	for {
		select {
		case f := <-j.out:
			n := int(binary.BigEndian.Uint64(f[frameMin:]))
			if n == last {
				return ns
			}
			ns = append(ns, n)
		case <-time.After(time.Minute):
			t.Fatalf("frame %d did not arrive; %d others did", last, len(ns))
		}
	}
}

const last = 1 << 20

// newSwitch makes a switch with three hosts that have said where they are.
func newSwitch(t *testing.T, seed uint64) (*Switch, []*jack) {
	t.Helper()
	s := NewSwitch(seed)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var js []*jack
	for range 3 {
		js = append(js, plugJack(t, s))
	}
	for i, j := range js {
		j.send(byte(i), everybody, last+i)
		for k, o := range js {
			if k != i {
				o.took(t, last+i)
			}
		}
	}
	return s, js
}

// TestSwitchFloodsAndLearns: what is for everybody, or for an address that nobody has used, reaches everybody; the rest its port.
func TestSwitchFloodsAndLearns(t *testing.T) {
	_, js := newSwitch(t, 1)
	js[0].send(0, 1, 10)
	js[0].send(0, 7, 11) // nobody has used it
	js[0].send(0, everybody, last)
	if got := js[1].took(t, last); !slices.Equal(got, []int{10, 11}) {
		t.Errorf("host 1 got %v", got)
	}
	if got := js[2].took(t, last); !slices.Equal(got, []int{11}) {
		t.Errorf("host 2 got %v", got)
	}
	if len(js[0].out) > 0 {
		t.Error("a frame came back to its sender")
	}
}

// TestSwitchWeatherFollowsFromTheSeed: the same seed loses and repeats the same frames, another one others, in about the share
// that was asked for.
func TestSwitchWeatherFollowsFromTheSeed(t *testing.T) {
	const frames = 2000
	run := func(seed uint64) []int {
		s, js := newSwitch(t, seed)
		s.SetWeather(Weather{Loss: 0.3, Duplicate: 0.1})
		for n := range frames {
			js[0].send(0, 1, n)
		}
		s.await(0, 1, frames+1)
		s.SetWeather(Weather{})
		js[0].send(0, 1, last)
		return js[1].took(t, last)
	}
	a, b, c := run(5), run(5), run(6)
	if !slices.Equal(a, b) {
		t.Error("the same seed has two outcomes")
	}
	if slices.Equal(a, c) {
		t.Error("two seeds have one outcome")
	}
	different := len(slices.Compact(slices.Clone(a)))
	if lost := frames - different; lost < frames*25/100 || lost > frames*35/100 {
		t.Errorf("%d of %d frames were lost, want about 30 %%", lost, frames)
	}
	if twice := len(a) - different; twice < different*7/100 || twice > different*13/100 {
		t.Errorf("%d of %d frames came twice, want about 10 %%", twice, different)
	}
}

// TestSwitchDelays: a delay keeps the order, jitter does not, and both lose nothing.
func TestSwitchDelays(t *testing.T) {
	for _, w := range []Weather{{Delay: 20 * time.Millisecond}, {Jitter: 50 * time.Millisecond}} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			s, js := newSwitch(t, 1)
			s.SetWeatherAt(1, w)
			const frames = 200
			start := time.Now()
			for n := range frames {
				js[0].send(0, 1, n)
			}
			var got []int
			for range frames {
				f := <-js[1].out
				got = append(got, int(binary.BigEndian.Uint64(f[frameMin:])))
			}
			if took := time.Since(start); took < w.Delay {
				t.Errorf("the frames arrived after %v, before a delay of %v", took, w.Delay)
			}
			if ordered := slices.IsSorted(got); ordered != (w.Jitter == 0) {
				t.Errorf("in order: %v", ordered)
			}
			slices.Sort(got)
			if got[0] != 0 || got[frames-1] != frames-1 || len(slices.Compact(got)) != frames {
				t.Error("a frame is missing")
			}
		})
	}
}

// TestSwitchCuts: a cut loses frames, one that holds keeps them until all cuts between the two ports are mended.
func TestSwitchCuts(t *testing.T) {
	s, js := newSwitch(t, 1)
	alone := func(p int) func(from, to int) bool {
		return func(from, to int) bool { return (from == p) != (to == p) }
	}
	before := s.count(0, 1)
	lose := s.Cut(alone(1), false)
	js[0].send(0, 1, 1)
	s.await(0, 1, before+1)
	first, second := s.Cut(alone(0), true), s.Cut(alone(1), true)
	js[0].send(0, 1, 2)
	s.await(0, 1, before+2)
	s.Mend(lose)
	js[0].send(0, 1, 3)
	s.await(0, 1, before+3)
	s.Mend(second)
	s.Mend(second)
	if len(js[1].out) != 0 {
		t.Error("a frame passed a cut")
	}
	s.Mend(first)
	if got := js[1].took(t, 3); len(got) != 0 {
		t.Errorf("host 1 got %v, which a cut had lost", got)
	}
	js[0].send(0, 1, last)
	if got := js[1].took(t, last); len(got) != 0 {
		t.Errorf("host 1 got %v after all cuts", got)
	}
}

// count returns how many frames there were between two ports.
func (s *Switch) count(from, to int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[[2]int{from, to}]
}

// await waits until the switch has decided about n frames between two ports.
func (s *Switch) await(from, to int, n uint64) {
	for s.count(from, to) < n {
		time.Sleep(time.Millisecond)
	}
}
