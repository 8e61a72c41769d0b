package queue

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// cluster is a real one, with a client beside the one that is tested.
type cluster struct {
	nodes  []*redisserver.Server
	client *redis.ClusterClient
}

func startCluster(t *testing.T, masters, replicas, spare int) *cluster {
	t.Helper()
	c := &cluster{nodes: redisserver.StartClusterT(t, masters, replicas, spare)}
	c.connect(t, c.nodes[0])
	return c
}

// connect has the client begin anew, with what a node knows.
func (c *cluster) connect(t *testing.T, node *redisserver.Server) {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{node.Addr()}, MaxRedirects: 20})
	t.Cleanup(func() { _ = client.Close() })
	c.client = client
}

func (c *cluster) endpoint(t *testing.T) Endpoint {
	t.Helper()
	return parsed(t, fmt.Sprintf("redis://%s,%s", c.nodes[1].Addr(), c.nodes[0].Addr()), Settings{Mode: ModeCluster})
}

// do runs a command on each of some nodes.
func (c *cluster) do(t *testing.T, words []any, nodes ...*redisserver.Server) {
	t.Helper()
	for _, node := range nodes {
		do(t, clientOf(t, node.URL()), words)
	}
}

func (c *cluster) push(t *testing.T, key string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := c.client.LPush(context.Background(), key, "x").Err()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (c *cluster) empty(t *testing.T, key string, w *watching) {
	t.Helper()
	if err := c.client.Del(context.Background(), key).Err(); err != nil {
		t.Fatal(err)
	}
	see(t, w.hub, "a")
	w.armed(t)
}

// slotOf is the slot of a key, and the index of the master out of three that has it at first.
func (c *cluster) slotOf(t *testing.T, key string) (slot, master int) {
	t.Helper()
	n, err := c.client.ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return int(n), int(n) * 3 / 16384
}

// awaitMaster waits until a node knows that another has slots.
func (c *cluster) awaitMaster(t *testing.T, master, said *redisserver.Server) {
	t.Helper()
	client := clientOf(t, said.URL())
	pattern := regexp.MustCompile(regexp.QuoteMeta(master.Addr()) + `\S* master .* connected \d`)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		nodes := client.ClusterNodes(t.Context()).Val()
		if pattern.MatchString(nodes) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is no master in %s", master.Addr(), nodes)
		}
	}
}

func TestClusterWakes(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, 0, 0)
	var names []string
	for master := range 3 {
		for i := 0; ; i++ {
			name := fmt.Sprintf("jobs:%d", i)
			if _, at := c.slotOf(t, name); at == master {
				names = append(names, name)
				break
			}
		}
	}
	w := watchAt(t, c.endpoint(t), Spec{System: List, Names: names, Period: time.Hour})
	w.armed(t)
	for _, name := range names {
		c.push(t, name)
		w.woken(t)
		c.empty(t, name, w)
	}
	for _, node := range c.nodes {
		list := clientOf(t, node.URL()).ClientList(t.Context()).Val()
		if n := strings.Count(list, "name=queuescaler") - 1; n != 2 { // one is this test's
			t.Errorf("%d connections of %s", n, list)
		}
	}
}

// TestClusterSlotMoves has a queue's slot move to another master while it is watched, and then to one
// that had no slots until then.
func TestClusterSlotMoves(t *testing.T) {
	t.Parallel()
	const key = "{shop}:jobs"
	c := startCluster(t, 3, 0, 1)
	w := watchAt(t, c.endpoint(t), Spec{System: List, Names: []string{key}, ProcessingKeys: []string{"{shop}:taken"}, Period: time.Hour})
	w.armed(t)
	slot, at := c.slotOf(t, key)
	from := c.nodes[at]
	for _, to := range []*redisserver.Server{c.nodes[(at+1)%3], c.nodes[3]} {
		source, target := clientOf(t, from.URL()), clientOf(t, to.URL())
		sourceID, targetID := source.ClusterMyID(t.Context()).Val(), target.ClusterMyID(t.Context()).Val()
		do(t, target, cmd("cluster", "setslot", slot, "importing", sourceID))
		do(t, source, cmd("cluster", "setslot", slot, "migrating", targetID))
		if s := see(t, w.hub, "a"); s.Known() || !strings.Contains(s.Err.Message, "moving keys") {
			t.Errorf("while the keys move: %+v", s)
		}
		c.push(t, key)
		w.woken(t)
		c.do(t, cmd("cluster", "setslot", slot, "node", targetID), to, from)
		c.do(t, cmd("cluster", "setslot", slot, "node", targetID), c.nodes...)
		c.empty(t, key, w)
		c.push(t, key)
		w.woken(t)
		c.empty(t, key, w)
		from = to
	}
}

// TestClusterFailover kills a master, whose replica takes over.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, 1, 0)
	key := ""
	for i := 0; ; i++ {
		key = fmt.Sprintf("{q%d}:jobs", i)
		if _, at := c.slotOf(t, key); at == 0 {
			break
		}
	}
	w := watchAt(t, c.endpoint(t), Spec{System: List, Names: []string{key}, Period: time.Hour})
	w.armed(t)
	if err := c.nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	c.awaitMaster(t, c.nodes[3], c.nodes[1])
	c.connect(t, c.nodes[1]) // go-redis takes a minute to turn away from a node that is gone
	c.push(t, key)
	w.woken(t)
	c.empty(t, key, w)
	c.push(t, key)
	w.woken(t)
}

func TestWrongMode(t *testing.T) {
	c := startCluster(t, 1, 0, 0)
	single := redisserver.StartT(t, redisserver.Options{})
	for url, mode := range map[string]Mode{c.nodes[0].URL(): ModeSentinel, single.URL(): ModeCluster} {
		hub := NewHub(parsed(t, url, Settings{Mode: mode, PrimaryName: "shop"}))
		defer func() { _ = hub.Close() }()
		if err := hub.Watch("a", two, func(bool) {}); err != nil {
			t.Fatal(err)
		}
		if s := see(t, hub, "a"); s.Known() {
			t.Errorf("%+v", s)
		} else {
			t.Log(s.Err)
		}
	}
}
