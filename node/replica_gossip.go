package node

import (
	"bytes"
	"fmt"

	"syncline/crdt"
	"syncline/gossip"
)

// receive takes the operations of one frame: each is applied if it is ready, held back if it is early.
func (r *Replica) receive(in Ops) error {
	raised := r.raised
	for _, encoded := range in.Ops {
		if r.raised > raised { // one alarm for a frame: what else it holds comes by session
			r.hasten(in.From, gossip.RetryDelay)
			return nil
		}
		op, err := decodeGossiped(encoded)
		if err != nil {
			r.alarm(AlarmBadFrame, in.Author, "an operation was refused: %v", err)
			r.hasten(in.From, gossip.RetryDelay)
			continue
		}
		switch op.CheckAt(r.tx) {
		case crdt.Seen:
			err = r.compareSeen(op, in.Author)
		case crdt.Early:
			r.holdBack(gossip.Held{Op: op, Encoded: bytes.Clone(encoded), Author: in.Author}, in.From)
		case crdt.Ready:
			if err = r.deliver(op, in.Author); err == nil {
				err = r.drain()
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeGossiped decodes an operation of a frame. What is larger than its writer may publish is refused before it is made.
func decodeGossiped(encoded []byte) (*crdt.Op, error) {
	if len(encoded) > GossipOpBytesMax {
		return nil, fmt.Errorf("%w: %d bytes in a frame; the limit is %d", crdt.ErrDecode, len(encoded), GossipOpBytesMax)
	}
	return crdt.DecodeOp(encoded)
}

// holdBack keeps an early operation and arranges a session with the neighbour that handed it on, which has what is missing.
func (r *Replica) holdBack(h gossip.Held, from gossip.DeviceID) {
	same, dropped := r.delivery.Hold(h)
	if !same {
		r.alarm(AlarmFork, h.Author, "two operations %v with different contents", h.Op.Dot)
	}
	delay := gossip.GapDelay
	if dropped {
		delay = gossip.RetryDelay
	}
	r.distrust(from)
	r.hasten(from, delay)
}

// deliver applies a ready operation, if its replica is bound to the device that signed it. One that meets a damaged record, or whose binding is
// damaged, has not been seen: it comes by session, when the record is repaired.
func (r *Replica) deliver(op *crdt.Op, author gossip.DeviceID) error {
	for i := range op.Entries {
		if _, err := r.tx.Register(op.Entries[i].Path); r.damaged(err) {
			r.distrust(gossip.DeviceID{})
			return nil
		} else if err != nil {
			return err
		}
	}
	bound, ok, err := r.boundFor(op)
	if err != nil {
		return err
	}
	if !ok && op.Dot.Counter > 1 { // there was one: without it nobody can tell whose operation this is
		r.lostBinding(op.Dot.Replica)
		r.distrust(gossip.DeviceID{})
		r.hasten(gossip.DeviceID{}, gossip.RetryDelay)
		return nil
	}
	if !ok || bound != author {
		r.alarm(AlarmUnbound, author, "operation %v is not of a replica of device %s", op.Dot, author.Short())
		return nil
	}
	effects, err := crdt.Apply(r.tx, op)
	if err != nil {
		return err
	}
	r.follow(op.Time, author)
	if err := r.changed(effects, true); err != nil {
		return err
	}
	return nil
}

// boundFor returns the device that op's replica is bound to; the first operation of a replica brings the binding itself.
func (r *Replica) boundFor(op *crdt.Op) (gossip.DeviceID, bool, error) {
	if op.Dot.Counter > 1 {
		return r.deviceOf(op.Dot.Replica)
	}
	d, err := r.boundDevice(op.Dot.Replica, op.Open)
	return d, err == nil, nil
}

// drain applies what was held back and has become ready.
func (r *Replica) drain() error {
	for {
		h := r.delivery.Next(r.tx)
		if h == nil {
			return nil
		}
		if err := r.deliver(h.Op, h.Author); err != nil {
			return err
		}
	}
}

// compareSeen looks whether an operation that was seen before has the contents it had then. A difference means that its replica
// was used twice; neither side is changed.
func (r *Replica) compareSeen(op *crdt.Op, author gossip.DeviceID) error {
	for i := range op.Entries {
		e := &op.Entries[i]
		reg, err := r.tx.Register(e.Path)
		if r.damaged(err) {
			continue
		} else if err != nil {
			return err
		}
		for _, v := range reg.Live {
			if v.Dot == op.Dot && (e.Delete || v.Type != e.Type || v.Time != op.Time || !bytes.Equal(v.Data, e.Data)) {
				r.alarm(AlarmFork, author, "operation %v at %q has two contents", op.Dot, e.Path)
				return nil
			}
		}
	}
	return nil
}
