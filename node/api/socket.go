package api

import (
	"context"
	"net"
	"os"

	"syncline/node"
)

// Listen opens the Unix socket at address with mode 0600. The caller has made sure that no live server holds it and that its
// folder belongs to this user.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("unix", address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

type callerKey struct{}

// caller is the user at the other end of a connection, as the kernel tells.
type caller struct {
	uid int
	err error
}

// withCaller notes in the context of a connection who opened it.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, err := peerUID(u)
	return context.WithValue(ctx, callerKey{}, caller{uid, err})
}

// checkCaller lets in the user who runs the server, and root, who could read its memory anyway.
func checkCaller(ctx context.Context) error {
	c, ok := ctx.Value(callerKey{}).(caller)
	if !ok {
		return nil // not a socket of ours: whoever opened it decides
	}
	if c.err != nil {
		return node.ErrForbidden.Because(c.err).Next("Use the socket of a peer that you started yourself.")
	}
	if c.uid != os.Geteuid() && c.uid != 0 {
		return node.ErrForbidden.With("This peer belongs to user %d; you are user %d.", os.Geteuid(), c.uid).
			Next("Start your own:  peer up -d")
	}
	return nil
}
