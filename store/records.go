package store

import (
	"encoding/binary"
	"fmt"

	"syncline/crdt"
)

// recordVersion is the first byte of every record of this package. Values and deletes carry the version of package crdt.
const recordVersion = 1

// layoutVersion is the version of the whole layout, kept under the key "/m". Layout 1 is 2 without history, layout 2
// is 3 without parts, layout 3 is 4 without the descents of values; a store of any of them is read, and raised by its first commit.
const layoutVersion = 4

// headVersion is the version of the head. Version 1 ends before the position in history.
const headVersion = 2

func openRecord(b []byte) (crdt.Reader, error) {
	r := crdt.Reader{B: b}
	if v := r.Byte(); r.Err != nil || v != recordVersion {
		return r, fmt.Errorf("%w: record of version %d", crdt.ErrDecode, v)
	}
	return r, nil
}

func closeRecord(r *crdt.Reader) error {
	if r.Err == nil && len(r.B) > 0 {
		return fmt.Errorf("%w: %d bytes left over", crdt.ErrDecode, len(r.B))
	}
	return r.Err
}

func appendFormat(b []byte) []byte {
	return binary.AppendUvarint(append(b, recordVersion), layoutVersion)
}

// decodeFormat reads the version only: a newer layout may have more fields.
func decodeFormat(b []byte) (layout uint64, err error) {
	if len(b) > 0 && b[0] > recordVersion {
		return 0, fmt.Errorf("%w: format record of version %d", ErrNewer, b[0])
	}
	r, err := openRecord(b)
	if err != nil {
		return 0, err
	}
	layout = r.Uvarint()
	switch {
	case r.Err != nil:
		return 0, r.Err
	case layout > layoutVersion:
		return 0, fmt.Errorf("%w: layout %d, this program reads %d", ErrNewer, layout, layoutVersion)
	case layout == 0:
		return 0, fmt.Errorf("%w: layout %d", crdt.ErrDecode, layout)
	}
	return layout, closeRecord(&r)
}

// A Head holds what is known of a replica's state as a whole. System paths count in Digest and Deletes only.
type Head struct {
	// Entries is the number of user paths with a live value, Bytes the sum of the lengths of these paths and of the data of all
	// their live values, Conflicts the number of user paths that wait for a decision.
	Entries, Bytes, Conflicts int
	// SystemEntries is the number of system paths with a live value.
	SystemEntries int
	// Deletes is the number of remembered deletes.
	Deletes int
	// Digest is the digest of all live values.
	Digest crdt.Digest
	// Clock is the highest timestamp that was made or followed.
	Clock crdt.Timestamp
	// written is the position of the next past value: the pages of all before it.
	written uint64
}

func appendHead(b []byte, h Head) []byte {
	b = append(b, headVersion)
	sum := h.Digest.Bytes()
	b = append(b, sum[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Clock))
	for _, n := range [...]int{h.Entries, h.Bytes, h.Conflicts, h.SystemEntries, h.Deletes} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return binary.AppendUvarint(b, h.written)
}

func decodeHead(b []byte) (h Head, err error) {
	r := crdt.Reader{B: b}
	version := r.Byte()
	if r.Err != nil || version == 0 || version > headVersion {
		return Head{}, fmt.Errorf("%w: head of version %d", crdt.ErrDecode, version)
	}
	var sum [32]byte
	for i := range 4 {
		binary.BigEndian.PutUint64(sum[8*i:], r.Uint64())
	}
	h.Digest = crdt.DigestOf(sum)
	h.Clock = crdt.Timestamp(r.Uint64())
	for _, n := range [...]*int{&h.Entries, &h.Bytes, &h.Conflicts, &h.SystemEntries, &h.Deletes} {
		x := r.Uvarint()
		if x > 1<<62 {
			return Head{}, fmt.Errorf("%w: count %d", crdt.ErrDecode, x)
		}
		*n = int(x)
	}
	if version > 1 {
		h.written = r.Uvarint()
	}
	return h, closeRecord(&r)
}

// A seat is what the store keeps of a replica: its id, its entry in the context, and its entry in the floor.
type seat struct {
	replica        crdt.ReplicaID
	counter, floor uint64
}

func appendSeat(b []byte, s seat) []byte {
	b = append(append(b, recordVersion), s.replica[:]...)
	return binary.AppendUvarint(binary.AppendUvarint(b, s.counter), s.floor)
}

func decodeSeat(b []byte) (seat, error) {
	r, err := openRecord(b)
	if err != nil {
		return seat{}, err
	}
	s := seat{replica: r.Replica(), counter: r.Uvarint(), floor: r.Uvarint()}
	if err := closeRecord(&r); err != nil {
		return seat{}, err
	}
	if s.replica.IsZero() || s.counter > crdt.CounterMax || s.floor > s.counter {
		return seat{}, fmt.Errorf("%w: replica %v with counter %d and floor %d", crdt.ErrDecode, s.replica, s.counter, s.floor)
	}
	return s, nil
}

// An incarnation is the replica id under which this store writes, and whether and how it was closed.
type incarnation struct {
	replica crdt.ReplicaID
	// clean says that nothing was written since the last clean close, which drew the nonce.
	clean bool
	nonce [16]byte
}

func appendIncarnation(b []byte, n incarnation) []byte {
	flags := byte(0)
	if n.clean {
		flags = 1
	}
	b = append(append(b, recordVersion, flags), n.replica[:]...)
	return append(b, n.nonce[:]...)
}

func decodeIncarnation(b []byte) (n incarnation, err error) {
	r, err := openRecord(b)
	if err != nil {
		return incarnation{}, err
	}
	flags := r.Byte()
	n.clean, n.replica = flags == 1, r.Replica()
	binary.BigEndian.PutUint64(n.nonce[:8], r.Uint64())
	binary.BigEndian.PutUint64(n.nonce[8:], r.Uint64())
	if err := closeRecord(&r); err != nil {
		return incarnation{}, err
	}
	if flags > 1 || n.replica.IsZero() || !n.clean && n.nonce != [16]byte{} {
		return incarnation{}, fmt.Errorf("%w: flags %d, replica %v", crdt.ErrDecode, flags, n.replica)
	}
	return n, nil
}

// appendBlob and decodeBlob frame bindings and local records.
func appendBlob(b, data []byte) []byte { return append(append(b, recordVersion), data...) }

func decodeBlob(b []byte) ([]byte, error) {
	r, err := openRecord(b)
	return r.B, err
}
