package main

import (
	"log/slog"

	"syncline/gossip"
	"syncline/gossip/p2p"
)

// network returns the way to the other devices. This is the one place that names its implementation.
func (u *upCommand) network(book string, log *slog.Logger) gossip.Network {
	return p2p.New(p2p.Config{Listen: u.listen, Announce: u.announce, NoLAN: u.noLAN, BookFile: book, Logger: log})
}
