// Package p2p implements gossip.Network on libp2p: it finds the devices of the spaces it was told about, proves to them and
// makes them prove that both hold the space's key, and carries frames and streams between them.
//
// # From a socket to a peer
//
// A connection passes three doors. The gate (gate.go) ends every handshake with a device that is no member of any space; the
// transport, Noise or TLS 1.3, has authenticated its key by then. The hello (link.go, hello.go) proves space by space that
// both ends hold the current key; only then does the handler hear PeerUp, does gossipsub see the peer (gossiphost.go), and
// are session streams served. Every frame (frame.go) is sealed for its space and signed by its author, whoever hands it on.
// While the device is joinable, strangers pass the first door, few and slowly, and find nothing behind it but join streams.
//
// A peer is up while at least one connection has proved the space; two devices that dial each other at once have two. Two
// things are never taken as proof: that a dial succeeded (a refused dialer learns of it only afterwards), and that a
// connection exists (the other end may be gone for half a minute before the transport notices; pings notice in
// PingEvery + PingTimeout).
//
// # Bytes
//
// Numbers are unsigned varints as in Protocol Buffers, in their shortest form. ‖ concatenates. Keys are derived by
// HKDF-SHA256 from the space's key, 32 bytes each, with the 32-byte space id as salt and "syncline/<purpose>" as info: purpose "signing/1"
// (the signing secret), "frame/2", "hello/1", "topic/2".
//
// Every stream negotiates its protocol by multistream-select, the name travelling with the first message, and carries
// messages: length ‖ bytes.
//
// Hello stream, "/syncline/hello/1", opened by the dialer of a connection, once, and kept open; messages up to 8 KiB, each
// one kind byte and a body:
//
//	1 hello   D→L  nonce 16 ‖ instance 16
//	2 answer  L→D  nonce 16 ‖ instance 16 ‖ tag 16 … (a multiple of 8 tags, at most 256)
//	3 proof   D→L  tag 16 … (likewise)
//	4 again   L→D  empty: the listener's spaces changed, say hello again
//	5 ping    both empty: sent by the dialer every PingEvery, by either end to check on the other
//	6 pong    both empty
//	7 twin    both address as text, at most 256 bytes: another live process uses your key
//
//	tag = HMAC-SHA256(hello key, dir ‖ id D 32 ‖ id L 32 ‖ nonce D ‖ nonce L ‖ instance D ‖ instance L)[:16]
//
// where dir is 'D' in a proof and 'L' in an answer, and ids are the device keys that the transport authenticated. There is
// one tag per shared space; random tags fill up. The instance is random per process. A device that shows two instances on
// live connections is two processes with one key, and both are told. A restart is not: its old connection answers no ping.
//
// Session stream, "/syncline/sync/1", messages up to 2 MiB + 64 KiB. The first message is the beginning of the space id, the
// shortest that is unique among the shared spaces but at least 2 bytes; the others belong to the session. Opening one costs
// 79 bytes, 76 of which are multistream-select (38 each way).
//
// Join stream, "/syncline/join/1", messages up to 4 KiB from the joiner and 64 KiB from the inviter, three seconds unless
// the inviter's handler extends them, because the joiner has named an open invite. Until then it makes room for others.
//
// Frame, one gossipsub message (StrictNoSign: data and topic only) of at most 1 MiB - 4 KiB:
//
//	signature 64 ‖ XChaCha20-Poly1305(frame key, nonce, AAD, author 4 ‖ (length ‖ op)…), tag 16
//	nonce     = first 24 bytes of the signature
//	AAD       = "syncline/frame/2" ‖ space 32
//	signature = Ed25519("syncline/frame/2" ‖ space 32 ‖ signing secret 32 ‖ author 32 ‖ (length ‖ op)…)
//	topic     = base64url of the first 6 bytes of HMAC-SHA256(topic key, "topic")
//	message id = SHA-256(frame)[:24]
//
// The author is the first 4 bytes of the device id. There is at least one op, none is empty, at most 8192.
//
// mDNS advert: service "_syncline._udp", a random instance name, TXT "d=<device id, 64 hexadecimal digits>" and up to eight
// "a=<multiaddr>" (package mdns). It makes a device recognisable on the local network, as its certificate does to whoever connects.
// Addresses that are names, beyond the local network, or loopback are ignored.
//
// Noise: among the muxers that a device offers in its handshake is "/syncline/process/" and the first 8 bytes, in hexadecimal
// digits, of SHA-256("syncline/process/1" ‖ instance), which is never chosen. A device that sees an advert with its own id
// dials it with a throw-away key: an answer under its own key that names another process is a twin (probe.go).
//
// # Loss
//
// Gossip is best effort. Whatever drops a frame where this device can see it — an overflowing queue, a stream that broke, a
// peer that subscribed late, a handler that is too far behind — becomes a call of Handler.Lost, at most one waiting per space
// and peer.
package p2p
