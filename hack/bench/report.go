package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// report is what is printed. It keeps its first error.
type report struct {
	to  io.Writer
	err error
}

func (r *report) print(format string, arguments ...any) {
	if r.err == nil {
		_, r.err = fmt.Fprintf(r.to, format, arguments...)
	}
}

// table prints a table, after a line that says what is measured.
func (r *report) table(title, measured string, rows [][]string) {
	r.print("## %s\n\n%s\n\n%s\n", title, measured, markdown(rows))
}

// heading names the machine.
func (r *report) heading(ctx context.Context, set settings) error {
	version, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return fmt.Errorf("asking redis-server for its version: %w", err)
	}
	r.print("# Measurements of %s\n\n%s, %d cores, %.1f GB memory, Linux %s, %s, redis-server %s. Scale %g.\n\n",
		time.Now().Format(time.DateOnly), firstOf("/proc/cpuinfo", "model name"), runtime.NumCPU(),
		memoryGB(), kernel(), runtime.Version(), fieldWith(string(version), "v="), set.scale)
	return r.err
}

func kernel() string {
	content, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "of an unknown version"
	}
	return strings.TrimSpace(string(content))
}

func memoryGB() float64 {
	var kilobytes float64
	_, _ = fmt.Sscan(firstOf("/proc/meminfo", "MemTotal"), &kilobytes)
	return kilobytes * 1024 / 1e9
}

// firstOf is the value of the first line "key: value" of a file; "unknown" if there is none.
func firstOf(file, key string) string {
	opened, err := os.Open(file)
	if err != nil {
		return "unknown"
	}
	defer func() { _ = opened.Close() }()
	for lines := bufio.NewScanner(opened); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// fieldWith is what follows a prefix in the first field of a text that has it.
func fieldWith(text, prefix string) string {
	for field := range strings.FieldsSeq(text) {
		if value, ok := strings.CutPrefix(field, prefix); ok {
			return value
		}
	}
	return "unknown"
}

// markdown makes a table of rows, the first of which is the heading. All columns but the first are
// aligned to the right.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 2)
		}
	}
	var text strings.Builder
	line := func(cell func(i int) string) {
		for i := range widths {
			text.WriteString("| " + cell(i) + " ")
		}
		text.WriteString("|\n")
	}
	for n, row := range rows {
		line(func(i int) string { return padded(row, i, widths[i]) })
		if n == 0 {
			line(func(i int) string { return rule(i, widths[i]) })
		}
	}
	return text.String()
}

// padded is a cell; an empty one where the row is too short.
func padded(row []string, i, width int) string {
	cell := ""
	if i < len(row) {
		cell = row[i]
	}
	space := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
	if i == 0 {
		return cell + space
	}
	return space + cell
}

func rule(i, width int) string {
	if i == 0 {
		return strings.Repeat("-", width)
	}
	return strings.Repeat("-", width-1) + ":"
}

// figure is a number with three digits that count.
func figure(value float64) string {
	switch size := math.Abs(value); {
	case math.IsNaN(value):
		return "–"
	case size >= 100 || size == 0:
		return fmt.Sprintf("%.0f", value)
	case size >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}

func milliseconds(d time.Duration) string { return figure(float64(d)/1e6) + " ms" }

func microseconds(d time.Duration) string { return figure(float64(d)/1e3) + " µs" }

func seconds(d time.Duration) string { return figure(d.Seconds()) + " s" }

func megabytes(bytes float64) string { return figure(bytes/1e6) + " MB" }

// percent is a share of one core.
func percent(share float64) string { return figure(100*share) + " %" }

// aim says what was aimed at, and whether it is met.
func aim(what string, met bool) string {
	if met {
		return what + ": met"
	}
	return what + ": **missed**"
}

// say tells of progress.
func say(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+"  "+format+"\n", arguments...)
}

// progress tells now and then how far something is.
type progress struct {
	what  string
	total int
	next  time.Time
}

const progressPeriod = 5 * time.Second

func newProgress(what string, total int) *progress {
	return &progress{what: what, total: total, next: time.Now().Add(progressPeriod)}
}

func (p *progress) at(done int) {
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(progressPeriod)
		say("%s: %d of %d", p.what, done, p.total)
	}
}
