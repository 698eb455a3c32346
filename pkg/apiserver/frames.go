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

package apiserver

import (
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/responsewriter"
)

// framePayload is how many bytes of an answer are written at once over HTTP/2. With the header of its
// frame, 9 bytes, a write then fills one TLS record, of 16 KiB. HTTP/2 would otherwise make frames of
// 16 KiB and TLS two records of each, the second one of 9 bytes: twice as many calls of the kernel.
const framePayload = 16<<10 - 9

// inRecords returns a handler whose answers over HTTP/2 are written in pieces that fill TLS records.
func inRecords(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			w = responsewriter.WrapForHTTP1Or2(recordWriter{w})
		}
		next.ServeHTTP(w, r)
	})
}

// recordWriter passes long writes on in pieces.
type recordWriter struct{ http.ResponseWriter }

var _ responsewriter.UserProvidedDecorator = recordWriter{}

// Unwrap implements responsewriter.UserProvidedDecorator.
func (w recordWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements http.ResponseWriter.
func (w recordWriter) Write(text []byte) (int, error) {
	for written := 0; ; {
		piece := text[written:]
		piece = piece[:min(len(piece), framePayload)]
		n, err := w.ResponseWriter.Write(piece)
		written += n
		if err != nil || written == len(text) {
			return written, err
		}
	}
}
