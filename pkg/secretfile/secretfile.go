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

// Package secretfile keeps a secret in a file: an agent's own key, or a join token.
package secretfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
)

// Read returns the text of a file without the white space around it. It is an error
// if nothing is left.
func Read(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// Ensure makes a random secret at path, mode 0600, unless there is one. It
// removes what a crash has left of an earlier attempt.
func Ensure(path string) error {
	if err := atomicfile.Sweep(path); err != nil {
		return fmt.Errorf("removing what is left of an earlier secret: %w", err)
	}
	if _, err := Read(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("making a secret: %w", err)
	}
	if err := atomicfile.Write(path, []byte(hex.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the secret %s: %w", path, err)
	}
	return nil
}
