package wire

import (
	"maps"
	"time"

	"syncline/node"
)

// Schemas of the documents about the daemon and the devices.
const (
	SchemaStatus  = "peer.status/v1"
	SchemaDevices = "peer.devices/v1"
	SchemaDevice  = "peer.device/v1"
	SchemaVersion = "peer.version/v1"
	SchemaUp      = "peer.up/v1"
	SchemaDown    = "peer.down/v1"
	SchemaSync    = "peer.sync/v1"
	SchemaAddress = "peer.address/v1"
	SchemaSpaces  = "peer.spaces/v1"
	SchemaHealth  = "peer.health/v1"
)

// Space names a space.
type Space struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

// SpaceOf returns the document for s.
func SpaceOf(s node.SpaceInfo) Space {
	return Space{ID: s.ID.String(), Name: s.Name, Default: s.Default}
}

// Spaces lists the spaces of a device.
type Spaces struct {
	Schema string  `json:"schema"`
	Spaces []Space `json:"spaces"`
}

// Missing counts what a device is not known to hold.
type Missing struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

// DeviceStatus is a device as this one sees it. State is one of node's DeviceState values.
type DeviceStatus struct {
	Schema string `json:"schema,omitempty"`
	Device
	State     string    `json:"state"`
	Missing   Missing   `json:"missing"`
	Path      string    `json:"path"`
	Addrs     []string  `json:"addrs"`
	LastSeen  time.Time `json:"last_seen,omitzero"`
	Added     time.Time `json:"added,omitzero"`
	AddedBy   *Device   `json:"added_by,omitempty"`
	ClockSkew float64   `json:"clock_skew_seconds"`
}

// DeviceStatusOf returns the document for d.
func DeviceStatusOf(d node.DeviceStatus) DeviceStatus {
	w := DeviceStatus{
		Device: DeviceOf(d.DeviceRef), State: string(d.State), Missing: Missing(d.Missing), Path: d.Path,
		Addrs: nonNil(d.Addrs), LastSeen: d.LastSeen.UTC(), Added: d.Added.UTC(), ClockSkew: d.ClockSkew.Seconds(),
	}
	if !d.AddedBy.ID.IsZero() || d.AddedBy.Name != "" {
		by := DeviceOf(d.AddedBy)
		w.AddedBy = &by
	}
	return w
}

// Devices lists the members of a space, this device first.
type Devices struct {
	Schema  string         `json:"schema"`
	Devices []DeviceStatus `json:"devices"`
}

// DeviceStatusesOf returns the documents for ds.
func DeviceStatusesOf(ds []node.DeviceStatus) []DeviceStatus {
	out := make([]DeviceStatus, len(ds))
	for i, d := range ds {
		out[i] = DeviceStatusOf(d)
	}
	return out
}

// Warning is a thing that a person should look at.
type Warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// Filling says of how many ranges of paths something is not here yet, and from which path on.
type Filling struct {
	Ranges int    `json:"ranges"`
	From   string `json:"from"`
}

// Status is one page about a device and one of its spaces. Devices holds the other members.
type Status struct {
	Schema    string         `json:"schema"`
	Device    Device         `json:"device"`
	Space     Space          `json:"space"`
	Started   time.Time      `json:"started"`
	Entries   int            `json:"entries"`
	Bytes     int64          `json:"bytes"`
	Filling   *Filling       `json:"filling,omitempty"` // absent if nothing is known to be missing
	Conflicts int            `json:"conflicts"`
	Invites   int            `json:"invites"`
	Devices   []DeviceStatus `json:"devices"`
	Warnings  []Warning      `json:"warnings"`
	// Alarms counts, by code, what was wrong with what others sent since the start.
	Alarms  map[string]int `json:"alarms"`
	Network bool           `json:"network"`
	Addrs   []string       `json:"addrs"`
	Dir     string         `json:"dir"`
	API     string         `json:"api"`
	PID     int            `json:"pid"`
	Version string         `json:"version"`
}

// StatusOf returns the document for s; the caller adds what only the daemon knows.
func StatusOf(s node.Status) Status {
	w := Status{
		Schema: SchemaStatus, Device: DeviceOf(s.Device), Space: SpaceOf(s.Space), Started: s.Started.UTC(),
		Entries: s.Entries, Bytes: s.Bytes, Conflicts: s.Conflicts, Invites: s.Invites,
		Devices: DeviceStatusesOf(s.Devices), Warnings: []Warning{}, Network: s.Network, Addrs: nonNil(s.Addrs), Dir: s.Dir,
	}
	if s.Filling.Ranges > 0 {
		f := Filling(s.Filling)
		w.Filling = &f
	}
	w.Alarms = map[string]int{}
	maps.Copy(w.Alarms, s.Alarms)
	for _, x := range s.Warnings {
		w.Warnings = append(w.Warnings, Warning(x))
	}
	return w
}

// Version says what is running.
type Version struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Up is what a daemon says of itself once its API answers.
type Up struct {
	Schema string `json:"schema"`
	Device Device `json:"device"`
	Space  Space  `json:"space"`
	Dir    string `json:"dir"`
	API    string `json:"api"`
	PID    int    `json:"pid"`
	Log    string `json:"log,omitempty"`
}

// Down says that the daemon ends. WasRunning is false if there was none to end.
type Down struct {
	Schema     string `json:"schema"`
	WasRunning bool   `json:"was_running"`
	PID        int    `json:"pid,omitempty"`
}

// SyncWait asks to start synchronising now and to wait until the named device, or every connected one, holds all that this
// device holds. Timeout is a duration as "30s"; empty means 30 seconds.
type SyncWait struct {
	Device  string `json:"device,omitempty"`
	Timeout string `json:"timeout,omitempty"`
}

// Sync says who holds all that this device held when the wait began; a device with an empty path, when it was last seen.
type Sync struct {
	Schema   string         `json:"schema"`
	CaughtUp bool           `json:"caught_up"`
	Devices  []DeviceStatus `json:"devices"`
}

// Address is a multiaddr given by hand for a device.
type Address struct {
	Schema  string `json:"schema,omitempty"`
	Device  string `json:"device,omitempty"`
	Address string `json:"address"`
}

// Health says that the daemon answers.
type Health struct {
	Schema string `json:"schema"`
	Status string `json:"status"`
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
