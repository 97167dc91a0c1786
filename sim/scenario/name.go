package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// deviceNameMax bounds the name of a device, in bytes.
const deviceNameMax = 64

// others is the word for all devices that the other groups do not name.
const others = "others"

// DeviceName returns what people call a device: its name, or "device 3" if it has none.
func (s *Scenario) DeviceName(i int) string {
	if i >= 0 && i < len(s.Devices) && s.Devices[i].Name != "" {
		return s.Devices[i].Name
	}
	return fmt.Sprintf("device %d", i)
}

// short returns how a list names a device: its name or its number.
func (s *Scenario) short(i int) string {
	if i >= 0 && i < len(s.Devices) && s.Devices[i].Name != "" {
		return s.Devices[i].Name
	}
	return strconv.Itoa(i)
}

// badName says what is wrong with the name of a device, or nothing.
func badName(name string) string {
	letter := false
	for _, r := range name {
		switch {
		case unicode.IsLetter(r):
			letter = true
		case !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r):
			return fmt.Sprintf("a device cannot be called %q", name)
		}
	}
	switch {
	case !letter || name == others:
		return fmt.Sprintf("a device cannot be called %q", name)
	case len(name) > deviceNameMax:
		return fmt.Sprintf("a device cannot have a name of %d bytes", len(name))
	}
	return ""
}

// nameRule says what badName lets pass.
var nameRule = fmt.Sprintf("a name has at most %d bytes, of letters, digits and - _ . and with a letter among them; it is not %q",
	deviceNameMax, others)

// groupsText writes groups as people do: "laptop, phone | nas", with "4..7" for a run of devices without names.
func (s *Scenario) groupsText(groups [][]int) string {
	var texts []string
	for _, g := range groups {
		var items []string
		for i := 0; i < len(g); {
			n := 1
			for s.unnamed(g[i]) && i+n < len(g) && g[i+n] == g[i]+n && s.unnamed(g[i+n]) {
				n++
			}
			if n > 2 {
				items = append(items, fmt.Sprintf("%d..%d", g[i], g[i+n-1]))
			} else {
				n = 1
				items = append(items, s.short(g[i]))
			}
			i += n
		}
		texts = append(texts, strings.Join(items, ", "))
	}
	return strings.Join(texts, " | ")
}

func (s *Scenario) unnamed(i int) bool { return i >= len(s.Devices) || s.Devices[i].Name == "" }

// Tell says in one line what an operation of the scenario does, with the names of devices.
func (s *Scenario) Tell(o *Op) string {
	text := fmt.Sprintf("%9.3fs  %s", o.At.Seconds(), o.Do)
	length := ""
	if f := formOf(o.Do); f != nil && f.takes("for") {
		length = " for " + formatDuration(o.For)
		if o.For == 0 {
			length = " until it is healed"
			if f.goesAway() {
				length = ""
			}
		}
	}
	switch o.Do {
	case DoPartition, DoStall:
		return text + " " + s.groupsText(o.Groups) + length
	case DoHeal:
		return text
	case DoLoss, DoDuplicate:
		return text + " " + formatMille(o.Amount) + length
	case DoReorder, DoSlow:
		return text + " by " + formatMillis(o.Amount) + length
	case DoWrite:
		text += " on " + s.DeviceName(o.Device) + ":"
		for _, p := range o.Parts {
			text += fmt.Sprintf(" %s %s", p.Verb, p.Path)
		}
		return text
	case DoRead:
		return text + " of " + o.Path + " on " + s.DeviceName(o.Device)
	case DoClone:
		return text + " " + s.DeviceName(o.Device) + " from " + s.DeviceName(o.Of)
	case DoClock:
		return text + " of " + s.DeviceName(o.Device) + " jumps by " + formatMillis(o.Amount)
	}
	return text + " " + s.DeviceName(o.Device) + length
}

func formatMillis(ms int64) string { return formatDuration(time.Duration(ms) * time.Millisecond) }
