package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/secret"
)

// endpoint gathers what the spec and its Secrets say of the Redis server.
func (r *Reconciler) endpoint(ctx context.Context, s *scope) (queue.Endpoint, *problem) {
	redis := s.object.Spec.Redis
	url, p := r.redisURL(ctx, s)
	if p != nil {
		return queue.Endpoint{}, p
	}
	values := secretValues{secrets: r.secrets, namespace: s.name.Namespace}
	settings := queue.Settings{
		Mode:         modes[redis.Mode],
		Verification: verifications[redis.TLS.Verification],
		CA:           values.get(ctx, redis.TLS.CASecretRef, "spec.redis.tls.caSecretRef"),
	}
	if redis.Sentinel != nil {
		settings.PrimaryName = redis.Sentinel.MasterName
		settings.SentinelPassword = secret.Text(values.get(ctx, redis.Sentinel.PasswordSecretRef, "spec.redis.sentinel.passwordSecretRef"))
	}
	if ref := redis.TLS.ClientCertificateSecretRef; ref != nil {
		const field = "spec.redis.tls.clientCertificateSecretRef"
		settings.Certificate = values.get(ctx, &v1.SecretKeyRef{Name: ref.Name, Key: corev1.TLSCertKey}, field)
		settings.Key = secret.Text(values.get(ctx, &v1.SecretKeyRef{Name: ref.Name, Key: corev1.TLSPrivateKeyKey}, field))
	}
	if values.problem != nil {
		return queue.Endpoint{}, values.problem
	}
	endpoint, err := queue.ParseEndpoint(url, settings)
	if err != nil {
		return queue.Endpoint{}, ofEndpoint(err)
	}
	return endpoint, nil
}

var modes = map[v1.RedisMode]queue.Mode{
	v1.RedisStandalone: queue.ModeStandalone,
	v1.RedisCluster:    queue.ModeCluster,
	v1.RedisSentinel:   queue.ModeSentinel,
}

var verifications = map[v1.TLSVerification]queue.Verification{
	v1.VerifyFull:   queue.VerifyFull,
	v1.VerifyCAOnly: queue.VerifyCAOnly,
	v1.VerifyNone:   queue.VerifyNone,
}

// secretValues reads several values and keeps the first problem.
type secretValues struct {
	secrets   *secrets
	namespace string
	problem   *problem
}

// get is empty for no reference, and after a problem.
func (v *secretValues) get(ctx context.Context, ref *v1.SecretKeyRef, field string) string {
	if ref == nil || v.problem != nil {
		return ""
	}
	value, problem := v.secrets.value(ctx, v.namespace, *ref, field)
	v.problem = problem
	return value
}
