package main

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those for which a completion script can be made.
var shells = map[string]func(root *cobra.Command, w io.Writer) error{
	"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
	"zsh":        func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
	"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	"powershell": func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) },
}

// shellNames are the shells in the order of the help.
var shellNames = []string{"bash", "zsh", "fish", "powershell"}

// completionDocument is the script with --json.
type completionDocument struct {
	Schema string `json:"schema"`
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands in your shell",
		Long: `Print a script that completes commands in your shell, and also paths and devices while
this device is up.

  bash        source <(peer completion bash)
  zsh         peer completion zsh > "${fpath[1]}/_peer"
  fish        peer completion fish > ~/.config/fish/completions/peer.fish
  powershell  peer completion powershell | Out-String | Invoke-Expression`,
		Args:      arguments("SHELL"),
		ValidArgs: shellNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(shellNames, args[0]) {
				return usage("Unknown shell", "There is no script for “%s”.", args[0]).Next("One of " + strings.Join(shellNames, ", "))
			}
			var script bytes.Buffer
			if err := shells[args[0]](cmd.Root(), &script); err != nil {
				return err
			}
			doc := completionDocument{"peer.completion/v1", args[0], script.String()}
			return a.out.result(doc, func() { a.out.print("%s", doc.Script) })
		},
	}
}
