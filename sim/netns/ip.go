//go:build linux

package netns

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// ip runs a list of commands of ip(8) in a namespace, in order. An empty namespace is the one of this process.
func ip(namespace string, commands ...string) error {
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-n", namespace}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip: %q: %w: %s", commands, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Traffic counts bytes at an interface, with their Ethernet headers.
type Traffic struct{ Received, Sent int64 }

// Total is the sum of both directions.
func (t Traffic) Total() int64 { return t.Received + t.Sent }

// Sub returns what was added since an earlier count.
func (t Traffic) Sub(earlier Traffic) Traffic {
	return Traffic{t.Received - earlier.Received, t.Sent - earlier.Sent}
}

// traffic reads the counters of an interface.
func traffic(namespace, device string) (Traffic, error) {
	out, err := exec.Command("ip", "-n", namespace, "-json", "-statistics", "link", "show", "dev", device).Output()
	if err != nil {
		return Traffic{}, fmt.Errorf("counters of %s: %w", device, err)
	}
	var links []struct {
		Stats struct {
			RX struct{ Bytes int64 } `json:"rx"`
			TX struct{ Bytes int64 } `json:"tx"`
		} `json:"stats64"`
	}
	if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
		return Traffic{}, fmt.Errorf("counters of %s: %d links in %q: %w", device, len(links), out, err)
	}
	return Traffic{links[0].Stats.RX.Bytes, links[0].Stats.TX.Bytes}, nil
}
