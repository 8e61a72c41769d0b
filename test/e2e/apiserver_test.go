package e2e

import (
	"context"
	"net/url"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/queuescaler/queuescaler/test/stack"
)

// away is for how long the API server is away before a job comes: longer than leaders used to live without it.
const away = 12 * time.Second

// The API server is behind a wire that is cut: requests hang.
var _ = Describe("without the API server", func() {
	It("a leader starts workers and stops none", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}}, "-t", "3")
		wire := w.leadThroughWire(ctx)
		a.scale(ctx, "worker", []string{"default"})
		a.enqueue(ctx, "default", 1, 100*time.Millisecond, 0)
		a.awaitEvents(ctx, "end", 1)
		a.awaitQuantity(ctx, "worker", 0)

		wire.Cut()
		time.Sleep(away)
		a.enqueue(ctx, "default", 1, 100*time.Millisecond, 0)
		pushed := time.Now()
		a.awaitQuantity(ctx, "worker", 2)
		AddReportEntry("workers started after", time.Since(pushed).String())
		a.awaitEvents(ctx, "end", 2)
		Consistently(ctx, func() int { return w.heroku.Quantity(a.name, "worker") }, "10s").Should(Equal(2))
		Expect(w.operator.Exited()).NotTo(BeClosed())

		wire.Mend()
		a.awaitQuantity(ctx, "worker", 0)
	}, SpecTimeout(specTimeout))

	It("a replica that starts waits for it", func(ctx SpecContext) {
		wire, kubeconfig := w.newWire()
		wire.Cut()
		started := make(chan error, 1)
		var replica *stack.Operator
		go func() {
			var err error
			replica, err = w.tryOperator(context.WithoutCancel(ctx), kubeconfig)
			started <- err
		}()
		Consistently(ctx, started, away).ShouldNot(Receive())
		wire.Mend()
		Eventually(ctx, started).Should(Receive(BeNil()))
		Expect(replica.Stop()).To(Succeed())
	}, SpecTimeout(specTimeout))
})

// newWire is one to the control plane, and a kubeconfig that goes through it.
func (w *world) newWire() (*stack.Wire, string) {
	config, err := clientcmd.LoadFromFile(w.operatorKubeconfig)
	Expect(err).NotTo(HaveOccurred())
	var wire *stack.Wire
	for _, cluster := range config.Clusters {
		server, err := url.Parse(cluster.Server)
		Expect(err).NotTo(HaveOccurred())
		wire, err = stack.NewWire(server.Host)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(wire.Close)
		server.Host = wire.Address()
		cluster.Server = server.String()
	}
	file := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, file)).To(Succeed())
	return wire, file
}

// leadThroughWire has the only replica reach the API server through a wire, until the spec ends.
func (w *world) leadThroughWire(ctx context.Context) *stack.Wire {
	wire, kubeconfig := w.newWire()
	Expect(w.operator.Stop()).To(Succeed())
	operator, err := w.tryOperator(ctx, kubeconfig, "--leader-election-lease-duration=4m", "--leader-election-renew-deadline=200s")
	Expect(err).NotTo(HaveOccurred())
	w.operator = operator
	DeferCleanup(func(ctx SpecContext) {
		wire.Mend()
		Expect(w.operator.Stop()).To(Succeed())
		w.operator = w.startOperator(ctx)
	})
	return wire
}
