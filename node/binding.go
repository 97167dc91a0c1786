package node

import (
	"errors"
	"fmt"
	"math"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// A binding ties a replica to the device that writes under it. The first operation of every replica carries one, so that a
// Conflict can name devices and nobody can write under another device's replica.
//
// It travels as a CBOR array of its fields.
type binding struct {
	Version uint8
	Device  gossip.DeviceID
	Sig     []byte
}

// bindingText is what the device signs.
func bindingText(space gossip.SpaceID, r crdt.ReplicaID, d gossip.DeviceID) []byte {
	text := append(append(make([]byte, 0, 96), "syncline/open/1"...), space[:]...)
	return append(append(text, r[:]...), d[:]...)
}

// bind returns the binding of a replica id to this device.
func (r *Replica) bind(id crdt.ReplicaID) []byte {
	b := binding{Version: 1, Device: r.self}
	b.Sig = r.cfg.Sign(r.cfg.Key, bindingText(r.cfg.Space, id, b.Device))
	open := crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 128), 3), uint64(b.Version))
	return crdt.AppendBytes(crdt.AppendBytes(open, b.Device[:]), b.Sig)
}

// boundDevice returns the device that a binding ties the replica to, if its signature holds.
func (r *Replica) boundDevice(id crdt.ReplicaID, open []byte) (gossip.DeviceID, error) {
	b, err := readBinding(id, open)
	if err == nil && !r.cfg.Verify(b.Device[:], bindingText(r.cfg.Space, id, b.Device), b.Sig) {
		err = fmt.Errorf("binding of replica %v to device %s: the signature does not hold", id, b.Device.Short())
	}
	return b.Device, err
}

// readBinding reads a binding without looking at its signature, which was verified before it was stored.
func readBinding(r crdt.ReplicaID, open []byte) (b binding, err error) {
	i := crdt.ItemsOf(open)
	i.Array(3)
	b.Version = uint8(i.Uint(math.MaxUint8))
	i.Fill(b.Device[:])
	b.Sig = i.Bytes(crdt.OpenBytesMax)
	if err := i.End(); err != nil {
		return b, fmt.Errorf("binding of replica %v: %w", r, err)
	}
	if b.Version != 1 {
		return b, fmt.Errorf("binding of replica %v has version %d", r, b.Version)
	}
	return b, nil
}

// A sessionView is the replica as its sessions see it: a binding that is damaged is an error, and is noticed.
type sessionView struct {
	*store.Tx
	r *Replica
}

// Open returns the binding of a replica, nil if none is known. One that does not decode is a [store.CorruptError], like a record that does not.
func (v sessionView) Open(id crdt.ReplicaID) ([]byte, error) {
	open, err := v.Tx.Open(id)
	if err == nil && open != nil {
		if _, bad := readBinding(id, open); bad != nil {
			err = &store.CorruptError{Key: id.String(), Err: bad}
		}
	}
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
		v.r.lostBinding(id)
	}
	if err != nil {
		return nil, err
	}
	return open, nil
}

// lostBinding takes note that the binding of a replica is damaged or gone. The alarm is raised now and then, not for each operation and answer that
// meets it.
func (r *Replica) lostBinding(id crdt.ReplicaID) {
	if again, known := r.unbound[id]; known && r.now.Mono < again {
		return
	}
	r.unbound[id] = r.now.Mono + r.cfg.AntiEntropy
	r.emit(Alarm{Code: AlarmCorrupt, Replica: id, Text: fmt.Sprintf("damaged record: the binding of replica %v cannot be read; what its device writes comes by sessions only", id)})
}

// lostBindings returns how many of the replicas that were seen have no binding that can be read. That of the own one is made anew.
func (r *Replica) lostBindings() (lost int, err error) {
	for top := range r.tx.Parts().Top().All() {
		if r.hasBinding(top.Replica) {
			continue
		}
		if top.Replica != r.id {
			lost++
		} else if err := r.tx.SetOpen(r.id, r.bind(r.id)); err != nil {
			return lost, err
		}
	}
	return lost, nil
}
