package des

import (
	"time"

	"syncline/node"
	"syncline/sim/oracle"
)

// A merge function takes so long, unless it hangs: then it is given up after node.MergeDeadlineDefault.
const (
	mergeTakesMin = time.Millisecond
	mergeTakesMax = 900 * time.Millisecond
)

// call lets a merge function of the scenario run, and answers when it is done.
func (d *device) call(m node.Merge) {
	w := d.w
	asked := w.oracle.Asked(d.index, m)
	life := d.life
	if asked == nil {
		w.after(mergeTakesMin, func() {
			if d.life == life {
				d.step(PhaseOther, node.Merged{Merge: m, Reason: "the values cannot be read"})
			}
		})
		return
	}
	takes := w.fate(fateCall, d.index, 0, sum([]byte(m.Path))).between(mergeTakesMin, mergeTakesMax)
	if name, _ := m.Policy.Merge(); name == "hang" {
		takes = node.MergeDeadlineDefault
	}
	w.after(takes, func() {
		if d.life == life {
			d.answer(m, asked)
		}
	})
}

func (d *device) answer(m node.Merge, asked *oracle.Merge) {
	d.takeIn()
	data, reason := asked.Result()
	a := d.w.oracle.Answered(asked, d.wall())
	d.stepFor(PhaseWrite, a, node.Merged{Merge: m, Content: node.Text(data), Reason: reason})
}
