package mdns

import "time"

// A bucket lets burst things through at once and then perSecond.
type bucket struct {
	burst, perSecond float64
	spent            float64
	at               time.Time
}

// take reports whether one more may pass now.
func (b *bucket) take(now time.Time) bool {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()*b.perSecond)
	b.at = now
	if b.spent+1 > b.burst {
		return false
	}
	b.spent++
	return true
}
