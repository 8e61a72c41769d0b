package redisserver

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slots is the number of parts that a cluster's keys are divided into.
const slots = 16384

// StartClusterT starts a cluster of masters that share all slots, and of as many other nodes: a
// replica of the first master each, or masters without slots.
func StartClusterT(t testing.TB, masters, replicas, spare int) []*Server {
	t.Helper()
	nodes := make([]*Server, masters+replicas+spare)
	for i := range nodes {
		bus, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = StartT(t, Options{Args: []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1500",
			"--cluster-port", strconv.Itoa(bus), "--repl-diskless-sync-delay", "0"}})
		must(t, nodes[i], "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		must(t, nodes[i], "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(nodes[0].port), nodes[0].busPort())
	}
	for i, node := range nodes[:masters] {
		must(t, node, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/masters), strconv.Itoa((i+1)*slots/masters-1))
	}
	for _, node := range nodes {
		await(t, node, "cluster_state:ok", "CLUSTER", "INFO")
		await(t, node, fmt.Sprintf("cluster_known_nodes:%d", len(nodes)), "CLUSTER", "INFO")
	}
	first := must(t, nodes[0], "CLUSTER", "MYID")
	for _, node := range nodes[masters : masters+replicas] {
		must(t, node, "CLUSTER", "REPLICATE", first)
		await(t, node, "master_link_status:up", "INFO", "replication")
	}
	return nodes
}

func (s *Server) busPort() string {
	return s.options.Args[len(s.options.Args)-3]
}

// StartSentinelsT starts sentinels that watch over a primary and its replicas under a name.
func StartSentinelsT(t testing.TB, count int, name string, primary *Server, replicas int) []*Server {
	t.Helper()
	sentinels := make([]*Server, count)
	for i := range sentinels {
		sentinels[i] = StartT(t, Options{Sentinel: true})
		must(t, sentinels[i], "SENTINEL", "MONITOR", name, "127.0.0.1", strconv.Itoa(primary.port), strconv.Itoa(count/2+1))
		must(t, sentinels[i], "SENTINEL", "SET", name, "down-after-milliseconds", "1000", "failover-timeout", "3000")
	}
	for _, sentinel := range sentinels {
		await(t, sentinel, fmt.Sprintf("slaves=%d,sentinels=%d", replicas, count), "INFO", "sentinel")
	}
	return sentinels
}

func must(t testing.TB, s *Server, words ...string) string {
	t.Helper()
	reply, err := s.do(t.Context(), words...)
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return reply
}

// await repeats a command until its reply holds a text.
func await(t testing.TB, s *Server, text string, words ...string) {
	t.Helper()
	const wait, patience = 20 * time.Millisecond, time.Minute
	for deadline := time.Now().Add(patience); ; time.Sleep(wait) {
		reply, err := s.do(t.Context(), words...)
		if err == nil && strings.Contains(reply, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s in %s, %v", text, reply, err)
		}
	}
}
