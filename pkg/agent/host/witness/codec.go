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

package witness

import (
	"encoding/json"
	"io"
	"net/rpc"
	"sync"
)

// codec is an rpc.ClientCodec of the Open vSwitch database's protocol, RFC 7047: JSON-RPC 1.0 in which the server also calls.
type codec struct {
	conn    io.ReadWriteCloser
	decoder *json.Decoder
	// update is called for each report of changes before a later answer is handed over, and when the connection has ended.
	update func()
	// answer is the result that was read last.
	answer json.RawMessage

	writing sync.Mutex
	encoder *json.Encoder
}

var _ rpc.ClientCodec = &codec{}

// outgoing is a request, or the answer to an echo.
type outgoing struct {
	Method string          `json:"method,omitempty"`
	Params any             `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
	ID     any             `json:"id"`
}

// incoming is an answer, or a call of the server's.
type incoming struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	ID     json.RawMessage `json:"id"`
}

func newCodec(conn io.ReadWriteCloser, update func()) *codec {
	return &codec{conn: conn, update: update, decoder: json.NewDecoder(conn), encoder: json.NewEncoder(conn)}
}

func (c *codec) write(message outgoing) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.encoder.Encode(message)
}

// WriteRequest implements rpc.ClientCodec.
func (c *codec) WriteRequest(request *rpc.Request, params any) error {
	return c.write(outgoing{Method: request.ServiceMethod, Params: params, ID: request.Seq})
}

// ReadResponseHeader implements rpc.ClientCodec. It deals with what the server calls until an answer comes.
func (c *codec) ReadResponseHeader(response *rpc.Response) error {
	for {
		var message incoming
		err := c.decoder.Decode(&message)
		switch {
		case err != nil:
		case message.Method == "update":
			c.update()
			continue
		case message.Method == "echo":
			err = c.write(outgoing{Result: message.Params, Error: json.RawMessage("null"), ID: message.ID})
			if err == nil {
				continue
			}
		case message.Method != "":
			continue
		default:
			c.answer = message.Result
			if text := string(message.Error); text != "" && text != "null" {
				response.Error = text
			}
			err = json.Unmarshal(message.ID, &response.Seq)
		}
		if err != nil {
			c.update()
		}
		return err
	}
}

// ReadResponseBody implements rpc.ClientCodec.
func (c *codec) ReadResponseBody(into any) error {
	if into == nil {
		return nil
	}
	return json.Unmarshal(c.answer, into)
}

// Close implements rpc.ClientCodec.
func (c *codec) Close() error { return c.conn.Close() }
