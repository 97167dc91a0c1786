package des

import "crypto/ed25519"

// signatures remembers for each key, message and signature whether it holds.
type signatures map[string]bool

// verify is ed25519.Verify, computed once for each input.
func (s signatures) verify(key ed25519.PublicKey, message, sig []byte) bool {
	var buf [256]byte
	// Keys have one length, and what is left is told apart by the length of the signature at the end.
	input := append(append(append(buf[:0], key...), message...), sig...)
	input = append(input, byte(len(sig)>>8), byte(len(sig)))
	holds, known := s[string(input)]
	if !known {
		holds = ed25519.Verify(key, message, sig)
		s[string(input)] = holds
	}
	return holds
}
