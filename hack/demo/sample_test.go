package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const sampleText = `
apiVersion: v1
kind: Secret
metadata: {name: shop-redis, namespace: shop}
stringData: {REDIS_URL: "rediss://placeholder"}
---
apiVersion: queuescaler.dev/v1
kind: QueueScaler
metadata: {name: shop-worker, namespace: shop}
spec:
  redis: {urlFrom: {secretKeyRef: {name: shop-redis, key: REDIS_URL}}}
  queue: {type: Sidekiq, names: [default, mailers]}
  heroku: {app: shop-prod, processType: worker, apiKeySecretRef: {name: heroku, key: HEROKU_API_KEY}}
  activeQuantity: 2
  pollPeriodSeconds: 1
`

func TestReadSample(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(file, []byte(sampleText), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readSample(file)
	if err != nil {
		t.Fatal(err)
	}
	if s.app() != "shop-prod" || s.processType() != "worker" || s.quantity() != 2 || s.key().String() != "shop/shop-worker" {
		t.Errorf("got %+v", s.scaler)
	}
	if spec := s.scaler.Spec; spec.IdleTimeoutSeconds != idleTimeoutSeconds || spec.PollPeriodSeconds != pollPeriodSeconds {
		t.Errorf("got times %d and %d", spec.IdleTimeoutSeconds, spec.PollPeriodSeconds)
	}
	if want := []string{"idleTimeoutSeconds: 10"}; !slices.Equal(s.changes, want) {
		t.Errorf("told of %q, want %q: only what was changed", s.changes, want)
	}
	secrets, err := s.secrets("redis://here", "key")
	if err != nil || len(secrets) != 2 {
		t.Fatalf("got %v, %v", secrets, err)
	}
	for _, secret := range secrets {
		if got := secret.StringData; got["REDIS_URL"] != "redis://here" && got["HEROKU_API_KEY"] != "key" {
			t.Errorf("Secret %s holds %v", secret.Name, got)
		}
	}
}

func TestReadSampleNeedsOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(file, []byte("kind: Secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSample(file); err == nil {
		t.Error("a file without a QueueScaler is accepted")
	}
}
