package main

import (
	"context"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

func newBackup(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy everything this device holds, and make a new device of the copy",
		Long: `Copy everything this device holds into one file, while it is running, and make a new
device of such a file.

A backup holds all spaces as they were at one moment: entries, conflicts, and what is
kept of the past. It does not hold what makes this device a member: no keys, no invites.
Whoever has the file can read the data, and cannot pass for this device.

To move values between spaces or programs, or to look at them, use peer export and peer
import: lines of JSON with the current values only, which count as newly written.`,
		Args: commandsOnly,
		RunE: func(cmd *cobra.Command, args []string) error {
			return usage("Say what to do", "peer backup needs create or restore.").
				Next("Make a backup:  " + a.self() + " backup create FILE      Use one:  peer backup restore FILE --dir DIR")
		},
	}
	cmd.AddCommand(newBackupCreate(a), newBackupRestore(a))
	return cmd
}

func newBackupCreate(a *app) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "create FILE|-",
		Short: "Copy everything this device holds into a file",
		Long: `Copy everything this device holds into a file, or with - to standard output. The device
goes on meanwhile. The file appears under its name when it is whole; it ends with a
checksum, so that a part of it is never taken for all. A file that exists is replaced
with --force only.`,
		Example: `  peer backup create laptop.backup
  peer backup create - | zstd > laptop.backup.zst`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file := args[0]; file != "-" && !force {
				if err := mayWrite(file, a.self()+" backup create "+quoteWord(file)+" --force"); err != nil {
					return err
				}
			}
			return a.withClient(cmd, 0, func(ctx context.Context, c *client.Client) error {
				return a.createBackup(ctx, c, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	return cmd
}

func (a *app) createBackup(ctx context.Context, c *client.Client, file string) error {
	if file == "-" && a.out.tty {
		return usage("A backup is no text", "Standard output is a terminal.").
			Next("Name a file:  " + a.self() + " backup create FILE      or send it into a program:  … create - | PROGRAM")
	}
	in, err := c.Backup(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	if st, err := c.Status(ctx); err == nil && st.Filling != nil { // a backup of a part is better than none
		a.tellFilling(node.ErrFilling.With("This device still receives what others have, and so the backup is not of everything."))
	}
	bar := a.progress(-1, "copying", true)
	defer bar.Finish()
	sized := &byteCounter{bar: bar}
	if file == "-" {
		_, err := io.Copy(a.out.w, io.TeeReader(in, sized))
		return err
	}
	if err := writeWhole(file, io.TeeReader(in, sized)); err != nil {
		return err
	}
	bar.Finish()
	doc := wire.Backup{Schema: wire.SchemaBackup, File: file, Bytes: sized.n}
	return a.out.result(doc, func() {
		a.out.done("%s written to %s. Whoever has it can read everything in it.", size(doc.Bytes), visible(file))
		a.out.say("Make a new device of it:  peer backup restore %s --dir DIR", visible(file))
	})
}

// A byteCounter moves a bar with every byte.
type byteCounter struct {
	n   int64
	bar *progressbar.ProgressBar
}

func (b *byteCounter) Write(p []byte) (int, error) {
	b.n += int64(len(p))
	b.bar.Add(len(p))
	return len(p), nil
}

func newBackupRestore(a *app) *cobra.Command {
	var backend string
	cmd := &cobra.Command{
		Use:   "restore FILE|-",
		Short: "Make a new device of a backup",
		Long: `Make a new device of a backup, in a folder that does not exist yet or is empty: with
--dir DIR there, without it in your own place if nothing is there. Nothing is written
under that name before the whole file was read and its checksum found right.

What starts there is a new device with the data. It reads and writes on its own, and has
to be invited to the space to sync: peer invite on a member, peer join here. Nothing is
written twice then, and nothing that is newer elsewhere is lost. The old device may live
on beside it. If no member is left, nobody can invite it: export its entries and import
them into a device of a new space.`,
		Example: `  peer backup restore laptop.backup --dir ~/restored
  peer --dir ~/restored up -d
  peer --dir ~/restored join TICKET`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.restoreBackup(cmd.Context(), args[0], backend)
		},
	}
	cmd.Flags().StringVar(&backend, "store", "", "where entries are kept from now on: pebble: (default) or leveldb:")
	return cmd
}

func (a *app) restoreBackup(ctx context.Context, file, backend string) error {
	if strings.HasPrefix(backend, "mem") {
		return usage("Nothing would be kept", "--store mem: loses everything at once.").Next("Leave it out, or use --store leveldb:")
	}
	inst, err := a.instance()
	if err != nil {
		return err
	}
	if err := a.checkEmpty(inst); err != nil {
		return err
	}
	in, total, err := openInput(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	ctx, cancel := a.within(ctx, 0)
	defer cancel()
	bar := a.progress(total, "restoring", true)
	info, err := node.Restore(ctx, io.TeeReader(in, bar), node.RestoreOptions{Dir: inst.data, Store: backend})
	bar.Finish()
	if err != nil {
		return err
	}
	return a.out.result(wire.BackupRestoredOf(info, inst.data), func() { a.tellBackupRestored(info, inst) })
}

// checkEmpty refuses a folder of an instance that holds anything.
func (a *app) checkEmpty(inst instance) error {
	for _, dir := range []string{a.dir, inst.data} {
		if dir == "" {
			continue
		}
		held, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			return fileError(err)
		}
		if len(held) > 0 {
			more := ""
			if len(held) > 1 {
				more = " and more"
			}
			return node.ErrDirNotEmpty.With("%s holds %s%s, perhaps a device.", home(dir), visible(held[0].Name()), more).
				Next("Name a folder that does not exist yet:  peer backup restore FILE --dir DIR")
		}
	}
	return nil
}

func (a *app) tellBackupRestored(info node.BackupInfo, inst instance) {
	a.out.done("Restored into %s: what %s held, %s.", home(inst.data), visible(orElse(info.Device, "the device")), when(info.Created))
	a.out.say("This is a new device with the data; %s may live on. To sync it must be invited:", visible(orElse(info.Device, "the old one")))
	join := a.self() + " join TICKET" // the longest
	for _, step := range [][2]string{{a.self() + " up -d", "start it"}, {"peer invite", "on a device of the space"}, {join, "here"}} {
		a.out.say("  %-*s  %s", utf8.RuneCountInString(join), step[0], step[1])
	}
}
