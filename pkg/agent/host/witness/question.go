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
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// question is a netlink socket on which the kernel is asked for lists. The
// library's leaves 64 kB of garbage behind for each answer, and for a barrier there
// are a dozen.
type question struct {
	fd     int
	seq    uint32
	buffer []byte
}

// newQuestion opens a socket of the protocol.
func newQuestion(protocol int) (*question, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("opening a socket to ask the kernel: %w", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &nl.SocketTimeoutTv); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("limiting the time that the kernel is waited for: %w", err)
	}
	return &question{fd: fd, buffer: make([]byte, nl.RECEIVE_BUFFER_SIZE)}, nil
}

func (q *question) close() { unix.Close(q.fd) }

// dump sends a request for a list (NLM_F_DUMP), or for one item (NLM_F_ACK), and calls each with every item,
// which is good until it returns. An error means that the list is not whole.
func (q *question) dump(request *nl.NetlinkRequest, each func(item []byte)) error {
	q.seq++
	request.Seq = q.seq
	if err := unix.Sendto(q.fd, request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for interrupted := false; ; {
		messages, err := q.receive()
		if err != nil {
			return err
		}
		for _, message := range messages {
			if message.Header.Seq != q.seq {
				continue // of a list that was given up
			}
			interrupted = interrupted || message.Header.Flags&unix.NLM_F_DUMP_INTR != 0
			switch message.Header.Type {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				if err := errorOf(message); err != nil {
					return err
				}
				if interrupted {
					return netlink.ErrDumpInterrupted
				}
				return nil
			}
			each(message.Data)
		}
	}
}

// receive returns the next messages of the kernel's, which are in the buffer.
func (q *question) receive() ([]syscall.NetlinkMessage, error) {
	for {
		n, from, err := unix.Recvfrom(q.fd, q.buffer, unix.MSG_TRUNC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n > len(q.buffer) {
			return nil, fmt.Errorf("the kernel's message has %d bytes, more than %d", n, len(q.buffer))
		}
		if !isKernel(from) {
			continue
		}
		return syscall.ParseNetlinkMessage(q.buffer[:n])
	}
}

// isKernel tells whether a message came from the kernel: others may send some, too.
func isKernel(from unix.Sockaddr) bool {
	sender, ok := from.(*unix.SockaddrNetlink)
	return ok && sender.Pid == nl.PidKernel
}

// errorOf returns the error that the last message of a list tells of, see netlink(7).
func errorOf(last syscall.NetlinkMessage) error {
	if len(last.Data) < 4 {
		return nil
	}
	if code := int32(nl.NativeEndian().Uint32(last.Data)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
