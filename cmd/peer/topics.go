package main

import (
	"github.com/spf13/cobra"
)

// A topic is a page of "peer help TOPIC".
type topic struct{ name, short, text string }

// topics are all of them; the page about conflicts is the help of that command.
var topics = []topic{
	{"exit-codes", "What the exit codes mean", `Exit codes

  0    done
  1    failed
  2    wrong usage, or a question could not be asked (no terminal)
  3    not found
  4    precondition failed: the version differs, or it exists already
  5    open conflicts (conflicts --exit-code, get --strict)
  6    no daemon answers
  7    not allowed
  8    timed out (--timeout, sync --wait, watch --once)
  9    sim: a claim is broken, the devices lost something or disagree
  10   sim: undecided, a run did not come to its end
  130  interrupted by Ctrl-C
  143  sim: ended by SIGTERM; what ran until then is reported

Codes may be added; treat one that you do not know as a failure.`},
	{"environment", "Environment variables", `Environment

Every flag can be given as a variable: PEER_ and its name in capitals, with _ for -.
A flag on the command line comes first, then the variable, then the file of
"peer config".

  PEER_DIR=~/second       as --dir ~/second
  PEER_SPACE=home         as --space home
  PEER_JSON=1             as --json
  PEER_TIMEOUT=1m         as --timeout 1m
  PEER_AUTO_ACCEPT=1      as --auto-accept, where a command has that flag

  PEER_INVITE             the ticket for peer join
  PEER_LOG                how much the daemon logs: debug, info, warn or error
  NO_COLOR                if not empty: no colour
  VISUAL, EDITOR          the editor of peer config edit and peer resolve --edit
  XDG_DATA_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR, XDG_CONFIG_HOME
                          where data, log, socket and settings are kept
                          without --dir`},
	{"paths", "What a path may be", `Paths

A path names an entry, as notes/todo.md. It is 1 to 1,024 bytes of UTF-8: segments
joined by single slashes. No segment is empty, . or .., and there are no control
characters. Upper and lower case differ. Letters with accents are brought into one
spelling (Unicode NFC), so that all keyboards name the same entry.

There are no folders: notes/ is what several paths begin with. Where a command takes
a PREFIX, it is any beginning of a path: notes/ means what lies below, note also
notebook.

A value has at most 1 MiB.`},
	{"json", "Output for programs", `Output for programs

With --json a command prints JSON documents and nothing else, one a line. Each names
its schema, as "peer.entry/v1"; within a version fields are only ever added. A list
is one document, complete however long, also when it is empty. watch is a stream: one
document a line, first {"type":"hello"}, once {"type":"up_to_date"}.

If a command fails, standard output is empty and standard error holds one problem
document; its "code" is stable. The exit code tells the kind (peer help exit-codes).

Without --json, output into a pipe is tab-separated: no header, no colour, whole ids,
times as 2006-01-02T15:04:05Z. peer get into a pipe prints exactly the bytes.`},
}

// newTopics returns the help pages; cobra lists commands that do nothing as topics.
func newTopics() []*cobra.Command {
	var cmds []*cobra.Command
	for _, t := range topics {
		cmds = append(cmds, &cobra.Command{Use: t.name, Short: t.short, Long: t.text})
	}
	return cmds
}

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND | TOPIC]",
		Short: "Help about a command or a topic",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || found == nil || len(args) > 0 && (found == cmd.Root() || len(rest) > 0) {
				return unknownCommand(cmd.Root(), args[0])
			}
			return found.Help()
		},
	}
}
