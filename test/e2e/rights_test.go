package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
)

// grant gives the operator the rights that config/ gives it in a namespace, and returns a kubeconfig
// that acts with them: the specs run with the rights of an installation, and no others.
func (w *world) grant(ctx context.Context) string {
	directory := filepath.Join(filepath.Dir(w.kubeconfig), w.namespace)
	Expect(os.Mkdir(directory, 0o700)).To(Succeed())
	root, err := filepath.Abs(filepath.Join("..", ".."))
	Expect(err).NotTo(HaveOccurred())
	config, err := filepath.Rel(directory, filepath.Join(root, "config"))
	Expect(err).NotTo(HaveOccurred())
	overlay := fmt.Sprintf(`
namespace: %s
resources: [%[2]s/rbac, %[2]s/namespace]
patches:
  - target: {kind: RoleBinding, name: ^queuescaler$}
    patch: '[{"op": "replace", "path": "/subjects/0/namespace", "value": "%[1]s"}]'
`, w.namespace, config)
	Expect(os.WriteFile(filepath.Join(directory, "kustomization.yaml"), []byte(overlay), 0o600)).To(Succeed())
	output, err := w.kubectl(ctx, w.kubeconfig, "apply", "-k", directory).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(output))
	return w.impersonate(directory, "system:serviceaccount:"+w.namespace+":queuescaler")
}

// kubectl acts with a kubeconfig, and keeps what it learns beside the suite's files, not in the home directory.
func (w *world) kubectl(ctx context.Context, kubeconfig string, args ...string) *exec.Cmd {
	program := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	args = append([]string{"--kubeconfig", kubeconfig, "--cache-dir", filepath.Join(filepath.Dir(w.kubeconfig), "cache")}, args...)
	return exec.CommandContext(ctx, program, args...) //nolint:gosec // our own
}

func (w *world) impersonate(directory, user string) string {
	config, err := clientcmd.LoadFromFile(w.kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	for _, auth := range config.AuthInfos {
		auth.Impersonate = user
	}
	file := filepath.Join(directory, "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, file)).To(Succeed())
	return file
}

var _ = Describe("the operator's rights", func() {
	It("end at the namespaces it was given", func(ctx SpecContext) {
		may := func(args ...string) string {
			output, _ := w.kubectl(ctx, w.operatorKubeconfig, append([]string{"auth", "can-i"}, args...)...).Output() // exits 1 for no
			return string(output)
		}
		Expect(may("get", "secrets", "-n", w.namespace)).To(HavePrefix("yes"))
		Expect(may("get", "secrets", "-n", "default")).To(HavePrefix("no"))
		Expect(may("list", "secrets", "--all-namespaces")).To(HavePrefix("no"))
		Expect(may("update", "secrets", "-n", w.namespace)).To(HavePrefix("no"))
		Expect(may("create", "pods", "-n", w.namespace)).To(HavePrefix("no"))
		Expect(may("delete", "queuescalers.queuescaler.dev", "-n", w.namespace)).To(HavePrefix("no"))
	}, SpecTimeout(specTimeout))
})
