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

package standalone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
)

// WriteKubeconfig writes the administrator's kubeconfig to path, mode 0600. It has
// the server's url and a client certificate of the CA. trusted has the CAs, PEM,
// one of which has signed the server's certificate; nil means the system's CAs.
func (c *CA) WriteKubeconfig(path, url string, trusted []byte) error {
	cert, key, err := c.Client("admin", user.SystemPrivilegedGroup)
	if err != nil {
		return fmt.Errorf("making the administrator's certificate: %w", err)
	}
	const name = "nmstate"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: url, CertificateAuthorityData: trusted}
	config.AuthInfos["admin"] = &api.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: "admin"}
	config.CurrentContext = name
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the administrator's kubeconfig: %w", err)
	}
	if err := errors.Join(atomicfile.Sweep(path), atomicfile.Write(path, text, 0o600)); err != nil {
		return fmt.Errorf("writing the administrator's kubeconfig: %w", err)
	}
	return nil
}
