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

package undo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/atomicfile"
)

// FlushManaged is Flush with NetworkManager. A process that does not see NetworkManager's files, as in a container, has all
// that was written to the file system of dir, a folder of the host's, go to the disk (syncfs(2)). sync(2) would wait for other disks and for
// network file systems, too.
func FlushManaged(dir string) {
	if _, err := os.Stat(profileFolders[0]); err == nil {
		Flush()
		return
	}
	folder, err := os.Open(dir)
	if err == nil {
		err = errors.Join(unix.Syncfs(int(folder.Fd())), folder.Close())
	}
	if err != nil {
		klog.Background().Error(err, "Having the disk take what was written", "path", dir)
	}
}

// Flush returns when what was written into the files of NetworkManager and nmstate is on the disk (fsync(2)). Neither waits
// for that, so a power cut would take away for half a minute what the journal says has been.
func Flush() {
	for _, path := range []string{profileFolders[0], scriptFiles, linkFiles, HostnameFile, ResolvConf} {
		if err := flushTree(path); err != nil {
			klog.Background().Error(err, "Having the disk take what was written", "path", path)
		}
	}
}

// flushTree flushes a file, or a folder with all that is in it. What is not there needs no flush but its folder's.
func flushTree(root string) error {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() && !entry.Type().IsRegular() {
			return err
		}
		return flush(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, flush(filepath.Dir(root)))
}

func flush(path string) error {
	err := atomicfile.Sync(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
