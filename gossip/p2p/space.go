package p2p

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/chacha20poly1305"

	"syncline/gossip"
)

// topicSize is the number of bytes of a topic's name, which travels with each frame as 8 characters: enough to tell the few spaces of
// one device apart.
const topicSize = 6

// A space is one Access with the keys derived from it. It is immutable.
type space struct {
	id      gossip.SpaceID
	key     [32]byte
	quiet   bool // nothing of it is gossiped
	members map[gossip.DeviceID]struct{}
	authors map[[authorSize]byte][]gossip.DeviceID // the members by the short id that a frame carries

	signing  []byte      // signatures of frames cover it, so that only who has the key can check them
	seal     cipher.AEAD // XChaCha20-Poly1305
	helloKey []byte
	topic    string // hides the space from whoever sees topic names without the key
}

func newSpace(a gossip.Access) (*space, error) {
	s := &space{
		id: a.Space, key: a.Key, quiet: a.NoGossip,
		members: make(map[gossip.DeviceID]struct{}, len(a.Members)),
		authors: make(map[[authorSize]byte][]gossip.DeviceID, len(a.Members)),
	}
	for _, m := range a.Members {
		if _, repeated := s.members[m]; repeated {
			continue
		}
		s.members[m] = struct{}{}
		short := [authorSize]byte(m[:])
		s.authors[short] = append(s.authors[short], m)
	}
	var err error
	if s.signing, err = s.derive("signing/1"); err != nil {
		return nil, err
	}
	frameKey, err := s.derive("frame/2")
	if err != nil {
		return nil, err
	}
	if s.seal, err = chacha20poly1305.NewX(frameKey); err != nil {
		return nil, err
	}
	if s.helloKey, err = s.derive("hello/1"); err != nil {
		return nil, err
	}
	topicKey, err := s.derive("topic/2")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, topicKey)
	mac.Write([]byte("topic"))
	s.topic = base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:topicSize])
	return s, nil
}

// derive returns the 32 bytes of HKDF-SHA256(secret = key, salt = space id, info = "syncline/<purpose>").
func (s *space) derive(purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, s.key[:], s.id[:], "syncline/"+purpose, sha256.Size)
}

// A roster is what SetSpaces said, indexed. It is immutable and replaced whole.
type roster struct {
	spaces map[gossip.SpaceID]*space
	// shared lists, for every member other than this device, the spaces it is in, ordered by id.
	shared  map[peer.ID][]*space
	devices map[peer.ID]gossip.DeviceID
	topics  map[string]*space
}

func newRoster(self gossip.DeviceID, accesses []gossip.Access) (*roster, error) {
	r := &roster{
		spaces:  make(map[gossip.SpaceID]*space, len(accesses)),
		shared:  make(map[peer.ID][]*space),
		devices: make(map[peer.ID]gossip.DeviceID),
		topics:  make(map[string]*space, len(accesses)),
	}
	for _, a := range accesses {
		s, err := newSpace(a)
		if err != nil {
			return nil, fmt.Errorf("space %v: %w", a.Space, err)
		}
		r.spaces[s.id] = s
		r.topics[s.topic] = s
	}
	order := slices.SortedFunc(maps.Keys(r.spaces), compareSpaces)
	for _, id := range order {
		for d := range r.spaces[id].members {
			p, err := PeerID(d)
			if err != nil || d == self {
				continue
			}
			r.shared[p] = append(r.shared[p], r.spaces[id])
			r.devices[p] = d
		}
	}
	return r, nil
}

func (r *roster) member(p peer.ID) bool {
	_, ok := r.shared[p]
	return ok
}

// sharesSame reports whether a peer shares the same spaces under the same keys in both rosters.
func (r *roster) sharesSame(other *roster, p peer.ID) bool {
	return slices.EqualFunc(r.shared[p], other.shared[p], func(a, b *space) bool { return a.id == b.id && a.key == b.key })
}

func compareSpaces(a, b gossip.SpaceID) int { return slices.Compare(a[:], b[:]) }
