package v1_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// secretRefs are the fields that name a Secret and a key in it.
var secretRefs = []string{"spec.redis.urlFrom.secretKeyRef", "spec.redis.tls.caSecretRef", "spec.heroku.apiKeySecretRef"}

// distinct makes n strings that differ.
func distinct(n int) []any {
	values := make([]any, n)
	for i := range values {
		values[i] = fmt.Sprintf("queue-%d", i)
	}
	return values
}

func letters(n int) string { return strings.Repeat("a", n) }

const (
	uuid      = "01234567-89ab-cdef-0123-456789abcdef"
	needsDone = "exactly one of list.processingKeys and maxJobSeconds"
	appCure   = "must be the name of a Heroku app (3 to 30 lower case letters, digits and dashes, beginning with a letter) or its UUID in lower case"
	typeCure  = "must be a process type of the app's Procfile: letters, digits, '-' and '_'"
)

// fieldCase sets one field of a valid object.
type fieldCase struct {
	path  string
	value any
	cure  string // of the refusal; empty where the value is accepted
	at    string // the path that the refusal names, where it is another
}

func checkFields(t *testing.T, spec func() fields, cases []fieldCase) {
	for _, c := range cases {
		name := fmt.Sprintf("%s=%v", c.path, c.value)
		if len(name) > 100 {
			name = fmt.Sprintf("%s… (%d bytes)", name[:100], len(name))
		}
		t.Run(name, func(t *testing.T) {
			object := object(spec())
			set(t, object, c.path, c.value)
			err := dryRun(t, object)
			switch {
			case c.cure == "" && err != nil:
				t.Error(err)
			case c.cure != "" && c.at != "":
				wantRefused(t, err, c.at, c.cure)
			case c.cure != "":
				wantRefused(t, err, c.path, c.cure)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	var cases []fieldCase
	for path, most := range map[string]int64{"spec.activeQuantity": 255, "spec.idleTimeoutSeconds": 86400, "spec.pollPeriodSeconds": 300} {
		cases = append(cases,
			fieldCase{path: path, value: int64(-1), cure: "should be greater than or equal to 1"},
			fieldCase{path: path, value: int64(0), cure: "should be greater than or equal to 1"},
			fieldCase{path: path, value: int64(1)},
			fieldCase{path: path, value: most},
			fieldCase{path: path, value: most + 1, cure: fmt.Sprintf("should be less than or equal to %d", most)},
			fieldCase{path: path, value: int64(1) << 32, cure: fmt.Sprintf("should be less than or equal to %d", most)},
			fieldCase{path: path, value: nil}, // the default
		)
	}
	cases = append(cases,
		fieldCase{path: "spec.wakeLeadSeconds", value: int64(-1), cure: "should be greater than or equal to 0"},
		fieldCase{path: "spec.wakeLeadSeconds", value: int64(0)},
		fieldCase{path: "spec.wakeLeadSeconds", value: int64(3600)},
		fieldCase{path: "spec.wakeLeadSeconds", value: int64(3601), cure: "should be less than or equal to 3600"},
		fieldCase{path: "spec.queue.mayBeAbsent", value: true},
		fieldCase{path: "spec.suspend", value: true},
		fieldCase{path: "spec.suspend", value: false},
		fieldCase{path: "spec.queue.keyPrefix", value: ""},
		fieldCase{path: "spec.queue.keyPrefix", value: letters(256)},
		fieldCase{path: "spec.queue.keyPrefix", value: letters(257), cure: "may not be more than 256 bytes"},
		fieldCase{path: "spec.queue.names", value: []any{}},
		fieldCase{path: "spec.queue.names", value: distinct(64)},
		fieldCase{path: "spec.queue.names", value: distinct(65), cure: "must have at most 64 items"},
		fieldCase{path: "spec.queue.names", value: []any{"a", "A", letters(256)}},
		fieldCase{path: "spec.queue.names", value: []any{"a", letters(257)}, at: "spec.queue.names[1]", cure: "may not be more than 256 bytes"},
		fieldCase{path: "spec.queue.names", value: []any{"a", ""}, at: "spec.queue.names[1]", cure: "should be at least 1 chars long"},
		fieldCase{path: "spec.queue.names", value: []any{"a", "b", "a"}, at: "spec.queue.names[2]", cure: `Duplicate value: "a"`},
	)
	checkFields(t, sidekiq, cases)
}

func TestScheduleRules(t *testing.T) {
	window := func(changes fields) []any {
		schedule := fields{"name": "office", "cron": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "durationSeconds": int64(36000)}
		for key, value := range changes {
			schedule[key] = value
		}
		return []any{schedule}
	}
	const path, cronCure = "spec.schedules", "must be a cron expression of five fields"
	cases := []fieldCase{
		{path: path, value: []any{}},
		{path: path, value: append(window(nil), window(nil)...), at: path + "[1]", cure: "Duplicate value"},
		{path: path, value: []any{fields{"name": "a", "cron": "@daily"}}, at: path + "[0].durationSeconds", cure: "Required value"},
		{path: path, value: window(fields{"name": "Office hours"}), at: path + "[0].name", cure: "must be lower case letters, digits and '-'"},
		{path: path, value: window(fields{"timeZone": ""}), at: path + "[0].timeZone", cure: "should be at least 1 chars long"},
		{path: path, value: window(fields{"durationSeconds": int64(59)}), at: path + "[0].durationSeconds", cure: "should be greater than or equal to 60"},
		{path: path, value: window(fields{"durationSeconds": int64(604801)}), at: path + "[0].durationSeconds", cure: "should be less than or equal to 604800"},
	}
	for _, cron := range []string{"0 8 * * 1-5", "*/15 0,12 1 JAN MON", "@daily", "@hourly", "0  8\t* * *"} {
		cases = append(cases, fieldCase{path: path, value: window(fields{"cron": cron})})
	}
	for _, cron := range []string{"", "daily", "@every 1h", "@reboot", "0 8 * *", "0 0 8 * * 1", "TZ=UTC 0 8 * * 1", "CRON_TZ=UTC @daily", "0 8 * * 1 "} {
		cases = append(cases, fieldCase{path: path, value: window(fields{"cron": cron}), at: path + "[0].cron", cure: cronCure})
	}
	checkFields(t, sidekiq, cases)
}

func TestDrainRules(t *testing.T) {
	checkFields(t, sidekiq, []fieldCase{
		{path: "spec.drain", value: fields{}},
		{path: "spec.drain", value: fields{"mode": "Quiet"}},
		{path: "spec.drain", value: fields{"mode": "Quiet", "processTag": letters(256), "timeoutSeconds": int64(30)}},
		{path: "spec.drain.mode", value: "quiet", cure: `supported values: "None", "Quiet"`},
		{path: "spec.drain.processTag", value: letters(257), cure: "may not be more than 256 bytes"},
		{path: "spec.drain.timeoutSeconds", value: int64(29), cure: "should be greater than or equal to 30"},
		{path: "spec.drain.timeoutSeconds", value: int64(86401), cure: "should be less than or equal to 86400"},
	})
	keyed := func() fields {
		spec := list()
		spec["queue"].(fields)["maxJobSeconds"] = int64(60)
		return spec
	}
	checkFields(t, keyed, []fieldCase{
		{path: "spec.drain.mode", value: "None"},
		{path: "spec.drain.mode", value: "Quiet", cure: "mode Quiet is for queues of type Sidekiq"},
	})
}

func TestEnums(t *testing.T) {
	supported := func(values string) string { return "supported values: " + values }
	checkFields(t, sidekiq, []fieldCase{
		{path: "spec.redis.tls.verification", value: "Full"},
		{path: "spec.redis.tls.verification", value: "CAOnly"},
		{path: "spec.redis.tls.verification", value: "None"},
		{path: "spec.redis.tls.verification", value: "none", cure: supported(`"Full", "CAOnly", "None"`)},
		{path: "spec.redis.tls.verification", value: "", cure: supported(`"Full", "CAOnly", "None"`)},
		{path: "spec.queue.type", value: "Sidekiq"},
		{path: "spec.queue.type", value: "sidekiq", cure: supported(`"Sidekiq", "List", "SortedSet", `)},
		{path: "spec.queue.type", value: "", cure: supported(`"Sidekiq", "List", "SortedSet", `)},
		{path: "spec.scheduledJobs", value: "Wake"},
		{path: "spec.scheduledJobs", value: "Ignore"},
		{path: "spec.scheduledJobs", value: "Sleep", cure: supported(`"Wake", "Ignore"`)},
		{path: "spec.driftPolicy", value: "Enforce"},
		{path: "spec.driftPolicy", value: "Report"},
		{path: "spec.driftPolicy", value: "Ignore", cure: supported(`"Enforce", "Report"`)},
		{path: "spec.deletionPolicy", value: "ScaleUp"},
		{path: "spec.deletionPolicy", value: "Retain"},
		{path: "spec.deletionPolicy", value: "Delete", cure: supported(`"ScaleUp", "Retain"`)},
	})
}

func TestHerokuRules(t *testing.T) {
	const sizeCure, variableCure = "must be the name of a dyno size", "must be the name of a config var"
	var cases []fieldCase
	for _, size := range []string{"standard-2x", "Performance-L-RAM", "eco", "1X"} {
		cases = append(cases, fieldCase{path: "spec.heroku.dynoSize", value: size})
	}
	for _, size := range []string{"standard 2x", "-", "standard-", "standard_2x", "größer"} {
		cases = append(cases, fieldCase{path: "spec.heroku.dynoSize", value: size, cure: sizeCure})
	}
	for _, name := range []string{"REDIS_URL", "_a", "a1"} {
		cases = append(cases, fieldCase{path: "spec.redis.urlFrom", value: fields{"herokuConfigVar": fields{"name": name}}})
	}
	for _, name := range []string{"", "1A", "REDIS-URL", "A B", "Ä"} {
		cases = append(cases, fieldCase{path: "spec.redis.urlFrom", value: fields{"herokuConfigVar": fields{"name": name}},
			at: "spec.redis.urlFrom.herokuConfigVar.name", cure: variableCure})
	}
	both := fields{"herokuConfigVar": fields{"name": "A"}, "secretKeyRef": fields{"name": "a", "key": "A"}}
	cases = append(cases, fieldCase{path: "spec.redis.urlFrom", value: both, cure: "set exactly one of"})
	checkFields(t, sidekiq, cases)
}

func TestRequired(t *testing.T) {
	var cases []fieldCase
	for _, path := range []string{"spec", "spec.redis", "spec.redis.urlFrom", "spec.queue", "spec.queue.type",
		"spec.heroku", "spec.heroku.app", "spec.heroku.processType", "spec.heroku.apiKeySecretRef"} {
		cases = append(cases, fieldCase{path: path, value: absent, cure: "Required value"})
	}
	for _, ref := range secretRefs {
		cases = append(cases,
			fieldCase{path: ref, value: fields{"name": "a"}, at: ref + ".key", cure: "Required value"},
			fieldCase{path: ref, value: fields{"key": "a"}, at: ref + ".name", cure: "Required value"})
	}
	checkFields(t, sidekiq, cases)
}

func TestTypes(t *testing.T) {
	wrong := map[string][]any{
		"string":  {int64(1), true, []any{"a"}, fields{}},
		"integer": {"1", 1.5, true, []any{int64(1)}},
		"boolean": {"true", int64(1)},
		"array":   {"a", int64(1), fields{}},
		"object":  {"a", int64(1), []any{}},
	}
	paths := map[string][]string{
		"string": {"spec.redis.tls.verification", "spec.queue.type", "spec.queue.keyPrefix", "spec.heroku.app", "spec.heroku.processType",
			"spec.heroku.dynoSize", "spec.scheduledJobs", "spec.driftPolicy", "spec.deletionPolicy"},
		"integer": {"spec.activeQuantity", "spec.idleTimeoutSeconds", "spec.pollPeriodSeconds", "spec.queue.maxJobSeconds"},
		"boolean": {"spec.suspend", "spec.queue.mayBeAbsent"},
		"array":   {"spec.queue.names", "spec.queue.list.processingKeys"},
		"object":  {"spec", "spec.redis", "spec.redis.urlFrom", "spec.redis.tls", "spec.queue", "spec.queue.list", "spec.heroku"},
	}
	for _, ref := range secretRefs {
		paths["object"] = append(paths["object"], ref)
		paths["string"] = append(paths["string"], ref+".name", ref+".key")
	}
	var cases []fieldCase
	for kind, of := range paths {
		for _, path := range of {
			for _, value := range wrong[kind] {
				cure := "must be of type " + kind
				if kind == "integer" && value == true {
					cure = "must be of type int32" // the API server names the format to a boolean
				}
				cases = append(cases, fieldCase{path: path, value: value, cure: cure})
			}
		}
	}
	cases = append(cases,
		fieldCase{path: "spec.queue.names", value: []any{int64(1)}, at: "spec.queue.names[0]", cure: "must be of type string"},
		fieldCase{path: "spec.queue.list.processingKeys", value: []any{int64(1)}, at: "spec.queue.list.processingKeys[0]", cure: "must be of type string"})
	checkFields(t, sidekiq, cases)
}

func TestSecretRefs(t *testing.T) {
	var cases []fieldCase
	for _, ref := range secretRefs {
		good := func(name, key string) {
			cases = append(cases, fieldCase{path: ref, value: fields{"name": name, "key": key}})
		}
		badName := func(name, cure string) {
			cases = append(cases, fieldCase{path: ref, value: fields{"name": name, "key": "a"}, at: ref + ".name", cure: cure})
		}
		badKey := func(key, cure string) {
			cases = append(cases, fieldCase{path: ref, value: fields{"name": "a", "key": key}, at: ref + ".key", cure: cure})
		}
		good("a", "a")
		good("shop-redis.v1", "_REDIS.url-1")
		good(letters(253), letters(253))
		badName("", "should be at least 1 chars long")
		badName(letters(254), "may not be more than 253 bytes")
		for _, name := range []string{"Redis", "red_is", "-redis", "redis-", ".redis", "redis.", "shop/redis", "redis\n"} {
			badName(name, "must be the name of a Secret: lower case letters, digits, '-' and '.'")
		}
		badKey("", "should be at least 1 chars long")
		badKey(letters(254), "may not be more than 253 bytes")
		for _, key := range []string{"REDIS URL", "a/b", "a:b", "a\n", "ä"} {
			badKey(key, "must be a key of a Secret: letters, digits, '-', '_' and '.'")
		}
	}
	checkFields(t, sidekiq, cases)
}

func TestHeroku(t *testing.T) {
	var cases []fieldCase
	for _, app := range []string{"abc", "a-1", "shop--prod", letters(30), uuid, "ffffffff-ffff-ffff-ffff-ffffffffffff"} {
		cases = append(cases, fieldCase{path: "spec.heroku.app", value: app})
	}
	for _, app := range []string{"", "ab", letters(31), letters(36), "Shop", "1shop", "shop-", "-shop", "shop_prod", "shop.prod", "shop prod", "shop\n",
		"../../account", "shop/../x", "shöp", strings.ToUpper(uuid), uuid[:35], "g" + uuid[1:], strings.ReplaceAll(uuid, "-", "")} {
		cases = append(cases, fieldCase{path: "spec.heroku.app", value: app, cure: appCure})
	}
	cases = append(cases, fieldCase{path: "spec.heroku.app", value: uuid + "0", cure: "may not be more than 36 bytes"})
	for _, processType := range []string{"worker", "w", "-", "_", "Worker-2_b", "release2", "Release", letters(128)} {
		cases = append(cases, fieldCase{path: "spec.heroku.processType", value: processType})
	}
	for _, processType := range []string{"", "web.1", "worker ", "work/er", "../formation", "wörker", "worker\n", "worker:2"} {
		cases = append(cases, fieldCase{path: "spec.heroku.processType", value: processType, cure: typeCure})
	}
	cases = append(cases,
		fieldCase{path: "spec.heroku.processType", value: letters(129), cure: "may not be more than 128 bytes"},
		fieldCase{path: "spec.heroku.processType", value: "release", cure: "cannot be scaled: name the process type of the workers"},
		fieldCase{path: "spec.heroku.processType", value: "web", cure: "or set spec.heroku.allowWeb to true"},
		fieldCase{path: "spec.heroku.processType", value: "Web"},
		fieldCase{path: "spec.heroku.processType", value: "webhooks"},
		fieldCase{path: "spec.heroku.allowWeb", value: true})
	checkFields(t, sidekiq, cases)
}

func TestWeb(t *testing.T) {
	web := func() fields {
		spec := sidekiq()
		spec["heroku"].(fields)["processType"], spec["heroku"].(fields)["allowWeb"] = "web", true
		return spec
	}
	const cure = "web serves the app's requests"
	checkFields(t, web, []fieldCase{
		{path: "spec.suspend", value: false},
		{path: "spec.heroku.allowWeb", value: false, at: "spec.heroku.processType", cure: cure},
		{path: "spec.heroku.allowWeb", value: nil, at: "spec.heroku.processType", cure: cure},
		{path: "spec.heroku.allowWeb", value: "yes", cure: "must be of type boolean"},
	})
}

func TestRedisRules(t *testing.T) {
	ca := fields{"name": "authorities", "key": "ca.crt"}
	const noCA = "remove it, or set verification to Full or CAOnly"
	checkFields(t, sidekiq, []fieldCase{
		{path: "spec.redis.urlFrom", value: fields{}, cure: "set exactly one of secretKeyRef (the Secret, and the key in it, that holds the Redis URL) and herokuConfigVar"},
		{path: "spec.redis.urlFrom.secretKeyRef", value: nil, at: "spec.redis.urlFrom", cure: "set exactly one of secretKeyRef"},
		{path: "spec.redis.tls", value: fields{}},
		{path: "spec.redis.mode", value: "Standalone"},
		{path: "spec.redis.mode", value: "Cluster"},
		{path: "spec.redis.mode", value: "Proxy", cure: `supported values: "Standalone", "Cluster", "Sentinel"`},
		{path: "spec.redis.mode", value: "Sentinel", at: "spec.redis.sentinel", cure: "mode Sentinel needs sentinel.masterName"},
		{path: "spec.redis.sentinel", value: fields{"masterName": "mymaster"}, cure: "remove it, or set mode to Sentinel"},
		{path: "spec.redis.tls", value: fields{"clientCertificateSecretRef": fields{"name": "redis-client"}, "verification": "None"}},
		{path: "spec.redis.tls", value: fields{"clientCertificateSecretRef": fields{}}, at: "spec.redis.tls.clientCertificateSecretRef.name", cure: "Required value"},
		{path: "spec.redis.tls", value: fields{"clientCertificateSecretRef": fields{"name": "Redis"}}, at: "spec.redis.tls.clientCertificateSecretRef.name", cure: "must be the name of a Secret"},
		{path: "spec.redis.tls", value: fields{"caSecretRef": ca}},
		{path: "spec.redis.tls", value: fields{"caSecretRef": ca, "verification": "Full"}},
		{path: "spec.redis.tls", value: fields{"caSecretRef": ca, "verification": "CAOnly"}},
		{path: "spec.redis.tls", value: fields{"caSecretRef": ca, "verification": "None"}, cure: noCA},
	})
}

func TestSentinelRules(t *testing.T) {
	spec := func() fields {
		spec := sidekiq()
		spec["redis"].(fields)["mode"] = "Sentinel"
		spec["redis"].(fields)["sentinel"] = fields{"masterName": "mymaster", "passwordSecretRef": fields{"name": "sentinels", "key": "password"}}
		return spec
	}
	checkFields(t, spec, []fieldCase{
		{path: "spec.suspend", value: true},
		{path: "spec.redis.sentinel.passwordSecretRef", value: nil},
		{path: "spec.redis.sentinel.passwordSecretRef", value: fields{"name": "sentinels"}, at: "spec.redis.sentinel.passwordSecretRef.key", cure: "Required value"},
		{path: "spec.redis.sentinel.masterName", value: nil, cure: "Required value"},
		{path: "spec.redis.sentinel.masterName", value: "", cure: "should be at least 1 chars long"},
		{path: "spec.redis.sentinel.masterName", value: letters(257), cure: "may not be more than 256 bytes"},
		{path: "spec.redis.mode", value: "Cluster", at: "spec.redis.sentinel", cure: "remove it, or set mode to Sentinel"},
		{path: "spec.redis.mode", value: nil, at: "spec.redis.sentinel", cure: "remove it, or set mode to Sentinel"},
	})
}

func TestQueueRules(t *testing.T) {
	keys := fields{"processingKeys": []any{"taken"}}
	checkFields(t, sidekiq, []fieldCase{
		{path: "spec.queue.list", value: keys, cure: "list belongs to type List: remove it"},
		{path: "spec.queue.maxJobSeconds", value: int64(60), cure: "maxJobSeconds belongs to types List, SortedSet and Celery"},
		{path: "spec.queue.stream", value: fields{"group": "g"}, cure: "type Stream, and no other, needs stream"},
	})
	const path = "spec.queue.list.processingKeys"
	checkFields(t, list, []fieldCase{
		{path: "spec.suspend", value: true, at: "spec.queue", cure: needsDone}, // and nothing says when jobs are done
		{path: "spec.queue.list", value: fields{}, at: path, cure: "Required value"},
		{path: path, value: []any{}, cure: "should have at least 1 items"},
		{path: path, value: distinct(64)},
		{path: path, value: distinct(65), cure: "must have at most 64 items"},
		{path: path, value: []any{"a", "A", letters(256)}},
		{path: path, value: []any{letters(257)}, at: path + "[0]", cure: "may not be more than 256 bytes"},
		{path: path, value: []any{""}, at: path + "[0]", cure: "should be at least 1 chars long"},
		{path: path, value: []any{"a", "a"}, at: path + "[1]", cure: `Duplicate value: "a"`},
		{path: "spec.queue.maxJobSeconds", value: int64(0), cure: "should be greater than or equal to 1"},
		{path: "spec.queue.maxJobSeconds", value: int64(1)},
		{path: "spec.queue.maxJobSeconds", value: int64(604800)},
		{path: "spec.queue.maxJobSeconds", value: int64(604801), cure: "should be less than or equal to 604800"},
	})
	both := func() fields {
		spec := list()
		spec["queue"].(fields)["maxJobSeconds"] = int64(60)
		return spec
	}
	const needsNames = "names is needed for every type but Sidekiq"
	checkFields(t, both, []fieldCase{
		{path: "spec.queue.list", value: keys, at: "spec.queue", cure: needsDone},
		{path: "spec.queue.names", value: absent, cure: needsNames},
		{path: "spec.queue.names", value: []any{}, cure: needsNames},
		{path: "spec.queue.names", value: []any{"a", "a"}, at: "spec.queue.names[1]", cure: `Duplicate value: "a"`},
	})
}

// typed is the smallest spec of a type that needs nothing but names, and more.
func typed(queueType string, more fields) func() fields {
	return func() fields {
		spec := sidekiq()
		queue := spec["queue"].(fields)
		queue["type"], queue["names"] = queueType, []any{"jobs"}
		maps.Copy(queue, runtime.DeepCopyJSON(more))
		return spec
	}
}

func TestRulesOfEveryType(t *testing.T) {
	specs := map[string]func() fields{
		"SortedSet": typed("SortedSet", fields{"maxJobSeconds": int64(60)}),
		"Stream":    typed("Stream", fields{"stream": fields{"group": "g"}}),
		"BullMQ":    typed("BullMQ", nil),
		"Bull":      typed("Bull", nil),
		"Asynq":     typed("Asynq", nil),
		"RQ":        typed("RQ", nil),
		"Celery":    typed("Celery", fields{"celery": fields{"acknowledgement": "Late"}}),
		"Resque":    typed("Resque", nil),
	}
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			checkFields(t, spec, []fieldCase{
				{path: "spec.queue.names", value: distinct(64)},
				{path: "spec.queue.names", value: absent, cure: "names is needed for every type but Sidekiq"},
				{path: "spec.queue.names", value: []any{}, cure: "names is needed for every type but Sidekiq"},
				{path: "spec.queue.list", value: fields{"processingKeys": []any{"taken"}}, cure: "list belongs to type List: remove it"},
				{path: "spec.drain.mode", value: "Quiet", cure: "mode Quiet is for queues of type Sidekiq"},
			})
			if name != "Stream" {
				checkFields(t, spec, []fieldCase{{path: "spec.queue.stream", value: fields{"group": "g"}, cure: "or remove stream"}})
			}
			if name != "Celery" {
				checkFields(t, spec, []fieldCase{{path: "spec.queue.celery", value: fields{"acknowledgement": "Late"}, cure: "or remove celery"}})
			}
			if name != "SortedSet" && name != "Celery" {
				checkFields(t, spec, []fieldCase{{path: "spec.queue.maxJobSeconds", value: int64(60), cure: "since Redis shows the running jobs"}})
			}
		})
	}
	const path = "spec.queue.stream"
	checkFields(t, specs["Stream"], []fieldCase{
		{path: path, value: absent, cure: "set stream.group to the consumer group of the workers"},
		{path: path, value: fields{}, at: path + ".group", cure: "Required value"},
		{path: path + ".group", value: "", cure: "should be at least 1 chars long"},
		{path: path + ".group", value: letters(257), cure: "may not be more than 256 bytes"},
		{path: path + ".claimIdleSeconds", value: int64(0), cure: "should be greater than or equal to 1"},
		{path: path + ".claimIdleSeconds", value: int64(604800)},
		{path: path + ".claimIdleSeconds", value: int64(604801), cure: "should be less than or equal to 604800"},
	})
	checkFields(t, specs["SortedSet"], []fieldCase{
		{path: "spec.queue.maxJobSeconds", value: absent, cure: "type SortedSet needs maxJobSeconds"},
	})
	checkFields(t, specs["Asynq"], []fieldCase{
		{path: "spec.queue.keyPrefix", value: ""},
		{path: "spec.queue.keyPrefix", value: "shop:", cure: "remove keyPrefix"},
	})
	checkFields(t, specs["RQ"], []fieldCase{
		{path: "spec.queue.keyPrefix", value: ""},
		{path: "spec.queue.keyPrefix", value: "shop:", cure: "remove keyPrefix"},
	})
	checkCeleryRules(t, specs["Celery"])
	checkFields(t, specs["Resque"], []fieldCase{{path: "spec.queue.keyPrefix", value: "resque:shop:"}})
	checkFields(t, specs["BullMQ"], []fieldCase{{path: "spec.queue.keyPrefix", value: "shop:"}})
}

func checkCeleryRules(t *testing.T, late func() fields) {
	t.Helper()
	const path, needsLongest = "spec.queue.celery", "acknowledgement Early, and no other, needs maxJobSeconds"
	checkFields(t, late, []fieldCase{
		{path: path, value: absent, cure: "set celery.acknowledgement to Late"},
		{path: path, value: fields{}, at: path + ".acknowledgement", cure: "Required value"},
		{path: path + ".acknowledgement", value: "late", cure: `supported values: "Early", "Late"`},
		{path: path + ".acknowledgement", value: "Early", at: "spec.queue.maxJobSeconds", cure: needsLongest},
		{path: "spec.queue.maxJobSeconds", value: int64(60), cure: needsLongest},
		{path: path + ".visibilityTimeoutSeconds", value: int64(0), cure: "should be greater than or equal to 1"},
		{path: path + ".visibilityTimeoutSeconds", value: int64(604800)},
		{path: path + ".visibilityTimeoutSeconds", value: int64(604801), cure: "should be less than or equal to 604800"},
		{path: "spec.queue.keyPrefix", value: "shop:"},
	})
	early := typed("Celery", fields{"celery": fields{"acknowledgement": "Early"}, "maxJobSeconds": int64(60)})
	checkFields(t, early, []fieldCase{
		{path: "spec.queue.maxJobSeconds", value: int64(1)},
		{path: "spec.queue.maxJobSeconds", value: absent, cure: needsLongest},
	})
}

// TestUnknownFields: a field that is misspelt is refused, at every level.
func TestUnknownFields(t *testing.T) {
	for _, parent := range []string{"", "spec", "spec.redis", "spec.redis.urlFrom", "spec.redis.urlFrom.secretKeyRef", "spec.redis.tls",
		"spec.queue", "spec.queue.list", "spec.heroku", "spec.heroku.apiKeySecretRef"} {
		path := strings.TrimPrefix(parent+".replicas", ".")
		t.Run(path, func(t *testing.T) {
			object := object(list())
			if err := unstructured.SetNestedStringSlice(object.Object, []string{"taken"}, "spec", "queue", "list", "processingKeys"); err != nil {
				t.Fatal(err)
			}
			set(t, object, path, int64(1))
			err := dryRun(t, object)
			if want := fmt.Sprintf("unknown field %q", path); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("want %s: %v", want, err)
			}
		})
	}
}
