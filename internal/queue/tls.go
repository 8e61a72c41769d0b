package queue

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// Verification is how much of a server's certificate is verified.
type Verification int

// Verifications.
const (
	VerifyFull   Verification = iota // chain and host name
	VerifyCAOnly                     // chain
	VerifyNone                       // nothing
)

// dialTLS connects, and tells a server that is silent in the handshake from one that is not there: a
// Redis without TLS takes it for the beginning of a command and waits for the rest.
func (e Endpoint) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	plain, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, e.tlsConfig(address))
	if err = conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			err = &Error{Kind: Unreachable, cause: err, Message: "Redis did not answer the TLS handshake in time; " +
				"if it does not speak TLS at this port, the URL must begin with redis://"}
		case isClosed(err):
			err = &Error{Kind: Full, cause: err, Message: "Redis closed the connection before the TLS handshake; " +
				"it may have reached its maximum number of clients (maxclients)"}
		}
		return nil, err
	}
	return conn, nil
}

// checkCertificates finds what is not PEM, or does not belong together.
func (s Settings) checkCertificates() error {
	if s.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CA)) {
		return &Error{Kind: TLSFailed, Message: "spec.redis.tls.caSecretRef holds no PEM certificate"}
	}
	if s.Certificate == "" {
		return nil
	}
	if _, err := s.keyPair(); err != nil {
		return &Error{Kind: TLSFailed, cause: err, Message: "the Secret of spec.redis.tls.clientCertificateSecretRef must hold " +
			"a PEM certificate in tls.crt and its PEM private key in tls.key: they cannot be used together"}
	}
	return nil
}

func (s Settings) keyPair() (tls.Certificate, error) {
	return tls.X509KeyPair([]byte(s.Certificate), []byte(s.Key))
}

func (e Endpoint) tlsConfig(address string) *tls.Config {
	host, _, _ := net.SplitHostPort(address)
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if e.Certificate != "" {
		own, _ := e.keyPair() // it was checked
		config.Certificates = []tls.Certificate{own}
	}
	if e.CA != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(e.CA))
	}
	if e.Verification == VerifyFull {
		return config
	}
	config.InsecureSkipVerify = true //nolint:gosec // the user asked for it, or VerifyConnection does it
	if e.Verification == VerifyCAOnly {
		config.VerifyConnection = verifyChain(config.RootCAs)
	}
	return config
}

// verifyChain verifies a server's certificate chain and leaves its host name alone.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server sent no certificate")
		}
		intermediates := x509.NewCertPool()
		for _, certificate := range state.PeerCertificates[1:] {
			intermediates.AddCert(certificate)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
		return err
	}
}
