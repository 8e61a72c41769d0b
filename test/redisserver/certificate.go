package redisserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

const (
	caFile   = "ca.pem"
	certFile = "server.pem"
	keyFile  = "server-key.pem"
)

// authority signs the certificates of a server and of its clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	text        string // PEM
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := template("redisserver authority")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &authority{ca, key, encode("CERTIFICATE", der)}, nil
}

// issue makes a key and signs a certificate for it.
func (a *authority) issue(leaf *x509.Certificate) (certificate, key string, err error) {
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, &leafKey.PublicKey, a.key)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return "", "", err
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER), nil
}

// makeCertificates makes an authority and has it sign a certificate for the server.
func (s *Server) makeCertificates() error {
	var err error
	if s.authority, err = newAuthority(); err != nil {
		return err
	}
	leaf := template("redisserver")
	leaf.DNSNames, leaf.IPAddresses = splitHosts(s.options.Hosts)
	certificate, key, err := s.authority.issue(leaf)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{caFile: s.authority.text, certFile: certificate, keyFile: key} {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ClientCertificate makes a certificate that the server accepts from clients, and its key, both PEM.
func (s *Server) ClientCertificate() (certificate, key string, err error) {
	return s.authority.issue(template("client"))
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func splitHosts(hosts []string) (names []string, addresses []net.IP) {
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1"}
	}
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			addresses = append(addresses, address)
		} else {
			names = append(names, host)
		}
	}
	return names, addresses
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
