package v1_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// scaler is the smallest spec in Go.
func scaler() *v1.QueueScaler {
	return &v1.QueueScaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "test-"},
		Spec: v1.QueueScalerSpec{
			Redis: v1.RedisSpec{URLFrom: v1.RedisURLSource{SecretKeyRef: &v1.SecretKeyRef{Name: "redis", Key: "REDIS_URL"}}},
			Queue: v1.QueueSpec{Type: v1.QueueSidekiq},
			Heroku: v1.HerokuSpec{App: "shop-prod", ProcessType: "worker",
				APIKeySecretRef: v1.SecretKeyRef{Name: "heroku", Key: "HEROKU_API_KEY"}},
		},
	}
}

func TestDefaults(t *testing.T) {
	want := sidekiq()
	want["redis"].(fields)["mode"] = "Standalone"
	want["redis"].(fields)["tls"] = fields{"verification": "Full"}
	want["activeQuantity"], want["idleTimeoutSeconds"], want["pollPeriodSeconds"] = int64(1), int64(60), int64(15)
	want["scheduledJobs"], want["driftPolicy"], want["deletionPolicy"] = "Wake", "Enforce", "ScaleUp"
	want["wakeLeadSeconds"], want["drain"] = int64(45), fields{"mode": "None", "timeoutSeconds": int64(300)}

	withTLS := sidekiq()
	withTLS["redis"].(fields)["tls"] = fields{}
	for name, spec := range map[string]fields{"nothing set": sidekiq(), "tls empty": withTLS} {
		t.Run(name, func(t *testing.T) {
			object := object(spec)
			if err := dryRun(t, object); err != nil {
				t.Fatal(err)
			}
			if got := object.Object["spec"]; !reflect.DeepEqual(got, any(want)) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
	t.Run("from Go", func(t *testing.T) {
		got, want := scaler(), scaler().Spec
		if err := dryRun(t, got); err != nil {
			t.Fatal(err)
		}
		want.Redis.Mode, want.Redis.TLS.Verification = v1.RedisStandalone, v1.VerifyFull
		want.ActiveQuantity, want.IdleTimeoutSeconds, want.PollPeriodSeconds = 1, 60, 15
		want.ScheduledJobs, want.DriftPolicy, want.DeletionPolicy = v1.ScheduledJobsWake, v1.DriftEnforce, v1.DeletionScaleUp
		want.WakeLeadSeconds, want.Drain = ptr.To[int32](45), v1.DrainSpec{Mode: v1.DrainNone, TimeoutSeconds: 300}
		if !reflect.DeepEqual(got.Spec, want) {
			t.Errorf("got  %+v\nwant %+v", got.Spec, want)
		}
	})
}

func TestUpdate(t *testing.T) {
	cases := []struct {
		name       string
		change     func(*v1.QueueScalerSpec)
		path, cure string // of the refusal, if there is one
	}{
		{"another app", func(s *v1.QueueScalerSpec) { s.Heroku.App = "shop-staging" }, "", ""},
		{"the app's UUID", func(s *v1.QueueScalerSpec) { s.Heroku.App = uuid }, "", ""},
		{"another process type", func(s *v1.QueueScalerSpec) { s.Heroku.ProcessType = "mailer" }, "", ""},
		{"another queue", func(s *v1.QueueScalerSpec) { s.Queue.Names = []string{"mailers"} }, "", ""},
		{"another job system", func(s *v1.QueueScalerSpec) {
			s.Queue = v1.QueueSpec{Type: v1.QueueList, Names: []string{"jobs"}, MaxJobSeconds: ptr.To(int32(60))}
		}, "", ""},
		{"suspended", func(s *v1.QueueScalerSpec) { s.Suspend = true }, "", ""},
		{"a bad app", func(s *v1.QueueScalerSpec) { s.Heroku.App = "Shop" }, "spec.heroku.app", appCure},
		{"release", func(s *v1.QueueScalerSpec) { s.Heroku.ProcessType = "release" }, "spec.heroku.processType", "name the process type of the workers"},
		{"too many dynos", func(s *v1.QueueScalerSpec) { s.ActiveQuantity = 256 }, "spec.activeQuantity", "less than or equal to 255"},
		{"half another job system", func(s *v1.QueueScalerSpec) { s.Queue.Type, s.Queue.Names = v1.QueueList, []string{"jobs"} }, "spec.queue", needsDone},
		{"a queue twice", func(s *v1.QueueScalerSpec) { s.Queue.Names = []string{"a", "a"} }, "spec.queue.names[1]", "Duplicate value"},
		{"no Redis", func(s *v1.QueueScalerSpec) { s.Redis.URLFrom.SecretKeyRef = nil }, "spec.redis.urlFrom", "set exactly one of secretKeyRef"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			object := created(t, scaler())
			c.change(&object.Spec)
			err := api.Update(t.Context(), object, strict)
			if c.cure != "" {
				wantRefused(t, err, c.path, c.cure)
			} else if err != nil || object.Generation != 2 {
				t.Errorf("generation %d: %v", object.Generation, err)
			}
		})
	}
}

// someStatus has zero where zero is not the same as unknown.
func someStatus() v1.QueueScalerStatus {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	return v1.QueueScalerStatus{
		ObservedGeneration: 1,
		Target:             &v1.Target{AppID: uuid, AppName: "shop-prod", ProcessType: "worker"},
		DesiredQuantity:    ptr.To(int32(0)),
		Quantity:           ptr.To(int32(2)),
		Queue:              &v1.QueueStatus{ObservedTime: now},
		IdleStartTime:      &now,
		Conditions: []metav1.Condition{
			{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonReady, LastTransitionTime: now},
			{Type: v1.ConditionActive, Status: metav1.ConditionFalse, Reason: v1.ReasonIdle, Message: "nothing to do", LastTransitionTime: now},
		},
	}
}

func TestStatusSubresource(t *testing.T) {
	object := scaler()
	object.Status = someStatus()
	created(t, object)
	if !reflect.DeepEqual(object.Status, v1.QueueScalerStatus{}) {
		t.Errorf("a create wrote the status: %+v", object.Status)
	}

	object.Status = someStatus()
	object.Spec.ActiveQuantity = 9
	if err := api.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if object.Spec.ActiveQuantity != 1 || object.Generation != 1 {
		t.Errorf("a status update wrote the spec: %d dynos, generation %d", object.Spec.ActiveQuantity, object.Generation)
	}
	written := object.Status
	if written.DesiredQuantity == nil || *written.DesiredQuantity != 0 || written.Queue == nil || len(written.Conditions) != 2 {
		t.Errorf("the status came back as %+v", written)
	}

	object.Spec.ActiveQuantity = 9
	object.Status = v1.QueueScalerStatus{Quantity: ptr.To(int32(7))}
	if err := api.Update(t.Context(), object, strict); err != nil {
		t.Fatal(err)
	}
	if object.Spec.ActiveQuantity != 9 || object.Generation != 2 || !reflect.DeepEqual(object.Status, written) {
		t.Errorf("a spec update left %d dynos, generation %d and status %+v", object.Spec.ActiveQuantity, object.Generation, object.Status)
	}

	for _, c := range []struct {
		path, cure string
		change     func(*v1.QueueScalerStatus)
	}{
		{"status.conditions[2]", "Duplicate value", func(s *v1.QueueScalerStatus) { s.Conditions = append(s.Conditions, s.Conditions[0]) }},
		{"status.conditions[0].reason", "should be at least 1 chars long", func(s *v1.QueueScalerStatus) { s.Conditions[0].Reason = "" }},
	} {
		bad := object.DeepCopy()
		c.change(&bad.Status)
		wantRefused(t, api.Status().Update(t.Context(), bad), c.path, c.cure)
	}
}

// TestTable checks what kubectl get prints.
func TestTable(t *testing.T) {
	fresh := created(t, scaler())
	asleep := created(t, scaler())
	asleep.Status = someStatus()
	if err := api.Status().Update(t.Context(), asleep); err != nil {
		t.Fatal(err)
	}

	for object, want := range map[*v1.QueueScaler]string{
		fresh:  "shop-prod|worker|<nil>|<nil>|<nil>|<nil>",
		asleep: "shop-prod|worker|0|2|True|Ready",
	} {
		table := tableOf(t, object.Name)
		var columns, cells []string
		for i, column := range table.ColumnDefinitions {
			if column.Priority == 0 {
				columns = append(columns, column.Name)
				cells = append(cells, fmt.Sprint(table.Rows[0].Cells[i]))
			}
		}
		if got := strings.Join(columns, " "); got != "Name App Type Desired Quantity Ready Reason Age" {
			t.Errorf("columns %s", got)
			continue
		}
		if got := strings.Join(cells[1:7], "|"); got != want {
			t.Errorf("printed %s, want %s", got, want)
		}
		if age, err := time.ParseDuration(cells[7]); err != nil || age > time.Minute {
			t.Errorf("age %s", cells[7])
		}
	}
}

func tableOf(t *testing.T, name string) *metav1.Table {
	t.Helper()
	body, err := discovery.NewDiscoveryClientForConfigOrDie(config).RESTClient().Get().
		AbsPath("apis", v1.GroupVersion.String(), "namespaces", namespace, "queuescalers", name).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(body, table); err != nil {
		t.Fatal(err)
	}
	if table.Kind != "Table" || len(table.Rows) != 1 {
		t.Fatalf("a %s with %d rows", table.Kind, len(table.Rows))
	}
	return table
}

// TestDiscovery: the names for kubectl; and no scale subresource, through which an autoscaler would
// fight the operator.
func TestDiscovery(t *testing.T) {
	resources, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerResourcesForGroupVersion(v1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, resource := range resources.APIResources {
		names = append(names, resource.Name)
		if resource.Name == "queuescalers" &&
			(!slices.Equal(resource.ShortNames, []string{"qs"}) || !slices.Equal(resource.Categories, []string{"autoscaling", "heroku"}) || !resource.Namespaced) {
			t.Errorf("short names %v, categories %v, namespaced %v", resource.ShortNames, resource.Categories, resource.Namespaced)
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"queuescalers", "queuescalers/status"}) {
		t.Errorf("resources %v", names)
	}
}

// TestSamples: every object of config/samples is accepted as it is, in a namespace that exists.
func TestSamples(t *testing.T) {
	const directory = "../../config/samples"
	if _, err := os.Stat(directory); errors.Is(err, os.ErrNotExist) {
		t.Skip("there are no samples")
	}
	files, err := filepath.Glob(directory + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	scalers := 0
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, object := range objectsIn(t, file) {
				if object.GetKind() == "QueueScaler" {
					scalers++
				}
				if object.GetNamespace() != "" {
					object.SetNamespace(namespace)
				}
				if err := client.NewNamespacedClient(api, namespace).Create(t.Context(), object, client.DryRunAll, strict); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if scalers == 0 {
		t.Error("config/samples holds no QueueScaler")
	}
}

func objectsIn(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		switch {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatal(err)
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}
