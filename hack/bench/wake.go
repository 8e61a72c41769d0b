package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// wakeRest lies between two wakes, so that what follows the one (the answer, the status) is mostly
	// over when the other begins. The floor rests as long.
	wakeRest = 20 * time.Millisecond
	// wakePatience is how long a wake is waited for.
	wakePatience = 30 * time.Second
	// sleepRest is how long a process type must have been stopped: then its stop is written down.
	sleepRest = 500 * time.Millisecond
	// sleepPatience is for a poll, the idle timeout, and a busy machine.
	sleepPatience = 2 * time.Minute
)

func planWake(set settings) plan { return plan{servers: 1, scalers: numbered(set.count(1000), 1)} }

// measureWake wakes the operator and the floor in turns, so that both meet the same machine: it is busy
// with the stops and the statuses that follow the operator's wakes.
func measureWake(ctx context.Context, w *world, out *report) (err error) {
	wakes := w.settings.count(2000)
	if _, err := w.startReady(ctx, len(w.plan.scalers)); err != nil {
		return err
	}
	bare, err := w.startFloor(ctx, w.servers[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.close()) }()

	var ofOperator, ofFloor distribution
	progress := newProgress("wakes", wakes)
	for n := range wakes {
		took, err := w.wakeSleeping(ctx, w.plan.scalers[n%len(w.plan.scalers)])
		if err != nil {
			return err
		}
		ofOperator = append(ofOperator, took)
		if took, err = w.wakeFloor(ctx, bare); err != nil {
			return err
		}
		ofFloor = append(ofFloor, took)
		progress.at(n + 1)
	}
	reportWake(out, len(w.plan.scalers), ofOperator, ofFloor)
	return nil
}

func (w *world) wakeFloor(ctx context.Context, bare *floor) (time.Duration, error) {
	bare.armed.Store(true)
	took, err := w.wake(ctx, w.servers[0], floorName, floorName)
	return took, errors.Join(err, bare.err())
}

// wakeSleeping waits until a scaler is asleep, which it nearly always is, and wakes it.
func (w *world) wakeSleeping(ctx context.Context, s scaler) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, sleepPatience)
	defer cancel()
	err := await(ctx, s.name+" to fall asleep", func() bool {
		return w.heroku.Quantity(s.app, s.name) == 0 && w.recorder.restsSince(s.name, time.Now().Add(-sleepRest))
	})
	if err != nil {
		return 0, err
	}
	return w.wake(ctx, w.servers[s.server], s.key(), s.name)
}

// wake puts a job into an empty queue and returns how long it took until Heroku was asked to start the
// process type. Then the job is taken away, and there is a rest.
func (w *world) wake(ctx context.Context, on *server, key, processType string) (time.Duration, error) {
	arrival := w.recorder.expect(processType)
	began := time.Now()
	if err := on.client.LPush(ctx, key, job).Err(); err != nil {
		return 0, err
	}
	var took time.Duration
	select {
	case at := <-arrival:
		took = at.Sub(began)
	case <-time.After(wakePatience):
		return 0, fmt.Errorf("a job in %s has not started %s within %s", key, processType, wakePatience)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	if err := on.client.Del(ctx, key).Err(); err != nil {
		return 0, err
	}
	return took, pause(ctx, wakeRest)
}

// job is what Sidekiq puts into a queue.
const job = `{"class":"Job","args":[],"jid":"0123456789abcdef01234567","queue":"default","retry":true,"created_at":1700000000.0,"enqueued_at":1700000000.0}`

func reportWake(out *report, scalers int, operator, floor distribution) {
	p50, p99 := ratio(operator.percentile(50), floor.percentile(50)), ratio(operator.percentile(99), floor.percentile(99))
	row := func(name string, operator, floor time.Duration, aim string) []string {
		return []string{name, milliseconds(operator), milliseconds(floor), figure(ratio(operator, floor)), aim}
	}
	out.table("Wake", fmt.Sprintf(
		"From the LPUSH into an empty queue until Heroku has received the PATCH: %d wakes, %d QueueScalers (type List) on one Redis in turn, "+
			"%s between two wakes; in turn with the floor, which is a push handler that sends the same PATCH and does nothing else.",
		len(operator), scalers, wakeRest),
		[][]string{
			{"", "Operator", "Floor", "Ratio", "Aim"},
			row("p50", operator.percentile(50), floor.percentile(50), aim("at most 2 times the floor", p50 <= 2)),
			row("p99", operator.percentile(99), floor.percentile(99),
				aim("at most 3 times the floor", p99 <= 3)+"; "+aim("at most 50 ms", operator.percentile(99) <= 50*time.Millisecond)),
			row("max", operator.max(), floor.max(), ""),
		})
}
