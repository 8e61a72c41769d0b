package queue

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Asynq's servers tell of themselves, every 5 s:
//
//	asynq:servers            ZSET    keys of the servers by when they expire, seconds since 1970
//	asynq:servers:{<id>}     STRING  protobuf, there while the server lives; field 5 has the queues it serves
const (
	asynqServers      = "asynq:servers"
	asynqServersAsked = 25
	// asynqServerBytes bounds what is read of a server, and asynqServerAge how long one is asked that has
	// expired by our clock.
	asynqServerBytes = 4096
	asynqServerAge   = time.Hour
)

// searchAsynq asks which queues clients have made, and which ones living servers serve.
func searchAsynq(k *known, b *batch) step {
	from := k.search.next.Add(-asynqServerAge).Unix()
	servers := b.byScore(asynqServers, strconv.FormatInt(from, 10), 0, asynqServersAsked)
	register := inRegister(func(Spec) string { return asynqQueues }, "")(k, b)
	return sideBySide([]step{register, func(b *batch) (step, error) {
		var infos []*redis.StringCmd
		for _, server := range servers.Val() {
			if key, _ := server.Member.(string); strings.HasPrefix(key, asynqServers+":{") {
				infos = append(infos, b.beginning(key, asynqServerBytes))
			}
		}
		if len(infos) == 0 {
			return nil, nil
		}
		return func(*batch) (step, error) {
			for _, info := range infos {
				for _, queue := range queuesOfServer([]byte(info.Val())) {
					k.see(queue)
					k.search.add(queue)
				}
			}
			return nil, nil
		}, nil
	}})
}

// queuesOfServer reads the queues from what a server says of itself: entries of field 5, each with the
// name as its field 1. What cannot be understood ends the reading.
func queuesOfServer(info []byte) (queues []string) {
	const queuesField, nameField = 5, 1
	eachField(info, func(field uint64, entry []byte) {
		if field != queuesField {
			return
		}
		eachField(entry, func(field uint64, name []byte) {
			if field == nameField {
				queues = append(queues, string(name))
			}
		})
	})
	return queues
}

// eachField goes through a protobuf message, and hands on its fields of bytes.
func eachField(message []byte, take func(field uint64, value []byte)) {
	const varint, length = 0, 2
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return
		}
		message = message[n:]
		value, n := binary.Uvarint(message)
		if n <= 0 || (tag&7 != varint && tag&7 != length) {
			return
		}
		if message = message[n:]; tag&7 == varint {
			continue
		}
		if value > uint64(len(message)) {
			return
		}
		take(tag>>3, message[:value])
		message = message[value:]
	}
}
