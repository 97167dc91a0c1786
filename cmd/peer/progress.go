package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress returns a bar on standard error, or one that shows nothing where no person is watching. A total of -1 means that
// the end is not known. The bar vanishes at the end; what was done is said in words.
func (a *app) progress(total int64, what string, bytes bool) *progressbar.ProgressBar {
	if !a.out.errTTY || a.quiet || a.json {
		return progressbar.NewOptions64(total, progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetVisibility(false))
	}
	a.out.flush()
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.out.err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(bytes),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionEnableColorCodes(a.out.errColor),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSpinnerType(14),
	)
}
