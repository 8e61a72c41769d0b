package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// view is what is drawn: a picture, what led to it, and whose it is.
type view struct {
	name, target string
	quantity     int // N, to keep room for its dynos
	picture      picture
	entries      []entry
	depths       []int // one a second, -1 where not known
	quantities   []int
}

// remember adds a picture to the curves.
func (v *view) remember(p picture) {
	const most = 300
	v.picture = p
	if len(v.quantities) == 0 && p.status.Quantity == nil {
		return // nothing has begun
	}
	v.depths = lastOf(append(v.depths, known(p.counts.depth)), most)
	v.quantities = lastOf(append(v.quantities, known(p.status.Quantity)), most)
}

func known[N int | int32](n *N) int {
	if n == nil {
		return -1
	}
	return int(*n)
}

func lastOf[T any](all []T, most int) []T { return all[max(0, len(all)-most):] }

// narrowest is what the table needs; on a narrower terminal its end is not seen.
const narrowest = 44

// draw makes lines of at most width columns, and fewer than height of them.
func (v *view) draw(width, height int, paint palette) []string {
	width = max(width, narrowest)
	lines := v.head(width, paint)
	lines = append(lines, v.table(width, paint)...)
	lines = append(lines, v.curves(width, paint)...)
	lines = append(lines, v.dynos(width, paint)...)
	if room := height - 1 - len(lines); room > 2 {
		lines = append(lines, v.journal(width, min(room, 14), paint)...)
	}
	return lines[:min(len(lines), max(height-1, 1))]
}

func (v *view) head(width int, paint palette) []string {
	const hint = "Ctrl-C stops everything"
	left := fmt.Sprintf("%s scales %s", v.name, v.target)
	rule := paint.dim(strings.Repeat("─", width))
	if utf8.RuneCountInString(left)+len(hint)+3 > width {
		return []string{rule, " " + paint.bold(cut(left, width-1))}
	}
	return []string{rule, " " + paint.bold(fit(left, width-len(hint)-2)) + paint.dim(hint)}
}

// table has the numbers, and below them the operator's reason in its own words.
func (v *view) table(width int, paint palette) []string {
	p, ready := v.picture, v.picture.condition(v1.ConditionReady)
	quantity := paint.bold
	if known(p.status.Quantity) > 0 {
		quantity = paint.green
	}
	health := paint.green
	if ready.Status != metav1.ConditionTrue {
		health = paint.red
	}
	lines := []string{
		"",
		" " + paint.dim(cut("DEPTH   IN FLIGHT   DESIRED   QUANTITY   READY", width-1)),
		" " + paint.bold(fit(number(p.counts.depth), 8)+fit(number(p.counts.inFlight), 12)+fit(number(p.status.DesiredQuantity), 10)) +
			quantity(fit(number(p.status.Quantity), 11)) + health(cut(orDash(ready.Reason), width-42)),
		"",
	}
	why := wrap(orDash(p.why()), width-6)
	if ready.Status == metav1.ConditionFalse && ready.Message != p.why() {
		why = append(why, wrap(ready.Message, width-6)...)
	}
	if p.err != nil {
		why = append(why, "cannot be read: "+strings.ReplaceAll(p.err.Error(), "\n", "; "))
	}
	for i, line := range why {
		label := "     "
		if i == 0 {
			label = paint.dim("WHY  ")
		}
		lines = append(lines, " "+label+cut(line, width-6))
	}
	return append(lines, "")
}

// curves show depth and quantity over the last seconds, one above the other.
func (v *view) curves(width int, paint palette) []string {
	room := max(width-12, 1)
	return []string{
		" " + paint.dim("depth    ") + " " + paint.cyan(spark(v.depths, room)),
		" " + paint.dim("quantity ") + " " + paint.green(spark(v.quantities, room)),
		"",
	}
}

// spark draws the last values as bars, the largest at full height.
func spark(values []int, width int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	values = lastOf(values, width)
	most := 1
	for _, value := range values {
		most = max(most, value)
	}
	var line strings.Builder
	for _, value := range values {
		switch {
		case value < 0:
			line.WriteByte(' ')
		case value == 0:
			line.WriteRune(bars[0])
		default:
			line.WriteRune(bars[max(1, value*(len(bars)-1)/most)])
		}
	}
	return line.String()
}

// dynos keeps room for as many as the operator starts, so that the rest does not jump.
func (v *view) dynos(width int, paint palette) []string {
	const most = 6
	lines := []string{" " + paint.dim(cut("DYNO         STATE       SINCE", width-1))}
	for i, dyno := range v.picture.dynos {
		if i == most {
			lines = append(lines, fmt.Sprintf(" and %d more", len(v.picture.dynos)-most))
			break
		}
		state := paint.dim
		switch dyno.State {
		case "up":
			state = paint.green
		case "starting":
			state = paint.yellow
		case "crashed":
			state = paint.red
		}
		age := max(v.picture.at.Sub(dyno.UpdatedAt).Truncate(time.Second), 0)
		lines = append(lines, " "+fit(dyno.Name, 13)+state(fit("● "+dyno.State, 12))+paint.dim(cut(age.String(), width-26)))
	}
	if len(v.picture.dynos) == 0 {
		lines = append(lines, " "+paint.dim("none"))
	}
	for len(lines) < 1+min(v.quantity, most) {
		lines = append(lines, "")
	}
	return append(lines, "")
}

// journal shows the last entries, each as long as it is.
func (v *view) journal(width, height int, paint palette) []string {
	const indent = 21
	var lines []string
	for _, e := range lastOf(v.entries, height) {
		style := paint.dim
		if e.change != "" {
			style = paint.bold
		}
		if e.bad {
			style = paint.red
		}
		label := paint.dim(e.at.Local().Format(time.TimeOnly)) + "   " + paint.bold(fit(e.change, 9))
		for _, text := range wrap(e.text, width-indent) {
			lines = append(lines, " "+label+style(cut(text, width-indent)))
			label = strings.Repeat(" ", indent-1)
		}
	}
	return append([]string{" " + paint.dim(cut("TIME       CHANGE   WHAT HAPPENED, AND WHY", width-1))}, lastOf(lines, height-1)...)
}

func number[N int | int32](n *N) string {
	if n == nil {
		return "–"
	}
	return fmt.Sprint(*n)
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// fit makes a text exactly as wide as its column, a space at the end included.
func fit(text string, width int) string {
	text = cut(text, max(width-1, 0))
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// cut shortens a text to at most width columns.
func cut(text string, width int) string {
	runes := []rune(text)
	switch {
	case width <= 0:
		return ""
	case len(runes) <= width:
		return text
	}
	return string(runes[:width-1]) + "…"
}

// wrap breaks a text between words.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
