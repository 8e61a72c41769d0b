package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ticksPerSecond is the unit of times in /proc, the same wherever Go runs on Linux.
const ticksPerSecond = 100

// processStat is what /proc/PID/stat tells.
type processStat struct {
	parent int
	name   string // cut to 15 letters
	cpu    time.Duration
}

func readStat(pid int) (processStat, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processStat{}, err
	}
	return parseStat(string(content))
}

// parseStat reads "pid (name) state ppid …", where a name may hold anything.
func parseStat(text string) (processStat, error) {
	const parent, user, system = 1, 11, 12 // counted from the state
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return processStat{}, errors.New("the state of a process has no name")
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) <= system {
		return processStat{}, errors.New("the state of a process is cut short")
	}
	var numbers [3]int
	for i, field := range []int{parent, user, system} {
		number, err := strconv.Atoi(fields[field])
		if err != nil {
			return processStat{}, err
		}
		numbers[i] = number
	}
	ticks := time.Duration(numbers[1] + numbers[2])
	return processStat{parent: numbers[0], name: text[open+1 : end], cpu: ticks * time.Second / ticksPerSecond}, nil
}

// childNamed finds the newest child of this process that runs a program.
func childNamed(program string) (int, error) {
	const longestName = 15
	found := 0
	directories, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, directory := range directories {
		pid, err := strconv.Atoi(filepath.Base(directory))
		if err != nil {
			continue
		}
		stat, err := readStat(pid) // it may be gone by now
		if err == nil && stat.parent == os.Getpid() && stat.name == program[:min(len(program), longestName)] {
			found = max(found, pid)
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("no child of this process runs %s", program)
	}
	return found, nil
}

// memoryOf is what a process holds in memory: now, and at most until now.
func memoryOf(pid int) (now, most float64) {
	for key, value := range map[string]*float64{"VmRSS": &now, "VmHWM": &most} {
		_, _ = fmt.Sscan(firstOf(fmt.Sprintf("/proc/%d/status", pid), key), value)
		*value *= 1024
	}
	return now, most
}

// meter measures the CPU time that processes use.
type meter struct {
	began time.Time
	pids  map[string]int
	start map[string]time.Duration
}

func newMeter(pids map[string]int) (*meter, error) {
	m := &meter{began: time.Now(), pids: pids, start: map[string]time.Duration{}}
	for name, pid := range pids {
		stat, err := readStat(pid)
		if err != nil {
			return nil, err
		}
		m.start[name] = stat.cpu
	}
	return m, nil
}

// used is the CPU time that each used since the beginning.
func (m *meter) used() (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	for name, pid := range m.pids {
		stat, err := readStat(pid)
		if err != nil {
			return nil, err
		}
		used[name] = stat.cpu - m.start[name]
	}
	return used, nil
}

// shares is the same as shares of one core.
func (m *meter) shares() (map[string]float64, error) {
	used, err := m.used()
	if err != nil {
		return nil, err
	}
	took, shares := time.Since(m.began), map[string]float64{}
	for name, time := range used {
		shares[name] = ratio(time, took)
	}
	return shares, nil
}

// parallel does something for each number below n, so many side by side, until the first error.
func parallel(ctx context.Context, n, workers int, do func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress, done := newProgress("done", n), 0
	var mu sync.Mutex
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, workers) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done++
				progress.at(done)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// await looks often until something is so.
func await(ctx context.Context, what string, is func() bool) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-ticker.C:
		}
	}
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
