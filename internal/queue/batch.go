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
func (b *batch) exec(ctx context.Context, client redis.UniversalClient) error {
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

func (b *batch) firstOf(key string) *redis.StringCmd {
	return ask(b, redis.NewStringCmd(context.Background(), "lindex", key, 0))
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

// window reads a part of a list, whose ends are counted from its end where they are below 0.
func (b *batch) window(key string, from, to int) *redis.StringSliceCmd {
	return ask(b, redis.NewStringSliceCmd(context.Background(), "lrange", key, from, to))
}

func (b *batch) field(key, field string) *redis.StringCmd {
	return ask(b, redis.NewStringCmd(context.Background(), "hget", key, field))
}

func (b *batch) exists(key string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "exists", key))
}

// beginning reads at most so many bytes of a string.
func (b *batch) beginning(key string, bytes int) *redis.StringCmd {
	return ask(b, redis.NewStringCmd(context.Background(), "getrange", key, 0, bytes-1))
}

// listed is 1 if a set has a member.
func (b *batch) listed(key, member string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "sismember", key, member))
}

// randomMembers reads at most so many members of a set.
func (b *batch) randomMembers(key string, count int) *redis.StringSliceCmd {
	return ask(b, redis.NewStringSliceCmd(context.Background(), "srandmember", key, count))
}

// scan goes through a page of the database from a cursor on, and answers the next cursor and the keys of a
// pattern.
func (b *batch) scan(cursor, pattern string, count int) *redis.SliceCmd {
	return ask(b, redis.NewSliceCmd(context.Background(), "scan", cursor, "match", pattern, "count", count))
}

// strings reads several keys: nil for what is no string.
func (b *batch) strings(keys ...string) *redis.SliceCmd {
	args := []any{"mget"}
	for _, key := range keys {
		args = append(args, key)
	}
	return ask(b, redis.NewSliceCmd(context.Background(), args...))
}

func (b *batch) hashSize(key string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "hlen", key))
}

func (b *batch) setSize(key string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "scard", key))
}

func (b *batch) sortedSize(key string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "zcard", key))
}

// lowest reads the member of a sorted set with the lowest score.
func (b *batch) lowest(key string) *redis.ZSliceCmd {
	return ask(b, redis.NewZSliceCmd(context.Background(), "zrange", key, 0, 0, "withscores"))
}

// upTo counts the members of a sorted set with at most this score, "(" before it excluded.
func (b *batch) upTo(key, score string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "zcount", key, "-inf", score))
}

// lowestUpTo reads the first of those.
func (b *batch) lowestUpTo(key, score string, count int) *redis.StringSliceCmd {
	return ask(b, redis.NewStringSliceCmd(context.Background(), "zrangebyscore", key, "-inf", score, "limit", 0, count))
}

func (b *batch) streamLength(key string) *redis.IntCmd {
	return ask(b, redis.NewIntCmd(context.Background(), "xlen", key))
}

func (b *batch) streamGroups(key string) *redis.XInfoGroupsCmd {
	return ask(b, redis.NewXInfoGroupsCmd(context.Background(), key))
}

// firstAfter reads the first entry of a stream after an id.
func (b *batch) firstAfter(key, id string) *redis.XMessageSliceCmd {
	return ask(b, redis.NewXMessageSliceCmd(context.Background(), "xrange", key, "("+id, "+", "count", 1))
}

// longestPending reads the pending entries of a group with the lowest ids.
func (b *batch) longestPending(key, group string, count int) *redis.XPendingExtCmd {
	return ask(b, redis.NewXPendingExtCmd(context.Background(), "xpending", key, group, "-", "+", count))
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
