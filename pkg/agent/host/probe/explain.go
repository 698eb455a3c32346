/*
Copyright The Kubernetes NMState Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// maxMessage is how many bytes of a message are told. Parts of it come from the target.
const maxMessage = 256

// errNoKind is the answer to a probe that a later version of the API has.
var errNoKind = errors.New("this agent does not know this kind of probe")

// shortened returns a message without what exceeds maxMessage.
func shortened(message string) string {
	message = strings.ToValidUTF8(message, "?")
	if len(message) <= maxMessage {
		return message
	}
	end := maxMessage
	for !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + "…"
}

// explain returns an error that says in the field's terms why a target did not answer.
// since is when it was asked.
func explain(err error, target string, since time.Time) error {
	var unresolved *net.DNSError
	var untrusted *tls.CertificateVerificationError
	var timeout net.Error
	var alert tls.AlertError
	switch {
	case errors.As(err, &unresolved):
		return fmt.Errorf("cannot resolve %s: %s", unresolved.Name, unresolved.Err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer from %s within %s", target, elapsed(since))
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("connection refused by %s", target)
	case errors.Is(err, unix.ECONNRESET):
		return fmt.Errorf("connection reset by %s", target)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("connection closed by %s without an answer", target)
	case errors.As(err, &untrusted):
		return fmt.Errorf("the certificate of %s is not accepted: %s", target, certificateFault(untrusted))
	case errors.As(err, &alert):
		return fmt.Errorf("TLS handshake refused by %s: %w", target, alert)
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return fmt.Errorf("cannot reach %s: %s", target, errno.Error())
	}
	return fmt.Errorf("no valid answer from %s", target)
}

// certificateFault says what is wrong with a certificate.
func certificateFault(err *tls.CertificateVerificationError) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err.Err, &authority):
		return "it is signed by an unknown authority"
	case errors.As(err.Err, &name):
		return "it is for another name"
	}
	return err.Err.Error()
}

// elapsed returns the time since then, in a form that is short to read.
func elapsed(since time.Time) time.Duration {
	return time.Since(since).Round(10 * time.Millisecond)
}
