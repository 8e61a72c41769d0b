package main

import (
	"archive/tar"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// program builds a small binary to put into an image.
func program(t *testing.T, cgo string) string {
	t.Helper()
	dir := t.TempDir()
	source := "package main\n\nimport \"net\"\n\nfunc main() { _, _ = net.LookupHost(\"localhost\") }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "program"), filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgo, "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return filepath.Join(dir, "program")
}

func TestImage(t *testing.T) {
	output := filepath.Join(t.TempDir(), "image.tar")
	if err := run(program(t, "0"), output, "example.com/queuescaler:test"); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(output, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || len(config.Config.Entrypoint) != 1 || config.Config.Entrypoint[0] != "/queuescaler" || config.OS != "linux" {
		t.Errorf("config: %+v", config)
	}
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	found := map[string]int64{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header.Mode
	}
	if len(found) != 2 || found["queuescaler"] != 0o555 || found["etc/ssl/certs/ca-certificates.crt"] == 0 {
		t.Errorf("files: %v", found)
	}
}

func TestArchiveHasAnEnd(t *testing.T) {
	content, err := pack([]file{{"main.go", "main.go"}})
	if err != nil {
		t.Fatal(err)
	}
	if end := content[max(0, len(content)-1024):]; string(end) != string(make([]byte, 1024)) {
		t.Error("the archive lacks the two empty blocks at its end")
	}
}

func TestImageIsReproducible(t *testing.T) {
	binary := program(t, "0")
	var digests []string
	for range 2 {
		image, err := build(binary)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("two images of one binary: %v", digests)
	}
}

func TestImageRefuses(t *testing.T) {
	if err := run("main.go", filepath.Join(t.TempDir(), "image.tar"), "example.com/x:y"); err == nil {
		t.Error("a file that is no binary was packed")
	}
	if _, err := exec.LookPath("gcc"); err == nil {
		if _, err := inspect(program(t, "1")); err == nil {
			t.Error("a dynamically linked binary was packed")
		}
	}
}
