package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// Levels of a finding.
const (
	levelOK        = "ok"
	levelNote      = "note"
	levelAttention = "attention"
)

// From these on the doctor speaks up.
const (
	diskFreeMin  = 32 << 20  // the store refuses writes below it
	diskFreeLow  = 512 << 20 // soon it will
	fsyncSlow    = 50 * time.Millisecond
	fsyncTries   = 5
	udpBufferMin = 7 << 20 // what QUIC asks for, in bytes
	skewMax      = 60      // seconds; as the daemon warns
	lanLook      = 3 * time.Second
)

// A doctor examines one instance. It changes nothing but a file that it makes in the data folder and removes.
type doctor struct {
	*app
	inst     instance
	status   *wire.Status // nil if no daemon answers
	findings []wire.Finding
}

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps this device from working well",
		Long: `Look at everything that this device needs: the daemon and its version, folders and
keys, disk, clocks, addresses, the local network, buffers. Each finding that is not
well names a cause and a remedy. It works with and without a running daemon, takes
about three seconds, and changes nothing.

The exit code is 0 if all is well, 1 if something needs attention. Lines with ! need
attention; those with - are worth knowing.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			inst, err := a.instance()
			if err != nil {
				return err
			}
			d := &doctor{app: a, inst: inst}
			return d.run(cmd)
		},
	}
}

func (d *doctor) run(cmd *cobra.Command) error {
	ctx, cancel := d.within(cmd.Context(), requestTimeout)
	defer cancel()
	for _, check := range []func(context.Context){d.daemon, d.folders, d.disk, d.clocks, d.addresses, d.buffers} {
		check(ctx)
	}
	d.lan(ctx, cmd)
	if err := ctx.Err(); err != nil {
		return err
	}
	doc := wire.Doctor{Schema: wire.SchemaDoctor, Findings: d.findings}
	doc.Healthy = !slices.ContainsFunc(d.findings, func(f wire.Finding) bool { return f.Level == levelAttention })
	if err := d.out.result(doc, func() { d.print(doc) }); err != nil || doc.Healthy {
		return err
	}
	return quietExit(exitFailed)
}

func (d *doctor) print(doc wire.Doctor) {
	for _, f := range doc.Findings {
		mark := signDone
		switch f.Level {
		case levelAttention:
			mark = signLook
		case levelNote:
			mark = sign{"-", dim}
		}
		d.out.signed(mark, "%-10s %s", f.Check, visible(f.Text))
		if f.Level != levelOK {
			d.out.say("             %s", oneLine(f.Cause))
			d.out.say("             %s", oneLine(f.Remedy))
		}
	}
}

// ok, note and attention add a finding.
func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, wire.Finding{Check: check, Level: levelOK, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) note(check, text, cause, remedy string) {
	d.findings = append(d.findings, wire.Finding{Check: check, Level: levelNote, Text: text, Cause: cause, Remedy: remedy})
}

func (d *doctor) attention(check, text, cause, remedy string) {
	d.findings = append(d.findings, wire.Finding{Check: check, Level: levelAttention, Text: text, Cause: cause, Remedy: remedy})
}

// daemon asks whether one runs, which version, and what it warns of.
func (d *doctor) daemon(ctx context.Context) {
	c, err := d.client()
	if err == nil {
		defer c.Close()
		var st wire.Status
		if st, err = c.Status(ctx); err == nil {
			d.status = &st
		}
	}
	if err != nil {
		p := node.ProblemOf(err)
		if p.Code == client.ErrNotRunning.Code {
			d.attention("daemon", "does not run", "nothing answers at "+home(d.inst.liveSocket()), "Start it:  "+d.self()+" up -d")
		} else {
			d.attention("daemon", "does not answer: "+lowerFirst(p.Title), p.Detail, orElse(p.Hint, "Read the log:  "+home(logName(d.inst))))
		}
		return
	}
	mine := versionInfo()
	theirs, err := c.Version(ctx)
	if err == nil && (theirs.Version != mine.Version || theirs.Commit != mine.Commit) {
		d.attention("daemon", fmt.Sprintf("runs version %s %s", theirs.Version, theirs.Commit), fmt.Sprintf("this command is version %s %s", mine.Version, mine.Commit),
			fmt.Sprintf("Start the new one:  %s down && %s up -d      If a program of yours runs the node, build that anew.", d.self(), d.self()))
	} else {
		d.ok("daemon", "runs, version %s, pid %d, up %s", d.status.Version, d.status.PID, span(time.Since(d.status.Started)))
	}
	if d.status.Dir != "" {
		d.inst.data = d.status.Dir // --api may name the socket of another daemon, or of a program
	}
	for _, w := range d.status.Warnings {
		if w.Code != "clock_skew" { // clocks tells of it
			d.attention("daemon", w.Text, "the daemon warns ("+w.Code+")", orElse(w.Hint, "See:  "+d.self()+" status"))
		}
	}
}

// folders looks at owners and rights of the folders, the keys and the socket.
func (d *doctor) folders(context.Context) {
	if _, err := os.Stat(d.inst.data); errors.Is(err, fs.ErrNotExist) {
		d.note("folders", home(d.inst.data)+" does not exist yet", "this device was never started", "Start it:  "+d.self()+" up -d")
		return
	}
	bad := len(d.findings)
	for _, dir := range []string{d.inst.data, d.inst.state, filepath.Dir(d.inst.liveSocket())} {
		d.ownFile(dir, 0o022, "go-w", "others may write there")
	}
	for _, name := range []string{"device.key", "spaces"} {
		d.ownFile(filepath.Join(d.inst.data, name), 0o077, "go=", "others may read the keys of this device")
	}
	if d.status != nil {
		d.ownFile(d.inst.liveSocket(), 0o077, "go=", "others may reach the daemon's socket")
	}
	if len(d.findings) == bad {
		d.ok("folders", "%s is this user's alone", home(d.inst.data))
	}
}

// ownFile adds a finding if a file belongs to somebody else or has any of the forbidden rights.
func (d *doctor) ownFile(name string, forbidden fs.FileMode, chmod, danger string) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.attention("folders", home(name)+" cannot be looked at", err.Error(), "See who may use it:  ls -ld "+name)
	case !ownedByUs(info):
		d.attention("folders", home(name)+" belongs to another user", "it was made by that user, perhaps with sudo", "Take it over:  sudo chown -R $(id -u) "+name)
	case runtime.GOOS != "windows" && info.Mode().Perm()&forbidden != 0:
		d.attention("folders", fmt.Sprintf("%s has the rights %v", home(name), info.Mode().Perm()), danger, "Take them away:  chmod "+chmod+" "+name)
	}
}

// disk looks at free space, and writes and syncs a file.
func (d *doctor) disk(context.Context) {
	if _, err := os.Stat(d.inst.data); err != nil {
		return
	}
	free, err := diskFree(d.inst.data)
	if err != nil {
		d.note("disk", "free space is not known", err.Error(), "See:  df "+d.inst.data)
	} else if free < diskFreeLow {
		cause := "below " + size(diskFreeMin) + " writes are refused"
		d.attention("disk", size(free)+" free at "+home(d.inst.data), cause, "Free some space; entries stay readable meanwhile.")
	}
	took, err := syncTime(d.inst.data)
	switch {
	case err != nil:
		d.attention("disk", home(d.inst.data)+" cannot be written", err.Error(), "See who may write there, and whether the disk is full or mounted read-only.")
	case took > fsyncSlow:
		d.attention("disk", fmt.Sprintf("a write takes %v to be on disk", took.Round(time.Millisecond)), "the disk is slow or busy; every write waits for it",
			"Use another disk (--dir), or answer earlier and risk the last writes in a power cut:  "+d.self()+" up --relaxed")
	default:
		d.ok("disk", "%s free, writable, a sync takes %.1f ms", size(free), float64(took.Microseconds())/1000)
	}
}

// syncTime returns the median time in which a small write to a file below dir is durable.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var times []time.Duration
	for range fsyncTries {
		start := time.Now()
		if _, err := f.WriteString(strings.Repeat("x", 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// clocks compares the clocks of the devices with this one.
func (d *doctor) clocks(context.Context) {
	if d.status == nil || len(d.status.Devices) == 0 {
		return
	}
	bad, met := false, 0
	for _, dev := range d.status.Devices {
		if dev.State == string(node.StateNeverMet) {
			continue
		}
		met++
		if max(dev.ClockSkew, -dev.ClockSkew) > skewMax {
			bad = true
			d.attention("clocks", fmt.Sprintf("%s is %+.0f s off", shortName(dev.Device), dev.ClockSkew), "one of the two clocks is wrong; its writes may win or lose conflicts",
				"Let the system set the clock on both:  timedatectl set-ntp true")
		}
	}
	if !bad && met > 0 {
		d.ok("clocks", "agree with %s, as far as they were met", plural(met, "other device", "other devices"))
	}
}

// addresses looks at where this device can be reached, and who is.
func (d *doctor) addresses(ctx context.Context) {
	if d.status == nil {
		return
	}
	if !d.status.Network {
		d.note("network", "the daemon has no network", "it was started without one", "Start it again:  "+d.self()+" down && "+d.self()+" up -d")
		return
	}
	reach := slices.DeleteFunc(slices.Clone(d.status.Addrs), func(a string) bool {
		return strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/")
	})
	switch {
	case len(reach) == 0 && len(d.status.Addrs) > 0:
		d.note("network", "other machines cannot reach this device", "it listens on loopback only", "Connect to a network, or leave --listen out.")
	case len(reach) == 0:
		d.attention("network", "this device listens nowhere", "no network interface is up, or --listen names none that is here", "See:  ip addr; then  "+d.self()+" status -v")
	default:
		d.ok("network", "listens at %s", strings.Join(reach, " "))
	}
	for _, a := range reach {
		if host, port, ok := tcpPart(a); ok {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
			if err != nil {
				d.attention("network", a+" does not answer, even from here", err.Error(), "A firewall on this machine may be in the way; let TCP and UDP port "+port+" in.")
				break
			}
			conn.Close()
		}
	}
	if wall := firewall(); wall != "" {
		d.note("firewall", wall+" is on", "whether it lets other devices in cannot be told from here", "If they do not find this one, let in UDP 5353 (discovery) and the ports of  "+d.self()+" status -v")
	}
	var away []string
	for _, dev := range d.status.Devices {
		if dev.Path == "" {
			away = append(away, shortName(dev.Device))
		}
	}
	if n := len(d.status.Devices); n > 0 && len(away) == n {
		d.note("devices", "none of "+plural(n, "device is", "devices are")+" connected", "they are off, on another network, or a firewall is between",
			"Run peer doctor there, too; or name an address:  "+d.self()+" devices add-address DEVICE MULTIADDR")
	} else if n > 0 {
		text := fmt.Sprintf("%d of %d connected", n-len(away), n)
		if len(away) > 0 {
			text += "; away: " + strings.Join(away, ", ")
		}
		d.ok("devices", "%s", text)
	}
}

// tcpPart returns host and port of a multiaddr as /ip4/192.168.1.2/tcp/4001.
func tcpPart(addr string) (host, port string, ok bool) {
	p := strings.Split(addr, "/")
	return elem(p, 2), elem(p, 4), len(p) == 5 && p[3] == "tcp"
}

func elem(p []string, i int) string {
	if i < len(p) {
		return p[i]
	}
	return ""
}

// firewall names the firewall of this machine if a file says that it is on; nobody but root can ask what it lets in.
func firewall() string {
	if b, err := os.ReadFile("/etc/ufw/ufw.conf"); err == nil && strings.Contains(string(b), "ENABLED=yes") {
		return "ufw"
	}
	if _, err := os.Stat("/run/firewalld.pid"); err == nil {
		return "firewalld"
	}
	return ""
}

// buffers looks at the sizes that the system allows a UDP socket.
func (d *doctor) buffers(context.Context) {
	if runtime.GOOS != "linux" {
		return
	}
	var low []string
	for _, name := range []string{"rmem_max", "wmem_max"} {
		b, err := os.ReadFile("/proc/sys/net/core/" + name)
		n, bad := strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil && bad == nil && n < udpBufferMin {
			low = append(low, fmt.Sprintf("net.core.%s=%d", name, n))
		}
	}
	if len(low) == 0 {
		d.ok("buffers", "UDP buffers may be as large as QUIC asks for")
		return
	}
	d.note("buffers", "UDP buffers are small: "+strings.Join(low, " "), "a fast sender over QUIC may lose packets and be slower; nothing is lost for good",
		"sudo sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000")
}

// lan sends an advert and listens for it and for other devices.
func (d *doctor) lan(ctx context.Context, cmd *cobra.Command) {
	if doc, err := d.configOf(cmd); err == nil {
		for _, s := range doc.Settings {
			if on, _ := strconv.ParseBool(strings.Join(s.Values, "")); s.Key == "no-lan" && on {
				undo := map[string]string{originFile: d.self() + " config unset no-lan", originEnvironment: "unset " + variable(s.Key)}[s.Origin]
				d.note("mdns", "not looked at", "no-lan is set ("+s.Origin+"), so that this device looks for nobody", "Give addresses by hand, or start without it:  "+orElse(undo, d.self()+" up -d"))
				return
			}
		}
	}
	bounded, cancel := context.WithTimeout(ctx, lanLook)
	defer cancel()
	probe, err := p2p.ProbeLAN(bounded)
	const byHand = "devices add-address DEVICE MULTIADDR"
	switch {
	case len(probe.Interfaces) == 0:
		d.attention("mdns", "there is no network for it", fmt.Sprint(err), "Connect to a network. Without multicast, name addresses:  "+d.self()+" "+byHand)
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		d.attention("mdns", "cannot be used", err.Error(), "Another program may hold UDP port 5353 alone. Without it:  "+d.self()+" "+byHand)
	case !probe.HeardSelf:
		d.attention("mdns", "this device does not hear itself on "+strings.Join(probe.Interfaces, " "), "multicast is blocked here, by a firewall (UDP 5353) or by the network",
			"Let UDP 5353 in. On a network that blocks it:  "+d.self()+" "+byHand)
	default:
		d.ok("mdns", "heard itself on %s%s", strings.Join(probe.Interfaces, " "), d.heardOf(probe.Devices))
	}
}

// heardOf says which devices were heard beside this one.
func (d *doctor) heardOf(heard []gossip.DeviceID) string {
	names := map[string]string{}
	if d.status != nil {
		names[d.status.Device.ID] = ""
		for _, dev := range d.status.Devices {
			names[dev.ID] = shortName(dev.Device)
		}
	}
	var known []string
	strangers := 0
	for _, h := range heard {
		name, ok := names[h.String()]
		if !ok {
			strangers++
		} else if name != "" {
			known = append(known, name)
		}
	}
	text := "; no other device of this space"
	if len(known) > 0 {
		text = "; heard " + strings.Join(known, ", ")
	}
	if strangers > 0 {
		text += fmt.Sprintf("; %s of other spaces", plural(strangers, "device", "devices"))
	}
	return text
}
