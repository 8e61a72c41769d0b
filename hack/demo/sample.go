package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

const (
	samples = "config/samples"

	// namespace is a team's own, not the operator's.
	namespace = "shop"

	idleTimeoutSeconds = 10
	pollPeriodSeconds  = 1
)

// sample is the QueueScaler that the demo applies: one of those that users begin with, in quick motion.
type sample struct {
	file    string
	changes []string
	object  *unstructured.Unstructured
	scaler  v1.QueueScaler // the same
}

// readSample reads the QueueScaler of a file, or the one for Sidekiq among the samples.
func readSample(file string) (*sample, error) {
	files := []string{file}
	if file == "" {
		var err error
		if files, err = filepath.Glob(filepath.Join(samples, "*.yaml")); err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		object, err := findScaler(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if object != nil {
			s := &sample{file: file, object: object}
			return s, s.adapt()
		}
	}
	return nil, fmt.Errorf("no QueueScaler with queue type Sidekiq in %s: run this from the repository's root, with `make demo`", samples)
}

// findScaler returns the first QueueScaler for Sidekiq in a file, or nil. The Secrets beside it hold
// placeholders.
func findScaler(file string) (*unstructured.Unstructured, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		object := &unstructured.Unstructured{}
		if err = errors.Join(err, yaml.Unmarshal(document, &object.Object)); err != nil {
			return nil, err
		}
		system, _, _ := unstructured.NestedString(object.Object, "spec", "queue", "type")
		if object.GetKind() == "QueueScaler" && system == string(v1.QueueSidekiq) {
			return object, nil
		}
	}
}

// adapt shortens the times, since nobody wants to watch a minute pass, and sets the namespace.
func (s *sample) adapt() error {
	for _, change := range []struct {
		field string
		value int64
	}{{"idleTimeoutSeconds", idleTimeoutSeconds}, {"pollPeriodSeconds", pollPeriodSeconds}} {
		before, found, _ := unstructured.NestedInt64(s.object.Object, "spec", change.field)
		if found && before == change.value {
			continue
		}
		if err := unstructured.SetNestedField(s.object.Object, change.value, "spec", change.field); err != nil {
			return err
		}
		s.changes = append(s.changes, fmt.Sprintf("%s: %d", change.field, change.value))
	}
	if s.object.GetNamespace() != namespace {
		s.object.SetNamespace(namespace)
		s.changes = append(s.changes, "namespace: "+namespace)
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(s.object.Object, &s.scaler)
}

func (s *sample) key() client.ObjectKey { return client.ObjectKeyFromObject(s.object) }

func (s *sample) app() string         { return s.scaler.Spec.Heroku.App }
func (s *sample) processType() string { return s.scaler.Spec.Heroku.ProcessType }

// quantity is N; the API's default where the sample leaves it out.
func (s *sample) quantity() int { return max(int(s.scaler.Spec.ActiveQuantity), 1) }

// queues are those of the sample; Sidekiq's own default where it names none.
func (s *sample) queues() []string {
	if names := s.scaler.Spec.Queue.Names; len(names) > 0 {
		return names
	}
	return []string{"default"}
}

// secrets are those that the sample refers to.
func (s *sample) secrets(redisURL, apiKey string) ([]*corev1.Secret, error) {
	redis, heroku := s.scaler.Spec.Redis.URLFrom.SecretKeyRef, s.scaler.Spec.Heroku.APIKeySecretRef
	if redis == nil {
		return nil, fmt.Errorf("%s: spec.redis.urlFrom.secretKeyRef is not set", s.file)
	}
	values := map[string]map[string]string{redis.Name: {redis.Key: redisURL}}
	if values[heroku.Name] == nil {
		values[heroku.Name] = map[string]string{}
	}
	values[heroku.Name][heroku.Key] = apiKey
	var secrets []*corev1.Secret
	for name, data := range values {
		secrets = append(secrets, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.key().Namespace}, StringData: data,
		})
	}
	return secrets, nil
}

// apply applies the QueueScaler as `kubectl apply --server-side` does.
func (s *sample) apply(ctx context.Context, cluster client.Client) error {
	return cluster.Apply(ctx, client.ApplyConfigurationFromUnstructured(s.object.DeepCopy()), client.FieldOwner("queuescaler-demo"))
}
