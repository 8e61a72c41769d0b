package controllers

import (
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/redis/go-redis/v9"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// fault is something wrong before a scaler is created, with work waiting.
type fault struct {
	// damage does it, and says how the scaler is to be.
	damage func(e *env) change
	// mend cures it; the usual Secret where nil.
	mend func(e *env)

	reason  string
	message []string
	stalled bool
}

func usual(*v1.QueueScaler) {}

// redisSecret makes a fault of a Redis URL, which is made of the right one.
func redisSecret(spoil func(right string) string) func(e *env) change {
	return func(e *env) change {
		e.setSecret("redis", "REDIS_URL", spoil(e.redisURL))
		return usual
	}
}

func mendRedisSecret(e *env) { e.setSecret("redis", "REDIS_URL", e.redisURL) }

// withTLS has the scaler use a Redis of its own that speaks TLS, with a job in it.
func withTLS(e *env, spoil func(right string) string) *redisserver.Server {
	server := redisserver.StartT(e.T, redisserver.Options{TLS: true, Password: canary + "-password"})
	pushTLS(e, server)
	e.setSecret("redis", "REDIS_URL", spoil(server.URL()))
	return server
}

func TestRedisFaults(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{
		"Secret missing": {
			damage: func(e *env) change { e.deleteSecret("redis"); return usual },
			reason: v1.ReasonSecretNotFound, message: []string{`no Secret "redis"`, "create it", "spec.redis.urlFrom.secretKeyRef"},
		},
		"key missing": {
			damage: func(e *env) change { e.setSecret("redis", "OTHER", e.redisURL); return usual },
			reason: v1.ReasonSecretKeyMissing, message: []string{`no key "REDIS_URL"`, "add it", "spec.redis.urlFrom.secretKeyRef"},
		},
		"key empty": {
			damage: redisSecret(func(string) string { return " \n" }),
			reason: v1.ReasonSecretKeyMissing, message: []string{"is empty", "spec.redis.urlFrom.secretKeyRef"},
		},
		"URL that does not parse": {
			damage: redisSecret(func(right string) string { return strings.Replace(right, "-password", "%zz", 1) }),
			reason: v1.ReasonRedisURLInvalid, message: []string{"percent-encoded", "spec.redis.urlFrom"}, stalled: true,
		},
		"wrong scheme": {
			damage: redisSecret(func(right string) string { return strings.Replace(right, "redis:", "http:", 1) }),
			reason: v1.ReasonRedisURLInvalid, message: []string{"redis:// or rediss://", "spec.redis.urlFrom"}, stalled: true,
		},
		"no such database": {
			damage: redisSecret(func(right string) string { return right + "/4000" }),
			reason: v1.ReasonRedisURLInvalid, message: []string{"database", "spec.redis.urlFrom"}, stalled: true,
		},
		"wrong password": {
			damage: redisSecret(func(right string) string { return strings.Replace(right, "-password", "-other", 1) }),
			reason: v1.ReasonRedisUnauthorized, message: []string{"password", "spec.redis.urlFrom"}, stalled: true,
		},
		"no password": {
			damage: redisSecret(func(right string) string {
				u, _ := url.Parse(right)
				u.User = nil
				return u.String()
			}),
			reason: v1.ReasonRedisUnauthorized, message: []string{"password", "spec.redis.urlFrom"}, stalled: true,
		},
		"unreachable port": {
			damage: redisSecret(func(string) string { return "redis://:" + canary + "@127.0.0.1:1/0" }),
			reason: v1.ReasonRedisUnreachable, message: []string{"no connection to Redis"},
		},
		"unknown host": {
			damage: redisSecret(func(string) string { return "rediss://:" + canary + "@redis.invalid:6379/0" }),
			reason: v1.ReasonRedisUnreachable, message: []string{"host name"},
		},
		"rediss at a plaintext port": {
			damage: redisSecret(func(right string) string { return strings.Replace(right, "redis:", "rediss:", 1) }),
			reason: v1.ReasonRedisUnreachable, message: []string{"must begin with redis://"},
		},
		"redis at a TLS port": {
			damage: func(e *env) change {
				withTLS(e, func(right string) string { return strings.Replace(right, "rediss:", "redis:", 1) })
				return usual
			},
			reason: v1.ReasonRedisUnreachable, message: []string{"must begin with rediss://"},
		},
		"self-signed certificate": {
			damage: func(e *env) change {
				withTLS(e, func(right string) string { return right })
				return usual
			},
			mend: func(e *env) {
				e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Redis.TLS.Verification = v1.VerifyNone })
			},
			reason: v1.ReasonRedisTLSFailed, message: []string{"spec.redis.tls.caSecretRef", "spec.redis.tls.verification"}, stalled: true,
		},
		"authority missing": {
			damage: func(e *env) change {
				server := withTLS(e, func(right string) string { return right })
				e.setSecret("ca", "right", server.CA())
				return func(s *v1.QueueScaler) { s.Spec.Redis.TLS.CASecretRef = &v1.SecretKeyRef{Name: "ca", Key: "wrong"} }
			},
			mend: func(e *env) {
				e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Redis.TLS.CASecretRef.Key = "right" })
			},
			reason: v1.ReasonSecretKeyMissing, message: []string{`no key "wrong"`, "spec.redis.tls.caSecretRef"},
		},
		"authority that is none": {
			damage: func(e *env) change {
				server := withTLS(e, func(right string) string { return right })
				e.setSecret("ca", "wrong", "x")
				e.setSecret("right-ca", "wrong", server.CA())
				return func(s *v1.QueueScaler) { s.Spec.Redis.TLS.CASecretRef = &v1.SecretKeyRef{Name: "ca", Key: "wrong"} }
			},
			mend: func(e *env) {
				e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Redis.TLS.CASecretRef.Name = "right-ca" })
			},
			reason: v1.ReasonRedisTLSFailed, message: []string{"PEM", "spec.redis.tls.caSecretRef"}, stalled: true,
		},
		"key of another type": {
			damage: func(e *env) change { e.take("default"); e.do("set", "queue:default", "x"); return usual },
			mend:   func(e *env) { e.take("default"); e.push("default") },
			reason: v1.ReasonRedisKeyWrongType, message: []string{`"queue:default"`, "spec.queue"}, stalled: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
			f.play(e, v1.ConditionQueueReachable)
		})
	}
}

// play goes through a fault: it is reported, the formation is held, others work, and when it is
// mended the workers start.
func (f fault) play(e *env, conditionType string) {
	e.push("default")
	e.create(f.damage(e))
	condition := e.await("scaler", conditionType, metav1.ConditionFalse, f.reason)
	for _, part := range f.message {
		e.Expect(condition.Message).To(ContainSubstring(part))
	}
	e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, f.reason)
	e.expectAbnormal("scaler", f.reason, f.stalled)
	e.awaitEvent(f.reason)
	e.expectOthersWork()
	e.Expect(e.quantity("worker")).To(BeNumerically("<=", 1), "the formation should be held")
	e.Expect(e.scalings()).To(BeEmpty())
	if f.mend == nil {
		f.mend = mendRedisSecret
	}
	f.mend(e)
	e.awaitQuantity(2)
	e.awaitReady("scaler")
}

// TestClientCertificate has a Redis that asks clients for a certificate. The right one is taken up when
// it comes.
func TestClientCertificate(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
	server := redisserver.StartT(t, redisserver.Options{TLS: true, Args: []string{"--tls-auth-clients", "yes"}})
	e.setSecret("redis", "REDIS_URL", server.URL())
	e.setSecret("ca", "ca.crt", server.CA())
	issue := func() map[string][]byte {
		certificate, key, err := server.ClientCertificate()
		e.Expect(err).NotTo(HaveOccurred())
		return map[string][]byte{corev1.TLSCertKey: []byte(certificate), corev1.TLSPrivateKeyKey: []byte(key)}
	}
	mixed := issue()
	mixed[corev1.TLSPrivateKeyKey] = issue()[corev1.TLSPrivateKeyKey]
	e.setSecretData("client", corev1.SecretTypeTLS, mixed)
	e.create(plainList, func(s *v1.QueueScaler) {
		s.Spec.Redis.TLS.CASecretRef = &v1.SecretKeyRef{Name: "ca", Key: "ca.crt"}
	})
	const field = "spec.redis.tls.clientCertificateSecretRef"
	condition := e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionFalse, v1.ReasonRedisTLSFailed)
	e.Expect(condition.Message).To(ContainSubstring(field))

	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Redis.TLS.ClientCertificateSecretRef = &v1.SecretRef{Name: "client"} })
	e.Eventually(func() string {
		condition := meta.FindStatusCondition(e.get("scaler").Status.Conditions, v1.ConditionQueueReachable)
		return condition.Message
	}).Should(And(ContainSubstring(field), ContainSubstring("tls.key")))

	e.setSecretData("client", corev1.SecretTypeTLS, issue())
	e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionTrue, v1.ReasonQueueRead)
}

// TestRedisGoesAndComesBack has a Redis that stops while its queue is idle. Its absence may have
// hidden work: the idle clock begins anew.
func TestRedisGoesAndComesBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stop, start func(e *env, server *redisserver.Server) error
	}{
		"killed": {
			func(_ *env, server *redisserver.Server) error { return server.Kill() },
			func(e *env, server *redisserver.Server) error { return server.Restart(e.ctx) },
		},
		"paused": {
			func(_ *env, server *redisserver.Server) error { return server.Pause() },
			func(_ *env, server *redisserver.Server) error { return server.Resume() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
			server := redisserver.StartT(t, redisserver.Options{Password: canary + "-password"})
			e.setSecret("redis", "REDIS_URL", server.URL())
			const idleTimeout = 25
			e.create(plainList, func(s *v1.QueueScaler) { s.Spec.IdleTimeoutSeconds = idleTimeout })
			e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonIdleTimeout)

			e.Expect(test.stop(e, server)).To(Succeed())
			e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionFalse, v1.ReasonRedisUnreachable)
			e.expectAbnormal("scaler", v1.ReasonRedisUnreachable, false)
			e.Expect(e.get("scaler").Status.IdleStartTime).To(BeNil())
			e.Expect(e.get("scaler").Status.DesiredQuantity).To(BeNil())
			e.Expect(e.scalings()).To(BeEmpty())
			back := metav1.Now()
			e.Expect(test.start(e, server)).To(Succeed())
			e.awaitReady("scaler")
			e.awaitQuantity(0)
			e.Expect(e.scalings()[0].Time.Sub(back.Time).Seconds()).To(BeNumerically(">=", idleTimeout))
		})
	}
}

// TestBrokenProcessInfo starts workers for jobs that wait, and stops none as long as a process may be
// working on something that nobody can read.
func TestBrokenProcessInfo(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.beat("worker.1:4:a", "{", "0", "false")
	e.push("default")
	e.create()
	e.awaitQuantity(2)
	e.take("default")
	condition := e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionFalse, v1.ReasonQueueDataUnreadable)
	e.Expect(condition.Message).To(And(ContainSubstring("worker.1:4:a"), ContainSubstring("not stopped until it is mended")))
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonQueueDataUnreadable)
	e.expectAbnormal("scaler", v1.ReasonQueueDataUnreadable, true)
	e.expectOthersWork()
	e.Expect(e.quantity("worker")).To(Equal(2))

	e.Cleanup(e.keepBeating("worker.1:4:a", serving("default")))
	e.Cleanup(e.keepBeating("worker.2:4:b", serving("default")))
	e.awaitReady("scaler")
	e.awaitQuantity(0)
}

// pushTLS puts a job into a Redis that speaks TLS.
func pushTLS(e *env, server *redisserver.Server) {
	e.Helper()
	options, err := redis.ParseURL(server.URL())
	e.Expect(err).NotTo(HaveOccurred())
	options.TLSConfig.InsecureSkipVerify = true //nolint:gosec // its authority is its own
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	e.Expect(client.LPush(e.ctx, "queue:default", "{}").Err()).To(Succeed())
}
