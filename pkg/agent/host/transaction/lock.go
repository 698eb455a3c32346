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

package transaction

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// lockName is the lock's file in the state folder.
const lockName = "transaction.lock"

// lock keeps two agents from changing the network of one node. The kernel's lock belongs
// to the open file, which the agent passes to its worker: it is held until both have ended.
type lock struct {
	path string
	file *os.File
}

// take takes the lock. It returns false if another agent, or its worker, has it.
func (l *lock) take() (taken bool, err error) {
	if l.file == nil {
		file, err := os.OpenFile(l.path, os.O_RDONLY|os.O_CREATE, 0o600)
		if errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOSPC) {
			// There was never a file, so that no agent has ever changed anything.
			file, err = os.Open(filepath.Dir(l.path))
		}
		if err != nil {
			return false, fmt.Errorf("opening the lock of changes: %w", err)
		}
		l.file = file
	}
	err = unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("taking the lock of changes: %w", err)
	}
	// Who has the lock is told to whoever looks at the file; nothing depends on it.
	_ = os.WriteFile(l.path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return true, nil
}

// await takes the lock as soon as it is free, or returns false after the timeout.
func (l *lock) await(ctx context.Context, timeout time.Duration) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// flock(2) tells nobody when a lock becomes free, and waiting in it cannot be ended.
	for pause := time.NewTicker(100 * time.Millisecond); ; {
		if taken, err = l.take(); taken || err != nil {
			pause.Stop()
			return taken, err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return false, nil
		}
	}
}

// release gives the lock up; a worker may still have it.
func (l *lock) release() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// heldBy tells whether the process has the lock's file open, which only agents and their workers have.
func (l *lock) heldBy(pid int) bool {
	want, err := os.Stat(l.path)
	if err != nil {
		return false
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	files, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, file := range files {
		if is, err := os.Stat(filepath.Join(dir, file.Name())); err == nil && os.SameFile(want, is) {
			return true
		}
	}
	return false
}
