package queue

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// TestURLQuery has case B04: a database that only the query names was read as database 0.
func TestURLQuery(t *testing.T) {
	for rawURL, want := range map[string]Endpoint{
		"redis://h?db=2":                                    {Addresses: "h:6379", Database: 2},
		"redis://h:1/?db=2":                                 {Addresses: "h:1", Database: 2},
		"redis://h?database=2":                              {Addresses: "h:6379", Database: 2},
		"redis://h?dbindex=2":                               {Addresses: "h:6379", Database: 2},
		"redis://h?DB=2&db=2":                               {Addresses: "h:6379", Database: 2},
		"redis://h/2?db=2":                                  {Addresses: "h:6379", Database: 2},
		"redis://h/0?db=0":                                  {Addresses: "h:6379"},
		"redis://h?password=p%40w&username=u":               {Addresses: "h:6379", Username: "u", Password: "p@w"},
		"redis://u:p@h?password=p":                          {Addresses: "h:6379", Username: "u", Password: "p"},
		"redis://:p@h?username=u":                           {Addresses: "h:6379", Username: "u", Password: "p"},
		"rediss://h?ssl_cert_reqs=none":                     {Addresses: "h:6379", TLS: true},
		"rediss://h?ssl_cert_reqs=CERT_NONE&ssl=true":       {Addresses: "h:6379", TLS: true},
		"redis://h?tls=false":                               {Addresses: "h:6379"},
		"redis://h?family=6&maxRetriesPerRequest=0":         {Addresses: "h:6379"},
		"redis://h?dial_timeout=5s&read-timeout=1&protocol": {Addresses: "h:6379"},
		"rediss://h?ssl[verify_peer]=0&ssl_ca_certs=/x/y":   {Addresses: "h:6379", TLS: true},
	} {
		got, err := ParseEndpoint(rawURL, Settings{})
		if err != nil || got != want {
			t.Errorf("%q: got %#v, %v, want %#v", rawURL, got, err, want)
		}
	}
}

func TestURLQueryRefuses(t *testing.T) {
	const user = "redis://:" + canary + "@h"
	for rawURL, says := range map[string]string{
		user + "/1?db=2":                           "leave one of them out",
		user + "/0?db=2":                           "leave one of them out",
		user + "?db=1&db=2":                        "contradicts",
		user + "?db=1&database=2":                  "contradicts",
		user + "?db=" + canary:                     "parameter db must be a database number",
		user + "?db=":                              "is empty",
		user + "?db=-1":                            "must be a database number",
		user + "?password=other" + canary:          "two passwords",
		"redis://a@h?username=" + canary:           "two users",
		user + "?shard=" + canary:                  "its parameter shard is not known",
		user + "?keyPrefix=" + canary:              "set spec.queue.keyPrefix",
		user + "?prefix=" + canary:                 "set spec.queue.keyPrefix",
		user + "?master_name=" + canary:            "set spec.redis.sentinel.masterName",
		user + "?sentinel_password=" + canary:      "set spec.redis.sentinel.passwordSecretRef",
		user + "?ssl=true":                         "rediss://",
		user + "?tls=perhaps":                      "rediss://",
		"rediss://:" + canary + "@h?ssl=false":     "rediss://",
		user + "?" + canary:                        "what follows its ?",
		user + "?a" + canary + "=b":                "what follows its ?",
		user + "?db=1;shard=" + canary:             "cannot be parsed",
		user + "?db=%zz" + canary:                  "cannot be parsed",
		"unix://:" + canary + "@/tmp/redis.sock":   "socket file",
		"redis+socket:///tmp/" + canary:            "socket file",
		"redis-sentinel://:" + canary + "@h/mine/": "spec.redis.mode",
		"http://:" + canary + "@h":                 "must begin with redis:// or rediss://",
	} {
		_, err := ParseEndpoint(rawURL, Settings{})
		known, ok := errors.AsType[*Error](err)
		if !ok || known.Kind != URLInvalid || !strings.Contains(known.Message, says) {
			t.Errorf("%q: got %v, want %q", rawURL, err, says)
		}
		if strings.Contains(everyPrint(err), canary) {
			t.Errorf("%q: the error tells the secret: %v", rawURL, err)
		}
	}
	if _, err := ParseEndpoint("redis://h?db=1", Settings{Mode: ModeCluster}); err == nil {
		t.Error("a cluster has a database 1")
	}
}

// FuzzURLQuery has no URL read another database than its path and its query agree on, and no message tell
// what is in the URL.
func FuzzURLQuery(f *testing.F) {
	for _, seed := range []string{"db=2", "database=3&db=3", "ssl_cert_reqs=none", "addr=h:1", "a=%zz", "db=1;db=2", "=x", "password=a&auth=b"} {
		f.Add("", seed)
		f.Add("/1", seed)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		got, err := ParseEndpoint("redis://h"+path+"?"+query+"&password="+canary, Settings{})
		if strings.Contains(everyPrint(err), canary) || strings.Contains(everyPrint(got), canary) {
			t.Fatalf("the secret is told: %v %v", got, err)
		}
		if err != nil || strings.ContainsAny(path, "?#") || strings.Contains(query, "#") {
			return
		}
		again, err := ParseEndpoint("redis://h"+path+"?"+query+"&password="+canary, Settings{})
		if err != nil || again != got {
			t.Fatalf("read twice: %v, %v, %v", got, again, err)
		}
		values, err := url.ParseQuery(query)
		if db := values.Get("db"); err != nil || (db != "" && number(db) != got.Database) {
			t.Fatalf("database %d of %q, %v", got.Database, query, err)
		}
	})
}
