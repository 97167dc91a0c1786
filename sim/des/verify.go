package des

import "crypto/ed25519"

// signatures remembers for each key, message and signature whether it holds. Of those that were made here it knows.
type signatures map[string]bool

// sign is ed25519.Sign.
func (s signatures) sign(key ed25519.PrivateKey, message []byte) []byte {
	sig := ed25519.Sign(key, message)
	s[string(signed(nil, key.Public().(ed25519.PublicKey), message, sig))] = true
	return sig
}

// verify is ed25519.Verify, computed at most once for each input.
func (s signatures) verify(key ed25519.PublicKey, message, sig []byte) bool {
	var buf [256]byte
	input := signed(buf[:0], key, message, sig)
	holds, known := s[string(input)]
	if !known {
		holds = ed25519.Verify(key, message, sig)
		s[string(input)] = holds
	}
	return holds
}

// signed appends what one entry is about. Keys have one length, and what is left is told apart by the length of the signature at the end.
func signed(b []byte, key ed25519.PublicKey, message, sig []byte) []byte {
	b = append(append(append(b, key...), message...), sig...)
	return append(b, byte(len(sig)>>8), byte(len(sig)))
}
