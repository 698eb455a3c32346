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

package main

import (
	"bytes"
	"io"
)

const hidden = "***"

// hiding writes without a secret: should a program or a server ever repeat it, it is not shown. Each write is taken by
// itself, and all writers here write whole lines.
type hiding struct {
	w      io.Writer
	secret string
}

func (h *hiding) Write(p []byte) (int, error) {
	shown := p
	if h.secret != "" {
		shown = bytes.ReplaceAll(p, []byte(h.secret), []byte(hidden))
	}
	if _, err := h.w.Write(shown); err != nil {
		return 0, err
	}
	return len(p), nil
}
