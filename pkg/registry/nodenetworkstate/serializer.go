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

package nodenetworkstate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// keptSerializer is upstream's, but its compact JSON of NodeNetworkStates, of lists of them and of watch
// events comes from Encodings. What it writes is what upstream writes, byte for byte.
type keptSerializer struct {
	runtime.NegotiatedSerializer
	encodings *Encodings
	// compact is upstream's serializer of compact JSON.
	compact runtime.Encoder
	// buffers are *bufio.Writer. A write to a client's connection costs more than to copy what is written.
	buffers *sync.Pool
}

// chunk is how many bytes are written to a client's connection at once.
const chunk = 64 << 10

// NewSerializer returns a serializer that answers as upstream does, from what encodings has.
func NewSerializer(upstream runtime.NegotiatedSerializer, encodings *Encodings) runtime.NegotiatedSerializer {
	info, ok := runtime.SerializerInfoForMediaType(upstream.SupportedMediaTypes(), runtime.ContentTypeJSON)
	if !ok {
		return upstream
	}
	return keptSerializer{upstream, encodings, info.Serializer, &sync.Pool{New: func() any { return bufio.NewWriterSize(nil, chunk) }}}
}

// EncoderForVersion implements runtime.NegotiatedSerializer.
func (s keptSerializer) EncoderForVersion(encoder runtime.Encoder, version runtime.GroupVersioner) runtime.Encoder {
	upstream := s.NegotiatedSerializer.EncoderForVersion(encoder, version)
	if encoder != s.compact || version.Identifier() != v1alpha1.SchemeGroupVersion.Identifier() {
		return upstream
	}
	return itemEncoder{upstream, s}
}

// itemEncoder encodes from Encodings what it can, and has upstream's encoder do the rest.
type itemEncoder struct {
	runtime.Encoder
	keptSerializer
}

// Encode implements runtime.Encoder.
func (e itemEncoder) Encode(obj runtime.Object, w io.Writer) error {
	switch o := obj.(type) {
	case runtime.CacheableObject:
		return o.CacheEncode(e.Identifier(), e.Encode, w)
	case *v1alpha1.NodeNetworkStateList:
		return e.encodeList(o, w)
	case *v1alpha1.NodeNetworkState:
		return e.encodeObject(o, w)
	case *metav1.WatchEvent:
		return e.encodeEvent(o, w)
	}
	return e.Encoder.Encode(obj, w)
}

// kindOfObject is how the JSON text of an object begins that is no item of a list.
var kindOfObject = []byte(`{"kind":"` + kind + `","apiVersion":"` + v1alpha1.SchemeGroupVersion.String() + `",`)

// encodeObject writes one object, at once: upstream compresses what comes with a large first write. The buffer
// of a watch, which is used again for each event, takes pieces.
func (e itemEncoder) encodeObject(object *v1alpha1.NodeNetworkState, w io.Writer) error {
	if object.TypeMeta != (metav1.TypeMeta{}) {
		return e.Encoder.Encode(object, w)
	}
	pieces, err := e.encodings.textOf(object)
	if err != nil {
		return err
	}
	pieces = slices.Concat([][]byte{kindOfObject, bytes.TrimPrefix(pieces[0], []byte("{"))}, pieces[1:], [][]byte{[]byte("\n")})
	if _, ok := w.(runtime.Splice); !ok {
		pieces = [][]byte{bytes.Join(pieces, nil)}
	}
	return writeAll(w, pieces)
}

// writeAll writes pieces, one after the other.
func writeAll(w io.Writer, pieces [][]byte) error {
	for _, piece := range pieces {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// encodeList writes a list. The first write has one byte, as upstream's: that is how upstream's
// writer knows that it has to wait for more before it decides whether to compress.
func (e itemEncoder) encodeList(list *v1alpha1.NodeNetworkStateList, w io.Writer) error {
	const end = "]}\n"
	frame := *list
	frame.Items = []v1alpha1.NodeNetworkState{}
	var text bytes.Buffer
	if err := e.Encoder.Encode(&frame, &text); err != nil {
		return err
	}
	begin, ok := bytes.CutSuffix(text.Bytes(), []byte(end))
	if !ok || len(list.Items) == 0 {
		return e.Encoder.Encode(list, w)
	}
	if _, err := w.Write(begin[:1]); err != nil {
		return err
	}
	buffer := e.buffers.Get().(*bufio.Writer)
	buffer.Reset(w)
	defer func() {
		buffer.Reset(nil)
		e.buffers.Put(buffer)
	}()
	_, _ = buffer.Write(begin[1:]) // Flush returns the error.
	for i := range list.Items {
		if i > 0 {
			_ = buffer.WriteByte(',')
		}
		if err := e.encodeItem(&list.Items[i], buffer); err != nil {
			return err
		}
	}
	_, _ = buffer.WriteString(end)
	return buffer.Flush()
}

// encodeItem writes an item of a list. The error may also be that of an earlier write to w.
func (e itemEncoder) encodeItem(item *v1alpha1.NodeNetworkState, w *bufio.Writer) error {
	pieces, err := e.encodings.textOf(item)
	if err != nil {
		return err
	}
	return writeAll(w, pieces)
}

// encodeEvent writes an event of a watch. Its object is JSON text already, which upstream would
// make compact and escape once more.
func (e itemEncoder) encodeEvent(event *metav1.WatchEvent, w io.Writer) error {
	text, ok := bytes.CutSuffix(event.Object.Raw, []byte("\n"))
	if !ok || bytes.IndexByte(text, '\n') >= 0 || event.Object.Object != nil {
		return e.Encoder.Encode(event, w)
	}
	what, err := json.Marshal(event.Type)
	if err != nil {
		return err
	}
	return writeAll(w, [][]byte{[]byte(`{"type":`), what, []byte(`,"object":`), text, []byte("}\n")})
}
