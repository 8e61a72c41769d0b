package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// batch collects the commands of one round trip. Owners that ask the same question share its answer.
type batch struct {
	commands map[string]redis.Cmder
	order    []redis.Cmder
}

func newBatch() *batch { return &batch{commands: map[string]redis.Cmder{}} }

// ask adds a command, or returns the equal one that is there already.
func ask[C redis.Cmder](b *batch, command C) C {
	id := commandID(command)
	if known, ok := b.commands[id]; ok {
		return known.(C)
	}
	b.commands[id] = command
	b.order = append(b.order, command)
	return command
}

func commandID(command redis.Cmder) string {
	var id []byte
	for _, arg := range command.Args() {
		text, ok := arg.(string)
		if !ok {
			text = fmt.Sprint(arg)
		}
		id = strconv.AppendInt(id, int64(len(text)), 10)
		id = append(append(id, ':'), text...)
	}
	return string(id)
}

var errUnanswered = errors.New("redis did not answer TIME")

// exec sends the commands in one pipeline. The error is of the connection; each command keeps the
// error reply it got. To tell them apart a TIME goes along, which no key can spoil: go-redis leaves
// the commands without any error and with empty results if a reply refused the connection, a wrong
// password say.
func (b *batch) exec(ctx context.Context, client *redis.Client) error {
	if len(b.order) == 0 {
		return nil
	}
	clock := b.time()
	commandsTotal.Add(int64(len(b.order)))
	pipe := client.Pipeline()
	for _, command := range b.order {
		_ = pipe.Process(ctx, command)
	}
	_, err := pipe.Exec(ctx)
	if clock.Val().IsZero() {
		return cmp.Or(clock.Err(), err, errUnanswered)
	}
	for _, command := range b.order {
		if err := command.Err(); err != nil && !isReply(err) {
			return err
		}
	}
	return nil
}

// isReply says whether an error is a reply of Redis to the command.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// The commands in use. All of them only read.

func (b *batch) llen(key string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "llen", key))
}

func (b *batch) lastOf(key string) *redis.StringCmd {
	return ask(b, redis.NewStringCmd(context.Background(), "lindex", key, -1))
}

func (b *batch) get(key string) *redis.StringCmd {
	return ask(b, redis.NewStringCmd(context.Background(), "get", key))
}

func (b *batch) members(key string) *redis.StringSliceCmd {
	return ask(b, redis.NewStringSliceCmd(context.Background(), "smembers", key))
}

func (b *batch) values(key string) *redis.StringSliceCmd {
	return ask(b, redis.NewStringSliceCmd(context.Background(), "hvals", key))
}

func (b *batch) fields(key string, fields ...any) *redis.SliceCmd {
	return ask(b, redis.NewSliceCmd(context.Background(), append([]any{"hmget", key}, fields...)...))
}

// ttl is in milliseconds: -2 no such key, -1 no expiry.
func (b *batch) ttl(key string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "pttl", key))
}

func (b *batch) time() *redis.TimeCmd {
	return ask(b, redis.NewTimeCmd(context.Background(), "time"))
}

func (b *batch) role() *redis.SliceCmd {
	return ask(b, redis.NewSliceCmd(context.Background(), "role"))
}

// byScore reads a page of a sorted set, from a score on.
func (b *batch) byScore(key, from string, skip, count int) *redis.ZSliceCmd {
	return ask(b, redis.NewZSliceCmd(context.Background(),
		"zrangebyscore", key, from, "+inf", "withscores", "limit", skip, count))
}

// failure is a command's error as an *Error, or nil. A missing key or field is no error.
func failure(command redis.Cmder) error {
	err := command.Err()
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	key := ""
	if args := command.Args(); len(args) > 1 {
		key = fmt.Sprint(args[1])
	}
	return classify(err, key)
}

// firstFailure is the first error among commands.
func firstFailure(commands ...redis.Cmder) error {
	for _, command := range commands {
		if err := failure(command); err != nil {
			return err
		}
	}
	return nil
}
