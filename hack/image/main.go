// Command image packs the operator's static binary into an OCI image, as a tarball that docker load,
// podman load, skopeo and crane take. It needs no daemon and no registry, and the same input makes
// the same image.
package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// authorities is where Debian, Ubuntu and Alpine keep the bundle that Heroku's TLS is verified with.
const authorities = "/etc/ssl/certs/ca-certificates.crt"

func main() {
	binary := flag.String("binary", "bin/queuescaler", "the operator's binary, statically linked")
	output := flag.String("output", "dist/queuescaler.tar", "where the image goes")
	tag := flag.String("tag", "ghcr.io/queuescaler/queuescaler:latest", "the image's name")
	flag.Parse()
	if err := run(*binary, *output, *tag); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Printf("%s is %s\nload it:  docker load -i %[1]s\npush it:  skopeo copy docker-archive:%[1]s docker://%[2]s\n", *output, *tag)
}

func run(binary, output, tag string) error {
	reference, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	image, err := build(binary)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o750); err != nil {
		return err
	}
	return tarball.WriteToFile(output, reference, image)
}

// build makes an image from nothing but the binary and the certificate authorities.
func build(binary string) (v1.Image, error) {
	architecture, err := inspect(binary)
	if err != nil {
		return nil, err
	}
	content, err := pack([]file{{"queuescaler", binary}, {"etc/ssl/certs/ca-certificates.crt", authorities}})
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config.Entrypoint = []string{"/queuescaler"}
	config.Config.User = "65532:65532"
	config.Config.Labels = map[string]string{
		"org.opencontainers.image.title":       "queuescaler",
		"org.opencontainers.image.description": "Turns Heroku worker dynos off while a job queue in Redis is idle",
	}
	return mutate.ConfigFile(image, config)
}

// architectures are those that images are built for, as OCI names them.
var architectures = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// inspect returns a binary's architecture. It refuses one that would look for a loader, which the
// image does not have.
func inspect(binary string) (string, error) {
	program, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("%s is not a Linux binary; build it with GOOS=linux: %w", binary, err)
	}
	defer func() { _ = program.Close() }()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return "", errors.New(binary + " is linked dynamically; build it with CGO_ENABLED=0")
		}
	}
	architecture, ok := architectures[program.Machine]
	if !ok {
		return "", fmt.Errorf("%s is for %s; images are built for amd64 and arm64", binary, program.Machine)
	}
	return architecture, nil
}

// file is a file of the image and where its content comes from.
type file struct{ path, source string }

// pack writes files into a tar archive, without times.
func pack(files []file) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, file := range files {
		content, err := os.ReadFile(file.source)
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Name: file.path, Mode: 0o555, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil { // writes the archive's end
		return nil, err
	}
	return archive.Bytes(), nil
}
