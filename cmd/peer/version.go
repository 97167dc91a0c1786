package main

import (
	"github.com/spf13/cobra"

	"syncline/node/api/wire"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = ""

// versionInfo says what this program is.
func versionInfo() wire.Version { return wire.VersionOf(version) }

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  arguments(),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.tellVersion() },
	}
}

// tellVersion says which version this is.
func (a *app) tellVersion() error {
	v := versionInfo()
	return a.out.result(v, func() {
		commit := ""
		if v.Commit != "" {
			commit = " (" + v.Commit + ")"
		}
		a.out.print("peer %s%s %s/%s %s\n", v.Version, commit, v.OS, v.Arch, v.Go)
	})
}
