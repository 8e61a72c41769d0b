// Package e2e drives the operator's binary end to end: a real control plane, a real Redis, real
// workers of Sidekiq and other job systems as the dynos of a simulated Heroku. Each spec ends by
// comparing what the jobs wrote with what the simulator recorded.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/redisserver"
	"github.com/queuescaler/queuescaler/test/stack"
)

const (
	token         = "HRKU-e2e-canary"
	webhookSecret = "e2e-webhook-canary"
	wakeLead      = 15 * time.Second
	patience      = 90 * time.Second // for anything that should happen, on a busy machine
)

// world is what one Ginkgo process has: a namespace of the shared control plane, and its own Redis,
// Heroku and operator.
type world struct {
	cluster    client.Client
	kubeconfig string // an administrator's
	namespace  string
	// operatorKubeconfig has the rights of an installed operator, and no others.
	operatorKubeconfig string
	redis              *redisserver.Server
	heroku             *simulator.Server
	operator           *stack.Operator
	log                string
	// webhooks is where the leader hears Heroku's webhooks.
	webhooks  string
	databases int
}

var w world

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(200 * time.Millisecond)
	RunSpecs(t, "QueueScaler end to end")
}

var controlPlane *stack.ControlPlane

var _ = SynchronizedBeforeSuite(func() []byte {
	directory, err := os.MkdirTemp("", "queuescaler-e2e-")
	Expect(err).NotTo(HaveOccurred())
	controlPlane, err = stack.StartControlPlane(filepath.Join("..", ".."), directory)
	Expect(err).NotTo(HaveOccurred())
	return []byte(controlPlane.Kubeconfig)
}, func(ctx SpecContext, kubeconfig []byte) {
	w.kubeconfig = string(kubeconfig)
	w.connect(ctx)
	w.operatorKubeconfig = w.grant(ctx)
	var err error
	w.redis, err = redisserver.Start(context.Background(), redisserver.Options{Args: []string{"--databases", "64"}})
	Expect(err).NotTo(HaveOccurred())
	w.heroku = simulator.New(simulator.Options{BootTime: 200 * time.Millisecond, Output: GinkgoWriter})
	Expect(w.heroku.Start("")).To(Succeed())
	w.heroku.AddToken(simulator.Token{Secret: token, Name: "operator", Account: "ops@example.com", Scopes: []string{"write"}})
	w.log = filepath.Join(filepath.Dir(w.kubeconfig), w.namespace+".log")
	w.webhooks, err = stack.FreeAddress()
	Expect(err).NotTo(HaveOccurred())
	w.operator = w.startOperator(ctx)
}, NodeTimeout(3*time.Minute))

var _ = SynchronizedAfterSuite(func(ctx SpecContext) {
	if w.operator != nil {
		Expect(w.operator.Stop()).To(Succeed())
		expectNoSecretIn(w.log)
	}
	if w.heroku != nil {
		Expect(w.heroku.Close(ctx)).To(Succeed())
	}
	if w.redis != nil {
		Expect(w.redis.Stop()).To(Succeed())
	}
}, func() {
	if controlPlane != nil {
		Expect(controlPlane.Stop()).To(Succeed())
		Expect(os.RemoveAll(filepath.Dir(controlPlane.Kubeconfig))).To(Succeed())
	}
}, NodeTimeout(2*time.Minute))

func (w *world) connect(ctx context.Context) {
	config, err := clientcmd.BuildConfigFromFlags("", w.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	Expect(v1.AddToScheme(scheme.Scheme)).To(Succeed())
	w.cluster, err = client.New(config, client.Options{Scheme: scheme.Scheme})
	Expect(err).NotTo(HaveOccurred())
	w.namespace = fmt.Sprintf("e2e-%d", GinkgoParallelProcess())
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	Expect(w.cluster.Create(ctx, namespace)).To(Succeed())
	w.createSecret(ctx, "heroku", "HEROKU_API_KEY", token)
}

func (w *world) createSecret(ctx context.Context, name, key, value string) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		StringData: map[string]string{key: value},
	}
	Expect(w.cluster.Create(ctx, secret)).To(Succeed())
}

var binary = filepath.Join("..", "..", "bin", "queuescaler")

// startOperator starts a replica that looks after this process's namespace.
func (w *world) startOperator(ctx context.Context) *stack.Operator {
	operator, err := w.tryOperator(ctx, w.operatorKubeconfig)
	Expect(err).NotTo(HaveOccurred())
	return operator
}

// tryOperator starts a replica that reaches the control plane by a kubeconfig.
func (w *world) tryOperator(ctx context.Context, kubeconfig string, args ...string) (*stack.Operator, error) {
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return stack.StartOperator(ctx, stack.OperatorOptions{
		Binary:     binary,
		Kubeconfig: kubeconfig,
		HerokuURL:  w.heroku.URL(),
		Output:     log,
		Args: append([]string{
			"--namespaces=" + w.namespace,
			"--leader-election-namespace=" + w.namespace,
			"--webhook-bind-address=" + w.webhooks,
			"--drift-period=1h",                    // what others change, only webhooks tell
			"--leader-election-lease-duration=15s", // specs kill leaders, and wait for their successors
			"--leader-election-renew-deadline=10s",
		}, args...),
		Env: []string{"WEBHOOK_SECRET=" + webhookSecret},
	})
}
