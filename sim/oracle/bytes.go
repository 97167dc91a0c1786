package oracle

import "syncline/crdt"

// The bytes that a session may cost in one direction (P13): the paths and contents of the values that the other side lacks, dotBytes
// for each dot that the rows name, and what is the same for two devices that differ in one value and in a million: fixedBytes and both
// vectors. How often a path was written before makes no difference.
const (
	// fixedBytes is for the heads of a hello (45), an end (60), a done (19), a question (6), and of one message of each kind of rows (40
	// each); the vectors in them are counted as they are.
	fixedBytes = 256
	// dotBytes is for the name of an operation, 8 and up to 4 bytes, its time, up to 10, and up to 18 in the other columns, the media type
	// among them.
	dotBytes = 40
	// nameBytes is for one live value in a list of names: the dot and its place. Only a device that may hold values whose delete the other
	// side has forgotten lists what it has (docs/decisions/0002).
	nameBytes = 24
	// bindingBytes is for tying a replica to a device: once for each replica that the other side has not heard of.
	bindingBytes = 128
)

// A Session is one exchange between two devices, as the harness sees it from its first message on.
type Session struct {
	o    *Oracle
	ends [2]end
	// free says that nothing is said of its costs: who repairs asks as if it had seen nothing of what it lost, and what it then joins, for one
	// path, comes once more with what it lacks of the others. So does what came since a path was left out: ranges of which less than some
	// thousand operations are missing are asked for together.
	free bool
}

// An end is one device of a session: what it had seen when the session began, and how much it has said since.
type end struct {
	device  int
	app     set
	context crdt.Vector
	bytes   int
}

// Session takes note that a session between two devices begins.
func (o *Oracle) Session(a, b int) *Session {
	s := &Session{o: o}
	for i, device := range []int{a, b} {
		d := o.devices[device]
		s.free = s.free || len(d.damaged) > 0 || o.s.AnswerRows == 0 && len(d.parts) > 1
		s.ends[i] = end{device: device, app: d.app, context: d.context}
	}
	return s
}

// Sent takes note of a message that a device sent, and says whether all of them together may cost as much.
func (s *Session) Sent(device, bytes int) {
	from, to := &s.ends[0], &s.ends[1]
	if to.device == device {
		from, to = to, from
	}
	if from.bytes += bytes; from.bytes <= fixedBytes || s.free {
		return
	}
	if limit := s.limit(from, to); from.bytes > limit {
		s.o.Fail(Bytes, device, "%d bytes in a session with device %d, which lacks what costs at most %d", from.bytes, to.device, limit)
		from.bytes = -1 << 40 // once
	}
}

// limit is what a session may cost in one direction.
func (s *Session) limit(from, to *end) int {
	o, d, peer := s.o, s.o.devices[from.device], s.o.devices[to.device]
	context, floor := o.size(d.parts.Top()), o.size(d.view.Floor())
	limit := fixedBytes + 2*context + 2*floor
	if o.ranged { // so much for each answer, of which there may be one for each path
		limit *= 1 + len(o.paths)
	}
	for top := range d.context.All() {
		if to.context.Get(top.Replica) == 0 {
			limit += bindingBytes
		}
	}
	lists, kills := !peer.view.Floor().Within(from.context), !d.view.Floor().Within(to.context)
	if lists {
		limit += context
	}
	for _, path := range o.paths {
		lacked, known := 0, 0
		for e := range o.current(path, from.app, d.app) {
			if to.app.has(e.index) {
				known++
			} else {
				lacked++
				limit += len(path) + len(e.data) + dotBytes
			}
		}
		if lacked > 0 {
			limit += known * dotBytes
		}
		if lists {
			limit += (lacked + known) * (nameBytes + len(path))
		}
		if kills {
			for range o.current(path, to.app, peer.app) {
				limit += nameBytes + len(path)
			}
		}
	}
	return limit
}

// size is the number of bytes in an encoded vector.
func (o *Oracle) size(v crdt.Vector) int {
	o.encoded = crdt.AppendVector(o.encoded[:0], v)
	return len(o.encoded)
}

// current yields what stands at a path when before has been seen and what came until now: values and deletes that nothing superseded at
// the beginning.
func (o *Oracle) current(path string, before, now set) func(func(*entry) bool) {
	dead := newSet(o.limit)
	for _, e := range o.byPath[path] {
		if before.has(e.index) {
			dead.join(e.below)
		}
	}
	return func(yield func(*entry) bool) {
		for _, e := range o.byPath[path] {
			if now.has(e.index) && !dead.has(e.index) && !yield(e) {
				return
			}
		}
	}
}
