package scenario

import "slices"

// A form says how an action is written in a file, and so which fields of an [Op] it has.
type form struct {
	// key is the action in a file, do what it is in an Op; write and delete are one Action.
	key string
	do  Action
	// is says what stands behind the key.
	is content
	// needs and may are the further keys that must and may stand in the same table.
	needs, may []string
}

// A content is the kind of value that stands behind a key of an action.
type content int

const (
	isDevice content = iota // the device that it happens to
	isSource                // the device whose data are copied
	isParts                 // what is written
	isPath
	isGroups
	isShare
	isMillis
	isTrue
	isPattern
)

// forms lists the actions in the order in which people are told of them.
var forms = []form{
	{key: "write", do: DoWrite, is: isParts, needs: []string{"on"}, may: []string{"how", "newest", "value", "size"}},
	{key: "delete", do: DoWrite, is: isParts, needs: []string{"on"}, may: []string{"how", "newest"}},
	{key: "read", do: DoRead, is: isPath, needs: []string{"on"}},
	{key: "policy", do: DoPolicy, is: isPattern, needs: []string{"on", "is"}},
	{key: "sync", do: DoSync},
	{key: "join", do: DoJoin},
	{key: "clone", do: DoClone, is: isSource, needs: []string{"on"}},
	{key: "partition", do: DoPartition, is: isGroups, may: []string{"for"}},
	{key: "disconnect", do: DoDisconnect, may: []string{"for"}},
	{key: "stall", do: DoStall, is: isGroups, may: []string{"for"}},
	{key: "heal", do: DoHeal, is: isTrue},
	{key: "loss", do: DoLoss, is: isShare, may: []string{"for"}},
	{key: "duplicate", do: DoDuplicate, is: isShare, may: []string{"for"}},
	{key: "reorder", do: DoReorder, is: isMillis, may: []string{"for"}},
	{key: "slow", do: DoSlow, is: isMillis, may: []string{"for"}},
	{key: "reset", do: DoReset},
	{key: "crash", do: DoCrash, may: []string{"for", "keep"}},
	{key: "restart", do: DoRestart, may: []string{"for"}},
	{key: "backup", do: DoBackup},
	{key: "restore", do: DoRestore, may: []string{"for"}},
	{key: "disk-full", do: DoDiskFull, may: []string{"for"}},
	{key: "sync-fail", do: DoSyncFail, may: []string{"for", "keep"}},
	{key: "damage", do: DoDamage, is: isPath, needs: []string{"on"}},
	{key: "repair", do: DoRepair},
	{key: "clock", do: DoClock, needs: []string{"by"}},
}

// otherWords are words that people write for an action, and what to write instead.
var otherWords = map[string]string{
	"resolve": `write = "a/path" with how = "resolve"`, "settle": `write = "a/path" with how = "resolve"`, "decide": `write = "a/path" with how = "resolve"`,
	"transaction": `write = ["one", "two"]`, "tx": `write = ["one", "two"]`, "batch": `write = ["one", "two"]`,
	"put": "write", "set": "write", "edit": "write", "update": "write", "get": "read", "remove": "delete", "rm": "delete",
	"reboot": "restart", "stop": "restart", "close": "restart", "shutdown": "restart", "down": "restart",
	"power": "crash", "power-off": "crash", "poweroff": "crash", "kill": "crash",
	"cut": "partition", "split": "partition", "isolate": "disconnect", "offline": "disconnect", "away": "disconnect",
	"delay": "slow", "lag": "slow", "latency": "slow", "drop": "loss", "lose": "loss", "add": "join", "start": "join", "invite": "join",
	"copy": "clone", "full": "disk-full", "corrupt": "damage", "skew": "clock", "time": "clock", "end": "heal",
}

// further lists the keys of an operation that are no action.
var further = []string{"t", "on", "how", "newest", "value", "size", "for", "keep", "by", "is"}

// verbs lists the verbs in the order in which people are told of them.
var verbs = []Verb{Put, PutAll, Sibling, Resolve, Keep, PutIf, Delete, DeleteAll}

// formOf returns the first form of an action, nil if there is no such action.
func formOf(a Action) *form {
	i := slices.IndexFunc(forms, func(f form) bool { return f.do == a })
	if i < 0 {
		return nil
	}
	return &forms[i]
}

// formNamed returns the form with a key.
func formNamed(key string) *form {
	i := slices.IndexFunc(forms, func(f form) bool { return f.key == key })
	if i < 0 {
		return nil
	}
	return &forms[i]
}

func (f *form) takes(key string) bool {
	return slices.Contains(f.needs, key) || slices.Contains(f.may, key)
}

// onDevice reports whether the action has a device.
func (f *form) onDevice() bool { return f.is == isDevice || f.takes("on") }

// hasAmount reports whether the action has an amount.
func (f *form) hasAmount() bool {
	return f.is == isShare || f.is == isMillis || f.takes("keep") || f.takes("by")
}

// goesAway reports whether the device does not run while the action lasts.
func (f *form) goesAway() bool { return f.do == DoCrash || f.do == DoRestart || f.do == DoRestore }

// deletes reports whether a verb leaves no value.
func (v Verb) deletes() bool { return v == Delete || v == DeleteAll }
