package netns

import (
	"container/heap"
	"errors"
	"io"
	"math"
	"sync"
	"time"
)

const (
	frameMax     = 64 << 10 // bytes that one read from a port may return
	frameMin     = 14       // an Ethernet header
	frameWaitMax = 1 << 16  // frames that wait in a switch; beyond it new ones are dropped, as by a full queue
)

// Weather is how bad a network is. The zero Weather is a good one. Shares are of Ethernet frames and lie between 0 and 1.
type Weather struct {
	Loss      float64
	Duplicate float64
	// Delay is how much longer every frame takes; of Jitter each takes a share of its own, so that later frames overtake earlier ones.
	Delay, Jitter time.Duration
}

// A Switch is an Ethernet switch in this process. It learns where an address is and floods what has no known place, so broadcast and
// multicast reach everybody. It is safe for concurrent use.
//
// What happens to a frame follows from the seed, the two ports and the number of the frame between them.
type Switch struct {
	seed uint64
	work sync.WaitGroup
	wake chan struct{} // holds one element if the queue may have a new head
	done chan struct{}

	mu      sync.Mutex // guards what follows
	closed  bool
	ports   []io.ReadWriteCloser
	learned map[[6]byte]int
	sent    map[[2]int]uint64 // frames between two ports
	cuts    []*Cut
	all     Weather
	at      map[int]Weather // of what a port sends and receives, besides
	queue   queue
	order   uint64
}

// NewSwitch returns a switch without ports. Close it.
func NewSwitch(seed uint64) *Switch {
	s := &Switch{seed: seed, wake: make(chan struct{}, 1), done: make(chan struct{}),
		learned: map[[6]byte]int{}, sent: map[[2]int]uint64{}, at: map[int]Weather{}}
	s.work.Go(s.deliver)
	return s
}

// Plug adds a port and returns its number. A Read of port returns one frame, a Write takes one. The switch closes it.
func (s *Switch) Plug(port io.ReadWriteCloser) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errors.Join(errors.New("the switch is closed"), port.Close())
	}
	n := len(s.ports)
	s.ports = append(s.ports, port)
	s.work.Go(func() { s.carry(n, port) })
	return n, nil
}

// SetWeather sets the weather between all ports.
func (s *Switch) SetWeather(w Weather) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = w
}

// SetWeatherAt sets the weather of what one port sends and receives. It adds to the weather between all ports.
func (s *Switch) SetWeatherAt(port int, w Weather) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[port] = w
}

// A Cut keeps frames from passing between some ports until it is mended.
type Cut struct {
	apart func(from, to int) bool
	hold  bool
	held  []waiting
}

// Cut stops all frames between ports that are apart. With hold they are kept and travel when the Cut is mended; else they are lost.
// Several cuts add up. apart must be pure.
func (s *Switch) Cut(apart func(from, to int) bool, hold bool) *Cut {
	c := &Cut{apart: apart, hold: hold}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts = append(s.cuts, c)
	return c
}

// Mend ends a Cut; a second time does nothing.
func (s *Switch) Mend(c *Cut) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.cuts {
		if s.cuts[i] == c {
			s.cuts = append(s.cuts[:i:i], s.cuts[i+1:]...)
			break
		}
	}
	held := c.held
	c.held = nil
	for _, w := range held {
		if at := s.cutBetween(w.from, w.to); at != nil {
			at.keep(w)
			continue
		}
		s.enqueue(w, time.Now())
	}
}

// keep takes a frame that cannot pass.
func (c *Cut) keep(w waiting) {
	if c.hold && len(c.held) < frameWaitMax {
		c.held = append(c.held, w)
	}
}

// Close closes all ports and waits until nothing of the switch runs.
func (s *Switch) Close() error {
	s.mu.Lock()
	var errs []error
	if !s.closed {
		s.closed = true
		close(s.done)
		for _, p := range s.ports {
			errs = append(errs, p.Close())
		}
	}
	s.mu.Unlock()
	s.work.Wait()
	return errors.Join(errs...)
}

// carry takes the frames of a port until it is closed.
func (s *Switch) carry(from int, port io.Reader) {
	buf := make([]byte, frameMax)
	var now []io.Writer
	for {
		n, err := port.Read(buf)
		if err != nil {
			return
		}
		if n < frameMin {
			continue
		}
		now = s.route(now[:0], from, buf[:n])
		for _, to := range now {
			to.Write(buf[:n]) // an interface that is down takes nothing
		}
	}
}

// route appends the ports that get a frame at once, and arranges the others.
func (s *Switch) route(now []io.Writer, from int, frame []byte) []io.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var dst, src [6]byte
	copy(dst[:], frame)
	copy(src[:], frame[6:])
	s.learned[src] = from
	if to, ok := s.learned[dst]; ok && dst[0]&1 == 0 {
		return s.pass(now, from, to, frame)
	}
	for to := range s.ports {
		now = s.pass(now, from, to, frame)
	}
	return now
}

// pass decides about one frame on its way to one port.
func (s *Switch) pass(now []io.Writer, from, to int, frame []byte) []io.Writer {
	if from == to {
		return now
	}
	n := s.sent[[2]int{from, to}]
	s.sent[[2]int{from, to}] = n + 1
	w := waiting{from: from, to: to}
	if c := s.cutBetween(from, to); c != nil {
		if c.hold {
			w.frame = append([]byte(nil), frame...)
		}
		c.keep(w)
		return now
	}
	f := fateOf(s.seed, from, to, n)
	copies, delay := 1, time.Duration(0)
	for _, weather := range []Weather{s.all, s.at[from], s.at[to]} {
		if weather == (Weather{}) {
			continue
		}
		if f.next() < weather.Loss {
			return now
		}
		if f.next() < weather.Duplicate {
			copies++
		}
		delay += weather.Delay + time.Duration(f.next()*float64(weather.Jitter))
	}
	if delay == 0 {
		for range copies {
			now = append(now, s.ports[to])
		}
		return now
	}
	w.frame = append([]byte(nil), frame...)
	for range copies {
		s.enqueue(w, time.Now().Add(delay))
	}
	return now
}

// cutBetween returns a cut that keeps frames from passing, nil if they pass. One that loses them comes before one that holds them.
func (s *Switch) cutBetween(from, to int) *Cut {
	var hold *Cut
	for _, c := range s.cuts {
		switch {
		case !c.apart(from, to):
		case !c.hold:
			return c
		default:
			hold = c
		}
	}
	return hold
}

// enqueue arranges for a frame to arrive.
func (s *Switch) enqueue(w waiting, due time.Time) {
	if len(s.queue) >= frameWaitMax {
		return
	}
	s.order++
	w.due, w.order = due, s.order
	heap.Push(&s.queue, w)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// deliver writes the frames that waited when their time has come.
func (s *Switch) deliver() {
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		case <-timer.C:
		}
		for {
			w, to, ok := s.due(timer)
			if !ok {
				break
			}
			to.Write(w.frame)
		}
	}
}

// due takes the next frame whose time has come; if there is none it sets the timer for the one that comes next.
func (s *Switch) due(timer *time.Timer) (waiting, io.Writer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.closed {
		return waiting{}, nil, false
	}
	if left := time.Until(s.queue[0].due); left > 0 {
		timer.Reset(left)
		return waiting{}, nil, false
	}
	w := heap.Pop(&s.queue).(waiting)
	return w, s.ports[w.to], true
}

// A waiting frame arrives when it is due; frames due at the same time arrive in their order.
type waiting struct {
	due      time.Time
	order    uint64
	from, to int
	frame    []byte
}

// A queue is a heap of frames.
type queue []waiting

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].due.Before(q[j].due) || q[i].due.Equal(q[j].due) && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(waiting)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	(*q)[last] = waiting{} // its bytes are not kept alive
	*q = (*q)[:last]
	return w
}

// A fate is a source of a few numbers about one frame.
type fate uint64

func fateOf(seed uint64, from, to int, n uint64) *fate {
	f := fate(mix(mix(seed, uint64(from)<<32|uint64(to)), n))
	return &f
}

// next returns a number in [0, 1).
func (f *fate) next() float64 {
	*f = fate(mix(uint64(*f), 0x6a09e667f3bcc909))
	return float64(*f>>11) / (1 << 53)
}

// mix folds x into h (the finaliser of SplitMix64).
func mix(h, x uint64) uint64 {
	h = (h ^ x) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
