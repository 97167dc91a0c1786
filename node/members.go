package node

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"syncline/crdt"
	"syncline/gossip"
)

// The paths of the reserved system map. It is replicated like the rest, so that a device that joined through one member is
// known to all.
const (
	genesisPath   = "/genesis"
	membersPrefix = "/members/"
)

// adoptedKey is where the store keeps the list of members that an inviter gave, until the system map has one.
const adoptedKey = "joined/members"

// genesis is the record that founds a space; the space id is its hash.
type genesis struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Device  gossip.DeviceID
	Name    string
	Nonce   [16]byte
}

// spaceIDOf returns the id of the space that a genesis record founded.
func spaceIDOf(record []byte) gossip.SpaceID {
	return sha256.Sum256(append([]byte("syncline/space/1"), record...))
}

// The roles of a member. Every member may do everything for now; the number is kept so that readers can come later.
const roleAdmin = 3

// member is a device that belongs to a space.
type member struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Device  gossip.DeviceID
	Name    string
	Role    uint8
	By      gossip.DeviceID
	Added   int64 // milliseconds since 1970, by the clock of the device that let it in
}

func memberPath(d gossip.DeviceID) string { return membersPrefix + d.String() }

func (m member) op() WriteOp {
	return WriteOp{Path: memberPath(m.Device), Content: Content{Data: crdt.Marshal(&m), Type: MediaTypeBytes}, All: true}
}

// newMember returns the record by which one device lets another in.
func newMember(d gossip.DeviceID, name string, by gossip.DeviceID, now time.Time) member {
	return member{Version: 1, Device: d, Name: name, Role: roleAdmin, By: by, Added: now.UnixMilli()}
}

// roster is the list of members as the system map has it, by device id.
type roster struct {
	members map[gossip.DeviceID]member
}

// loadRoster reads the members from the system map. Records that do not decode or lie under a wrong path are passed over: they
// cannot let anybody in. Of one that the disk has damaged the path still says whose it is, and nothing else is needed to go on.
func (s *Space) loadRoster() (*roster, error) {
	ro := &roster{members: map[gossip.DeviceID]member{}}
	for e, err := range s.store.ListSystem(membersPrefix, "") {
		if unreadable(err) {
			if d, err := gossip.ParseDeviceID(strings.TrimPrefix(e.Path, membersPrefix)); err == nil {
				ro.members[d] = member{Version: 1, Device: d, Role: roleAdmin}
			}
			continue
		} else if err != nil {
			return nil, err
		}
		shown, _ := (crdt.Register{Live: e.Live}).Shown()
		var m member
		if crdt.Unmarshal(shown.Data, &m) == nil && m.Version == 1 && memberPath(m.Device) == e.Path {
			ro.members[m.Device] = m
		}
	}
	// The founding record comes with the first session; until then single records may have come by gossip, or be our own. A device that
	// was restored from a backup has one, and an older list, until a session brings it the record of itself; a founder that lost its
	// store has one, and a list of itself. One that fills range by range may have a part of the list.
	reg, err := s.store.Get(genesisPath)
	if err != nil && !unreadable(err) {
		return nil, err
	}
	if _, member := ro.members[s.node.id]; member && len(reg.Live) > 0 && len(ro.members) > 1 && !s.store.Parted() {
		return ro, nil
	}
	return ro, s.adopted(ro)
}

// adopted fills in the members that the inviter named, for a device that has joined and not yet met anybody.
func (s *Space) adopted(ro *roster) error {
	b, err := s.store.Meta(adoptedKey)
	if unreadable(err) {
		s.log.Warn("the members that the inviter named cannot be read", "err", err)
		return nil
	} else if err != nil || b == nil {
		return err
	}
	var list [][]byte
	if err := crdt.Unmarshal(b, &list); err != nil {
		return err
	}
	for _, b := range list {
		var m member
		if crdt.Unmarshal(b, &m) != nil || m.Version != 1 {
			continue
		}
		if _, known := ro.members[m.Device]; !known {
			ro.members[m.Device] = m
		}
	}
	return nil
}

// ids returns all members in order.
func (ro *roster) ids() []gossip.DeviceID {
	ids := make([]gossip.DeviceID, 0, len(ro.members))
	for d := range ro.members {
		ids = append(ids, d)
	}
	slices.SortFunc(ids, func(a, b gossip.DeviceID) int { return strings.Compare(string(a[:]), string(b[:])) })
	return ids
}

// ref returns what a device is called: its name if it is a member, its short id otherwise.
func (ro *roster) ref(d gossip.DeviceID) DeviceRef {
	if m, ok := ro.members[d]; ok && m.Name != "" {
		return DeviceRef{ID: d, Name: m.Name}
	}
	if d.IsZero() {
		return DeviceRef{}
	}
	return DeviceRef{ID: d, Name: d.Short()}
}

// find returns the member that a person means by a name, a short id, an id or the beginning of one.
func (ro *roster) find(what string) (gossip.DeviceID, *Problem) {
	var found []gossip.DeviceID
	for _, d := range ro.ids() {
		if d.String() == what || d.Short() == what {
			return d, nil
		}
		if strings.EqualFold(ro.members[d].Name, what) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return gossip.DeviceID{}, ErrNoDevice.With("no device of this space is called %q", what)
	}
	var names []string
	for _, d := range found {
		names = append(names, d.Short())
	}
	return gossip.DeviceID{}, ErrNoDevice.With("%d devices are called %q", len(found), what).
		Next("Name one by its short id: " + strings.Join(names, ", "))
}
