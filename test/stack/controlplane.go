package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// ControlPlane is a kube-apiserver with its etcd, and the QueueScaler CRD installed.
type ControlPlane struct {
	Config     *rest.Config
	Client     client.Client
	Kubeconfig string // a file for an administrator

	environment *envtest.Environment
}

// StartControlPlane starts the binaries in KUBEBUILDER_ASSETS. The kubeconfig goes into dir.
func StartControlPlane(root, dir string) (*ControlPlane, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: run this through make, or set it to what hack/controlplane.sh prints")
	}
	p := &ControlPlane{environment: &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}}
	var err error
	if p.Config, err = p.environment.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the control plane: %w", err), p.Stop())
	}
	if err := p.connect(dir); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *ControlPlane) connect(dir string) error {
	if err := v1.AddToScheme(scheme.Scheme); err != nil {
		return err
	}
	var err error
	if p.Client, err = client.New(p.Config, client.Options{Scheme: scheme.Scheme}); err != nil {
		return err
	}
	p.Kubeconfig = filepath.Join(dir, "kubeconfig")
	return os.WriteFile(p.Kubeconfig, p.environment.KubeConfig, 0o600)
}

// Stop stops both servers.
func (p *ControlPlane) Stop() error { return p.environment.Stop() }
