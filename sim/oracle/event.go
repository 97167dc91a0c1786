package oracle

import (
	"encoding/json"
	"time"
)

// A Kind says what an Event is about.
type Kind string

// The kinds. Device is where it happened; -1 where no single device is meant.
const (
	EventStart    Kind = "start"    // Device runs; Text says how it came to; State names what it holds, which is told path by path next
	EventStop     Kind = "stop"     // Device was closed and starts again at Until
	EventCrash    Kind = "crash"    // Device lost power and starts again at Until
	EventWrite    Kind = "write"    // a write was asked for; Path, Values are what it wrote, Text what the person did
	EventRefused  Kind = "refused"  // a write failed; Text says why
	EventRead     Kind = "read"     // Path was read, Values is what was shown
	EventGossip   Kind = "gossip"   // an operation left Device for Peer and arrives at Until; Size is its length
	EventMessage  Kind = "message"  // a message of a session left Device for Peer and arrives at Until; Text is its type, Size its length
	EventLost     Kind = "lost"     // an operation or message from Device to Peer will never arrive
	EventConnect  Kind = "connect"  // Device has a connection to Peer
	EventLose     Kind = "lose"     // Device has lost its connection to Peer
	EventFault    Kind = "fault"    // a fault of the scenario begins; it lasts until Until; Groups are set apart; Text says what it is
	EventHeal     Kind = "heal"     // all faults are over
	EventConflict Kind = "conflict" // Device reported a conflict at Path between Values
	EventState    Kind = "state"    // Path holds Values on Device now, the shown one first; Text is StateOpen if they wait for a decision
	EventAgree    Kind = "agree"    // all devices hold the same
	EventBroken   Kind = "broken"   // a check failed; Text says which and how
)

// StateOpen is the Text of an EventState whose values wait for somebody's decision.
const StateOpen = "open"

// An Event is one thing that happened in a run: what reports, time lines and people need to see. Every driver tells the same kinds, in
// the order of their times.
type Event struct {
	At     time.Duration `json:"at"`
	Kind   Kind          `json:"kind"`
	Device int           `json:"device"`
	Peer   int           `json:"peer,omitempty"`
	// Until is when a message arrives, or a fault ends.
	Until  time.Duration `json:"until,omitempty"`
	Groups [][]int       `json:"groups,omitempty"`
	Path   string        `json:"path,omitempty"`
	Values []string      `json:"values,omitempty"`
	Size   int           `json:"size,omitempty"`
	// State names the whole content of the device; it is equal for devices that hold the same.
	State string `json:"state,omitempty"`
	Text  string `json:"text,omitempty"`
}

// HasPeer reports whether Peer means something.
func (k Kind) HasPeer() bool {
	switch k {
	case EventGossip, EventMessage, EventLost, EventConnect, EventLose:
		return true
	}
	return false
}

// MarshalJSON writes the event with its peer where there is one, be it device 0.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	x := struct {
		plain
		Peer *int `json:"peer,omitempty"`
	}{plain: plain(e)}
	if e.Kind.HasPeer() {
		x.Peer = &e.Peer
	}
	return json.Marshal(x)
}
