package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"syncline/node/api/wire"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = ""

// versionInfo says what this program is, from what the build left in it.
func versionInfo() wire.Version {
	v := wire.Version{Schema: wire.SchemaVersion, Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Commit = s.Value[:min(12, len(s.Value))] + v.Commit
		case s.Key == "vcs.modified" && s.Value == "true":
			v.Commit += "+changes"
		}
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "devel"
	}
	return v
}

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
