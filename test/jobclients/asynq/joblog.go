package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/hibiken/asynq"
)

// jobEvent is a line of the job log.
type jobEvent struct {
	At      float64 `json:"at"`
	Event   string  `json:"event"`
	Job     string  `json:"job"`
	Attempt int     `json:"attempt"`
	Dyno    string  `json:"dyno"`
	PID     int     `json:"pid"`
}

// logged writes to the job log when a task starts, and when it ends or fails.
func logged(handle asynq.HandlerFunc) asynq.HandlerFunc {
	return func(ctx context.Context, task *asynq.Task) error {
		if err := note(ctx, "start"); err != nil {
			return err
		}
		if err := handle(ctx, task); err != nil {
			return errors.Join(err, note(ctx, "failed"))
		}
		return note(ctx, "end")
	}
}

func note(ctx context.Context, event string) error {
	name := os.Getenv("JOB_LOG")
	if name == "" {
		return nil
	}
	job, _ := asynq.GetTaskID(ctx)
	line, err := json.Marshal(jobEvent{
		At: float64(time.Now().UnixMicro()) / 1e6, Event: event, Job: job, Attempt: 1, Dyno: os.Getenv("DYNO"), PID: os.Getpid(),
	})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}
