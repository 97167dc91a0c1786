package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"syncline/node"
)

// socketPathMax is the longest name that the address of a Unix socket holds: 108 bytes with a zero at the end on Linux, 104
// elsewhere.
const socketPathMax = 103

// An instance is the set of places that one daemon uses.
type instance struct {
	data   string // keys and store
	state  string // log
	socket string
	// named says that the command line names the socket; then no other is meant.
	named bool
	// shared says that the socket's folder lies in the temporary directory, where others can make folders, too.
	shared bool
}

// instance finds the places from --dir and --api, or else from the environment.
func (a *app) instance() (instance, error) {
	var inst instance
	var err error
	if a.dir != "" {
		inst, err = instanceUnder(a.dir)
	} else {
		inst, err = instanceOfUser()
	}
	if err != nil {
		return inst, err
	}
	if a.api != "" {
		socket, err := filepath.Abs(strings.TrimPrefix(a.api, "unix:"))
		if err != nil {
			return inst, err
		}
		if len(socket) > socketPathMax {
			return inst, usage("The socket has too long a name", "%s has %d bytes; %d is the most.", socket, len(socket), socketPathMax).
				Next("Give a shorter one:  --api /run/user/1000/peer.sock")
		}
		inst.socket, inst.named, inst.shared = socket, a.apiNamed, false
	}
	return inst, nil
}

// instanceUnder puts everything under one folder.
func instanceUnder(dir string) (instance, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return instance{}, err
	}
	inst := instance{data: filepath.Join(dir, "data"), state: filepath.Join(dir, "state"), socket: filepath.Join(dir, "peer.sock")}
	if len(inst.socket) > socketPathMax {
		sum := sha256.Sum256([]byte(dir))
		inst.inTemp(hex.EncodeToString(sum[:8]) + ".sock")
	}
	return inst, nil
}

// instanceOfUser finds the places where this system keeps such things.
func instanceOfUser() (instance, error) {
	h, err := os.UserHomeDir()
	if err != nil {
		return instance{}, usage("There is no home folder", "%v", err).Next("Say where to keep the data:  --dir DIR")
	}
	var inst instance
	switch runtime.GOOS {
	case "darwin":
		inst = instance{data: filepath.Join(h, "Library/Application Support/peer"), state: filepath.Join(h, "Library/Logs/peer")}
	case "windows":
		local := orElse(os.Getenv("LocalAppData"), filepath.Join(h, "AppData", "Local"))
		inst = instance{data: filepath.Join(local, "peer"), state: filepath.Join(local, "peer", "log")}
	default:
		inst = instance{
			data:  filepath.Join(absolute(os.Getenv("XDG_DATA_HOME"), filepath.Join(h, ".local/share")), "peer"),
			state: filepath.Join(absolute(os.Getenv("XDG_STATE_HOME"), filepath.Join(h, ".local/state")), "peer"),
		}
		if run := absolute(os.Getenv("XDG_RUNTIME_DIR"), ""); run != "" {
			inst.socket = filepath.Join(run, "peer", "peer.sock")
		}
	}
	if inst.socket == "" || len(inst.socket) > socketPathMax {
		inst.inTemp("peer.sock")
	}
	return inst, nil
}

// inTemp places the socket in a folder of this user under the temporary directory.
func (i *instance) inTemp(name string) {
	i.socket, i.shared = filepath.Join(os.TempDir(), fmt.Sprintf("peer-%d", os.Getuid()), name), true
}

// absolute returns name if it is absolute, as the XDG specification asks, and else def.
func absolute(name, def string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return def
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// makeFolders makes the folders of a daemon, for this user only.
func (i instance) makeFolders() error {
	for _, dir := range []string{i.data, i.state, filepath.Dir(i.socket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			p := node.ErrStore.Because(err)
			p.Title = "Cannot start: a folder cannot be made"
			return p.Next("Make it, or use another place:  peer up --dir DIR")
		}
	}
	return i.checkSocketFolder()
}

// checkSocketFolder refuses a folder in the temporary directory that somebody else may have put there: a symbolic link, or
// one that others own or can use.
func (i instance) checkSocketFolder() error {
	if !i.shared {
		return nil
	}
	dir := filepath.Dir(i.socket)
	info, err := os.Lstat(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil && info.IsDir() && info.Mode().Perm()&0o077 == 0 && ownedByUs(info) {
		return nil
	}
	return node.ErrForbidden.With("%s is not a folder of yours alone; somebody else may listen there.", dir).
		Next("Remove it, or name another socket:  --api FILE")
}

// liveSocket returns the socket of the running daemon: the one that the command line names, or that the daemon noted in the lock file,
// or else where one would be.
func (i instance) liveSocket() string {
	if i.named {
		return i.socket
	}
	if info, err := readLock(i.data); err == nil && info.Socket != "" {
		return info.Socket
	}
	return i.socket
}

// runs reports whether the daemon that is meant lives: the holder of the data folder, or with a socket that another one has, who
// answers there.
func (i instance) runs() bool {
	if i.holds() {
		return lockHeld(i.data)
	}
	conn, err := net.DialTimeout("unix", i.socket, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// holds reports whether the holder of the data folder is the daemon that is meant.
func (i instance) holds() bool {
	info, err := readLock(i.data)
	return !i.named || err == nil && info.Socket == i.socket
}
