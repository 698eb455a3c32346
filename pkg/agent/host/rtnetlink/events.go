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

package rtnetlink

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// most is how many reports are taken at once: there may be no end of them.
const most = 1000

// Events are the kernel's reports of changes, for those to whom it matters only that there are some.
type Events struct {
	file *os.File
	conn syscall.RawConn
}

// Follow subscribes to the reports of rtnetlink(7) groups. The library's socket leaves 64 kB of garbage behind for each report,
// and a link that goes up and down makes a dozen each time.
func Follow(groups ...uint) (*Events, error) {
	socket, err := Subscribe(groups...)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	fd, err := unix.FcntlInt(uintptr(socket.GetFd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("taking the socket of the kernel's network events: %w", err)
	}
	file := os.NewFile(uintptr(fd), "rtnetlink")
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("taking the socket of the kernel's network events: %w", err)
	}
	return &Events{file: file, conn: conn}, nil
}

// Wait returns when something was reported since the last call, or reports were lost. It is an error after Close.
func (e *Events) Wait() error {
	var failed error
	err := e.conn.Read(func(fd uintptr) bool {
		var taken int
		taken, failed = e.take(int(fd))
		return taken > 0 || failed != nil
	})
	return errors.Join(err, failed)
}

// Drop takes the reports that are there, as many as Wait takes at once, so that Wait returns for later ones.
func (e *Events) Drop() error {
	var failed error
	err := e.conn.Control(func(fd uintptr) { _, failed = e.take(int(fd)) })
	return errors.Join(err, failed)
}

// take takes the reports that are there, and says how many there were. Reports that were lost count as one.
func (e *Events) take(fd int) (int, error) {
	for taken := range most {
		_, _, err := unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return taken, nil
		case err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR):
			return taken, err
		}
	}
	return most, nil
}

// Close ends a Wait that is under way.
func (e *Events) Close() error { return e.file.Close() }
