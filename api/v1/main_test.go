package v1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

const (
	crdDirectory = "../../config/crd/bases"
	namespace    = "default"
	strict       = client.FieldValidation(metav1.FieldValidationStrict)
)

var (
	config *rest.Config
	api    client.Client
)

// TestMain runs all tests against one API server that has the CRD.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		return 0, fmt.Errorf("these tests need a kube-apiserver and etcd, and KUBEBUILDER_ASSETS does not say where they are: run `make test`")
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{crdDirectory},
		ErrorIfCRDPathMissing: true,
		BinaryAssetsDirectory: assets,
	}
	defer func() { // also after half a start
		if err := environment.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "the API server did not stop:", err)
		}
	}()
	var err error
	if config, err = environment.Start(); err != nil {
		return 0, fmt.Errorf("cannot start an API server from KUBEBUILDER_ASSETS=%s: run `make test`: %w", assets, err)
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			return 0, err
		}
	}
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// TestInputs reads once more what TestMain read: go test notices only what a test reads, and would
// otherwise answer from its cache after the CRD changed.
func TestInputs(t *testing.T) {
	crds, err := filepath.Glob(crdDirectory + "/*.yaml")
	if err != nil || len(crds) == 0 || os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatalf("no CRD, or no assets: %v", err)
	}
	for _, crd := range crds {
		if _, err := os.ReadFile(crd); err != nil {
			t.Error(err)
		}
	}
}

type fields = map[string]any

// sidekiq is the smallest spec.
func sidekiq() fields {
	return fields{
		"redis":  fields{"urlFrom": fields{"secretKeyRef": fields{"name": "redis", "key": "REDIS_URL"}}},
		"queue":  fields{"type": "Sidekiq"},
		"heroku": fields{"app": "shop-prod", "processType": "worker", "apiKeySecretRef": fields{"name": "heroku", "key": "HEROKU_API_KEY"}},
	}
}

// list is the smallest spec of type List, but for what says when its jobs are done.
func list() fields {
	spec := sidekiq()
	spec["queue"] = fields{"type": "List", "names": []any{"jobs"}}
	return spec
}

// object is a QueueScaler of no particular name.
func object(spec fields) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: fields{"spec": spec}}
	object.SetGroupVersionKind(v1.GroupVersion.WithKind("QueueScaler"))
	object.SetNamespace(namespace)
	object.SetGenerateName("test-")
	return object
}

// absent as a value leaves a field out.
const absent = "<absent>"

// set sets the field at a path such as spec.heroku.app.
func set(t *testing.T, object *unstructured.Unstructured, path string, value any) {
	t.Helper()
	steps := strings.Split(path, ".")
	if value == absent {
		unstructured.RemoveNestedField(object.Object, steps...)
		return
	}
	if err := unstructured.SetNestedField(object.Object, value, steps...); err != nil {
		t.Fatal(err)
	}
}

// dryRun asks the API server what it would say to a new object, fields that it does not know included.
func dryRun(t *testing.T, object client.Object) error {
	t.Helper()
	return api.Create(t.Context(), object, client.DryRunAll, strict)
}

// created creates an object that is deleted after the test.
func created[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := api.Create(t.Context(), object, strict); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Delete(t.Context(), object); client.IgnoreNotFound(err) != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return object
}

// wantRefused checks that a refusal says which field is wrong, and what would be right.
func wantRefused(t *testing.T, err error, path, cure string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("accepted, want a refusal of %s: %s", path, cure)
	case !apierrors.IsInvalid(err):
		t.Errorf("not a refusal as invalid: %v", err)
	case !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), cure):
		t.Errorf("the refusal does not name %q and %q: %v", path, cure, err)
	}
}
