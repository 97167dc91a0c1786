package p2p

import (
	"crypto/ed25519"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"syncline/gossip"
)

// PeerID returns the libp2p name of a device. An Ed25519 peer id embeds the whole public key, so the two are one and the same.
func PeerID(d gossip.DeviceID) (peer.ID, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(d[:])
	if err != nil {
		return "", err
	}
	return peer.IDFromPublicKey(pub)
}

// DeviceOf returns the device behind a libp2p peer id, or an error if its key is not Ed25519.
func DeviceOf(p peer.ID) (gossip.DeviceID, error) {
	var d gossip.DeviceID
	pub, err := p.ExtractPublicKey()
	if err != nil {
		return d, fmt.Errorf("peer id %s: %w", p, err)
	}
	if pub.Type() != crypto.Ed25519 {
		return d, fmt.Errorf("peer id %s has a key of type %v, want Ed25519", p, pub.Type())
	}
	raw, err := pub.Raw()
	if err != nil {
		return d, err
	}
	copy(d[:], raw)
	return d, nil
}

func deviceOfKey(key ed25519.PrivateKey) (d gossip.DeviceID) {
	copy(d[:], key.Public().(ed25519.PublicKey))
	return d
}
