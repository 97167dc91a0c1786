package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// timeText writes a moment or a length of a run in seconds, as 12.345 s, and from an hour on as 395 d 00:01:02.345. page.js does the same.
func timeText(seconds float64) string {
	if seconds < time.Hour.Seconds() {
		return fmt.Sprintf("%.3f s", seconds)
	}
	millis := int64(seconds*1000 + .5)
	day := ""
	if days := millis / 86_400_000; days > 0 {
		day = grouped(int(days)) + " d "
	}
	s := millis / 1000
	return fmt.Sprintf("%s%02d:%02d:%02d.%03d", day, s/3600%24, s/60%60, s%60, millis%1000)
}

// visible writes out characters that would hide or turn around what stands beside them: control characters but tabs and ends of lines, and
// those that change the direction of text (Unicode Standard Annex #9).
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}
