package stack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// JobLog is a file to which jobs write what becomes of them, one line of JSON after the other.
type JobLog string

// JobEvent is a line of the job log.
type JobEvent struct {
	At      float64 `json:"at"`    // seconds since 1970
	Event   string  `json:"event"` // start, end, failed or interrupted
	Job     string  `json:"job"`   // its id
	Class   string  `json:"class,omitempty"`
	Queue   string  `json:"queue,omitempty"`
	Attempt int     `json:"attempt"` // from 1 on
	Dyno    string  `json:"dyno"`
	PID     int     `json:"pid"` // of the dyno's first process
}

// Time is when it happened.
func (e JobEvent) Time() time.Time { return time.UnixMicro(int64(e.At * 1e6)) }

// Events reads the log. One that does not exist has none.
func (l JobLog) Events() ([]JobEvent, error) {
	file, err := os.Open(string(l))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var events []JobEvent
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var event JobEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, fmt.Errorf("the job log: %w", err)
		}
		events = append(events, event)
	}
	return events, nil
}
