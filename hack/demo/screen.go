package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen is where the demo writes: a terminal on which a region is drawn in place, or a stream of
// plain lines.
type screen struct {
	paint palette

	out    *os.File
	live   bool // what was written can be drawn over
	mu     sync.Mutex
	drawn  int // lines of the region, above the cursor
	width  int // of the terminal when it was drawn
	hidden bool
}

// newScreen looks at what the output can do. Plain lines are wanted where a person is not looking.
func newScreen(out *os.File, person bool) *screen {
	terminal := term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"
	_, plain := os.LookupEnv("NO_COLOR")
	return &screen{out: out, live: terminal && person, paint: palette(terminal && !plain)}
}

func (s *screen) size() (width, height int) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// say writes a line that stays.
func (s *screen) say(line string) { s.write(line + "\n") }

func (s *screen) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.out, text) // a reader that is gone is noticed by its signal
}

const stepWidth = 66

// begin, progress and end write a step on one line.
func (s *screen) begin(what string) {
	if s.live {
		s.progress(what, 0)
	} else {
		s.write(fmt.Sprintf("  %-*s", stepWidth, what))
	}
}

func (s *screen) progress(what string, took time.Duration) {
	if s.live {
		dots := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
		mark := string(dots[int(took/(100*time.Millisecond))%len(dots)])
		s.write("\r" + clearLine + s.paint.yellow(mark) + " " + s.step(what, took))
	}
}

// interrupt says something in the middle of a step.
func (s *screen) interrupt(text, what string) {
	if s.live {
		s.write("\r" + clearLine + "  " + text + "\n")
	} else {
		s.write("(" + text + ")\n")
	}
	s.begin(what)
}

func (s *screen) end(what string, took time.Duration, err error) {
	mark, outcome := s.paint.green("✓"), ""
	if err != nil {
		mark, outcome = s.paint.red("✗"), s.paint.red(" failed")
	}
	if s.live {
		s.write("\r" + clearLine + mark + " " + s.step(what, took) + outcome + "\n")
	} else {
		s.write(fmt.Sprintf("%6.1f s%s\n", took.Seconds(), outcome))
	}
}

// step fits a step into a line: a line that wraps could not be drawn over.
func (s *screen) step(what string, took time.Duration) string {
	width, _ := s.size()
	seconds := fmt.Sprintf("%6.1f s", took.Seconds())
	room := max(min(stepWidth, width-len(seconds)-len(" failed")-3), 8)
	return fit(what, room) + s.paint.dim(seconds)
}

const (
	clearLine  = "\x1b[2K"
	clearBelow = "\x1b[J"
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	wrapOff    = "\x1b[?7l"
	wrapOn     = "\x1b[?7h"
)

// draw puts the region's lines where the region was.
func (s *screen) draw(lines []string, width int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	if !s.hidden {
		text.WriteString(hideCursor)
	}
	up := s.drawn
	if s.width > width {
		up = s.wrapped(width)
	}
	if up > 0 {
		fmt.Fprintf(&text, "\r\x1b[%dA", up)
	}
	text.WriteString(wrapOff) // the next drawing counts lines
	for _, line := range lines {
		text.WriteString(clearLine + line + "\n")
	}
	text.WriteString(wrapOn + clearBelow)
	_, _ = io.WriteString(s.out, text.String())
	s.drawn, s.width, s.hidden = len(lines), width, true
}

// wrapped is how many lines the region takes up, at most, after the terminal became narrower.
func (s *screen) wrapped(width int) int {
	_, height := s.size()
	return min(s.drawn*((s.width+width-1)/width), height-1)
}

// leave gives the terminal back; the region stays as it is.
func (s *screen) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hidden {
		_, _ = io.WriteString(s.out, "\r"+clearBelow+showCursor)
	}
	s.drawn, s.hidden = 0, false
}

// palette colours text, or leaves it as it is.
type palette bool

func (p palette) with(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p palette) bold(text string) string   { return p.with("1", text) }
func (p palette) dim(text string) string    { return p.with("2", text) }
func (p palette) red(text string) string    { return p.with("31", text) }
func (p palette) green(text string) string  { return p.with("32", text) }
func (p palette) yellow(text string) string { return p.with("33", text) }
func (p palette) cyan(text string) string   { return p.with("36", text) }
