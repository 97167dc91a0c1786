package gossip

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"syncline/crdt"
)

// ProtocolVersion is the version of the session protocol. Peers of different versions say so and part.
const ProtocolVersion = 4

// The types of session messages, the first field of each.
const (
	msgHello = 1 + iota
	msgOK
	msgVector
	msgRows
	msgEnd
	msgAsk
	msgLive
	msgKill
	msgDone
	msgBusy
	msgBye
	msgOpens
	msgMore
	msgFloor
	msgDead
	msgLeft
)

// FrameBytesMax is the size at which a message of rows is closed. Only one with a single large value is larger.
const FrameBytesMax = 256 << 10

// MessageBytesMax bounds a message: the largest value, and the vector of 100,000 replicas.
const MessageBytesMax = 2 << 20

// hello opens a session, and answers one that found a difference.
type hello struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Version uint8
	// Hash is that of the sender's vector, Digest that of what is live there, in short form.
	Hash   [16]byte
	Digest [8]byte
	// Wall is the sender's clock, in seconds since 1970. It is only shown to people.
	Wall int64
	// Form says how Entries tell the vector: see formWhole. It is none in a first message to a peer that is believed equal.
	Form    uint8
	Entries []byte
	// Top holds the entries by which some ranges of paths were seen beyond the vector, which was seen of all. It is empty if there is one
	// context for all paths, and if the vector is not told whole.
	Top []byte
}

// vector tells what a hello left out, or goes on with a sketch. Hash is that of the vector.
type vector struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Hash    [16]byte
	Form    uint8
	Entries []byte
	Top     []byte
}

// more says that a sketch did not suffice: go on up to so many symbols, or tell all if it is 0.
type more struct {
	_       struct{} `cbor:",toarray"`
	Type    uint8
	Symbols uint64
}

// floor is said instead of an answer, by who has forgotten deletes that the asker may not know of: Floor holds the entries of its floor that
// lie above the vector that was asked for. The asker must say what is live there.
type floor struct {
	_     struct{} `cbor:",toarray"`
	Type  uint8
	Floor []byte
}

// dead names values that are live at the asker and dead at the sender, by the items of the asker's sketch, in their order.
type dead struct {
	_     struct{} `cbor:",toarray"`
	Type  uint8
	Items []byte
}

// left is said instead of an answer to a question that begins with a path of which an answer would be more than is taken: Path. The asker goes on
// behind it.
type left struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Path string
}

// plain is a message without contents: OK, BUSY.
type plain struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	// Wall is the sender's clock as in hello.
	Wall int64
}

// ask asks for an answer about the paths from From on and before To, empty for no end.
type ask struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	// Vector holds the entries by which the vector that is to be answered is above the one that the asker told.
	Vector []byte
	// Rows is the number of rows that the LIVE messages held.
	Rows uint64
	From string
	To   string
	// Listed says how the asker told what is live there, inside the vector: see listedNot.
	Listed uint8
	// Sketch is the sum of the sketched items, 16 bytes, and the symbols.
	Sketch []byte
}

// end ends an answer.
type end struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	// Asked is the hash of the vector that was answered. Context holds the entries by which the sender's context grew since it
	// last told it in this session; Floor holds the entries of its floor that lie above the vector that was answered.
	Asked   [16]byte
	Context []byte
	Floor   []byte
	// Rows is the number of rows in the ROWS messages, Kills that in the KILL messages and of items in the DEAD messages, Opens that of
	// bindings in the OPENS messages.
	Rows  uint64
	Kills uint64
	Opens uint64
	// Hash is that of the context under which the answer was read. Digest is of the sender's state, all zero if it has several contexts.
	Hash   [16]byte
	Digest [8]byte
	// To is the first path that the answer is not about, empty if it goes to the end of what was asked.
	To string
}

// opensMax is the number of bindings at which a message of them is closed.
const opensMax = 1024

// opens brings the bindings of replicas of which the receiver has seen nothing.
type opens struct {
	_     struct{} `cbor:",toarray"`
	Type  uint8
	Opens []wireOpen
}

type wireOpen struct {
	_       struct{} `cbor:",toarray"`
	Replica crdt.ReplicaID
	Open    []byte
}

// done says that everything received so far is on the sender's disk, and that it will ask nothing more. Hash is that of its vector
// now, all zero if it has several contexts.
type done struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Hash [16]byte
}

// byeCodeMax and byeTextMax bound what a peer says when it ends a session early. The code is kept and shown.
const (
	byeCodeMax = 64
	byeTextMax = 1024
)

// bye ends a session early and says why, in words for a person.
type bye struct {
	_    struct{} `cbor:",toarray"`
	Type uint8
	Code string
	Text string
}

// An encoder is a message. Messages are written and read by hand, because devices that agree say nothing else all day. The bytes are those that crdt.Marshal
// makes of the structures. What is read points into the message.
type encoder interface{ encode() []byte }

func (m *hello) encode() []byte {
	b := crdt.AppendArray(make([]byte, 0, 64+len(m.Entries)+len(m.Top)), 8)
	b = crdt.AppendUint(crdt.AppendUint(b, uint64(m.Type)), uint64(m.Version))
	b = crdt.AppendBytes(crdt.AppendBytes(b, m.Hash[:]), m.Digest[:])
	b = crdt.AppendUint(crdt.AppendInt(b, m.Wall), uint64(m.Form))
	return crdt.AppendBytes(crdt.AppendBytes(b, m.Entries), m.Top)
}

func (m *vector) encode() []byte {
	b := crdt.AppendArray(make([]byte, 0, 40+len(m.Entries)+len(m.Top)), 5)
	b = crdt.AppendUint(crdt.AppendBytes(crdt.AppendUint(b, uint64(m.Type)), m.Hash[:]), uint64(m.Form))
	return crdt.AppendBytes(crdt.AppendBytes(b, m.Entries), m.Top)
}

func (m *vector) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(5)
	m.Type = uint8(i.Uint(math.MaxUint8))
	i.Fill(m.Hash[:])
	m.Form = uint8(i.Uint(math.MaxUint8))
	m.Entries, m.Top = i.Bytes(MessageBytesMax), i.Bytes(MessageBytesMax)
	return i.End()
}

func (m *more) encode() []byte {
	return crdt.AppendUint(crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 16), 2), uint64(m.Type)), m.Symbols)
}

func (m *more) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(2)
	m.Type, m.Symbols = uint8(i.Uint(math.MaxUint8)), i.Uint(math.MaxUint64)
	return i.End()
}

func (m *floor) encode() []byte { return encodeBlob(m.Type, m.Floor) }

func (m *floor) decode(msg []byte) (err error) {
	m.Type, m.Floor, err = decodeBlob(msg)
	return err
}

func (m *dead) encode() []byte { return encodeBlob(m.Type, m.Items) }

func (m *dead) decode(msg []byte) (err error) {
	m.Type, m.Items, err = decodeBlob(msg)
	return err
}

// encodeBlob encodes a message that has one byte string.
func encodeBlob(kind uint8, blob []byte) []byte {
	return crdt.AppendBytes(crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 16+len(blob)), 2), uint64(kind)), blob)
}

func decodeBlob(msg []byte) (kind uint8, blob []byte, err error) {
	i := crdt.ItemsOf(msg)
	i.Array(2)
	kind, blob = uint8(i.Uint(math.MaxUint8)), i.Bytes(MessageBytesMax)
	return kind, blob, i.End()
}

func (m *left) encode() []byte {
	return crdt.AppendText(crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 16+len(m.Path)), 2), uint64(m.Type)), m.Path)
}

func (m *left) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(2)
	m.Type, m.Path = uint8(i.Uint(math.MaxUint8)), i.Text(crdt.PathBytesMax)
	return i.End()
}

func (m *plain) encode() []byte {
	return crdt.AppendInt(crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 16), 2), uint64(m.Type)), m.Wall)
}

func (m *plain) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(2)
	m.Type, m.Wall = uint8(i.Uint(math.MaxUint8)), i.Int()
	return i.End()
}

func (m *ask) encode() []byte {
	b := crdt.AppendArray(make([]byte, 0, 40+len(m.Vector)+len(m.From)+len(m.To)+len(m.Sketch)), 7)
	b = crdt.AppendUint(crdt.AppendBytes(crdt.AppendUint(b, uint64(m.Type)), m.Vector), m.Rows)
	b = crdt.AppendUint(crdt.AppendText(crdt.AppendText(b, m.From), m.To), uint64(m.Listed))
	return crdt.AppendBytes(b, m.Sketch)
}

func (m *ask) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(7)
	m.Type, m.Vector, m.Rows = uint8(i.Uint(math.MaxUint8)), i.Bytes(MessageBytesMax), i.Uint(math.MaxUint64)
	m.From, m.To, m.Listed = i.Text(crdt.BoundaryBytesMax), i.Text(crdt.BoundaryBytesMax), uint8(i.Uint(math.MaxUint8))
	m.Sketch = i.Bytes(MessageBytesMax)
	if err := i.End(); err != nil {
		return err
	}
	if !isBoundary(m.From) || !isBoundary(m.To) {
		return fmt.Errorf("%w: a question about %q to %q, which are no paths", crdt.ErrDecode, m.From, m.To)
	}
	return nil
}

// isBoundary reports whether a range of paths may begin or end there: at a path, right behind one, or, if it is empty, nowhere.
func isBoundary(b string) bool {
	return b == "" || crdt.CheckStoredPath(strings.TrimSuffix(b, "\x00")) == nil
}

func (m *end) encode() []byte {
	b := crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 96+len(m.Context)+len(m.Floor)+len(m.To)), 10), uint64(m.Type))
	b = crdt.AppendBytes(b, m.Asked[:])
	b = crdt.AppendBytes(crdt.AppendBytes(b, m.Context), m.Floor)
	b = crdt.AppendUint(crdt.AppendUint(crdt.AppendUint(b, m.Rows), m.Kills), m.Opens)
	return crdt.AppendText(crdt.AppendBytes(crdt.AppendBytes(b, m.Hash[:]), m.Digest[:]), m.To)
}

func (m *end) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(10)
	m.Type = uint8(i.Uint(math.MaxUint8))
	i.Fill(m.Asked[:])
	m.Context, m.Floor = i.Bytes(MessageBytesMax), i.Bytes(MessageBytesMax)
	m.Rows, m.Kills, m.Opens = i.Uint(math.MaxUint64), i.Uint(math.MaxUint64), i.Uint(math.MaxUint64)
	i.Fill(m.Hash[:])
	i.Fill(m.Digest[:])
	m.To = i.Text(crdt.BoundaryBytesMax)
	if err := i.End(); err != nil {
		return err
	}
	if !isBoundary(m.To) {
		return fmt.Errorf("%w: an answer that ends at %q, which is no path", crdt.ErrDecode, m.To)
	}
	return nil
}

func (m *opens) encode() []byte {
	b := crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 16+160*len(m.Opens)), 2), uint64(m.Type))
	b = crdt.AppendArray(b, len(m.Opens))
	for _, o := range m.Opens {
		b = crdt.AppendBytes(crdt.AppendBytes(crdt.AppendArray(b, 2), o.Replica[:]), o.Open)
	}
	return b
}

func (m *opens) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(2)
	m.Type = uint8(i.Uint(math.MaxUint8))
	m.Opens = make([]wireOpen, 0, i.Len(1<<17))
	for range cap(m.Opens) {
		var o wireOpen
		i.Array(2)
		i.Fill(o.Replica[:])
		o.Open = bytes.Clone(i.Bytes(crdt.OpenBytesMax)) // it is kept
		m.Opens = append(m.Opens, o)
	}
	return i.End()
}

func (m *done) encode() []byte {
	return crdt.AppendBytes(crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 20), 2), uint64(m.Type)), m.Hash[:])
}

func (m *done) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(2)
	m.Type = uint8(i.Uint(math.MaxUint8))
	i.Fill(m.Hash[:])
	return i.End()
}

func (m *bye) encode() []byte {
	b := crdt.AppendUint(crdt.AppendArray(make([]byte, 0, 16+len(m.Code)+len(m.Text)), 3), uint64(m.Type))
	return crdt.AppendText(crdt.AppendText(b, m.Code), m.Text)
}

func (m *bye) decode(msg []byte) error {
	i := crdt.ItemsOf(msg)
	i.Array(3)
	m.Type, m.Code, m.Text = uint8(i.Uint(math.MaxUint8)), i.Text(byeCodeMax), i.Text(byeTextMax)
	return i.End()
}

// messageType returns the type of an encoded message: the byte after the head of a short array.
func messageType(msg []byte) (uint8, error) {
	if len(msg) < 2 || msg[0] < 0x81 || msg[0] > 0x97 || msg[1] < msgHello || msg[1] > msgLeft {
		return 0, fmt.Errorf("%w: no message of this protocol", crdt.ErrDecode)
	}
	if len(msg) > MessageBytesMax {
		return 0, fmt.Errorf("%w: a message of %d bytes, more than %d", crdt.ErrDecode, len(msg), MessageBytesMax)
	}
	return msg[1], nil
}

// decodeHello decodes a hello; a version that is not ours is named before anything else can fail.
func decodeHello(msg []byte) (*hello, error) {
	if len(msg) >= 3 && msg[2] != ProtocolVersion {
		return nil, &VersionError{Theirs: int(msg[2])}
	}
	h := new(hello)
	i := crdt.ItemsOf(msg)
	i.Array(8)
	h.Type, h.Version = uint8(i.Uint(math.MaxUint8)), uint8(i.Uint(math.MaxUint8))
	i.Fill(h.Hash[:])
	i.Fill(h.Digest[:])
	h.Wall, h.Form = i.Int(), uint8(i.Uint(math.MaxUint8))
	h.Entries, h.Top = i.Bytes(MessageBytesMax), i.Bytes(MessageBytesMax)
	return h, i.End()
}

// A VersionError says that the peer speaks another version of the protocol.
type VersionError struct{ Theirs int }

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the peer speaks version %d of the session protocol, this device version %d", e.Theirs, ProtocolVersion)
}
