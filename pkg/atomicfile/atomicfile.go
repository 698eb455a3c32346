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

// Package atomicfile writes files that are read after a crash.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Write replaces the file at path by one that has data and the given mode. The
// new file is on disk when Write returns. After a crash there is the old file or
// the new one, and perhaps a temporary file, which Sweep removes.
func Write(path string, data []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), temporaryName(filepath.Base(path)))
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	if err := errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return Sync(filepath.Dir(path))
}

// Rename gives the file at from, which is on disk, the name to. The renaming is on disk
// when Rename returns.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return Sync(filepath.Dir(to))
}

// Sweep removes the temporary files that a crash in the midst of Write has left
// beside path. The last element of path may be a pattern, as of path.Match.
// A Write of the same path that is under way fails: call Sweep when nobody else
// writes, such as at the start of the program that owns the file.
func Sweep(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweeping %s: %w", dir, err)
	}
	var errs []error
	for _, entry := range entries {
		target, isTemporary := targetOf(entry.Name())
		matches, err := filepath.Match(base, target)
		if err == nil && isTemporary && matches && entry.Type().IsRegular() {
			err = os.Remove(filepath.Join(dir, entry.Name()))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// temporaryName is the pattern of a temporary file's name, for os.CreateTemp, which
// puts a number in the place of the asterisk.
func temporaryName(target string) string { return "." + target + "-*" }

// targetOf is temporaryName's opposite: it returns the name of the file that a
// temporary file was to become.
func targetOf(temporary string) (name string, isTemporary bool) {
	name, isHidden := strings.CutPrefix(temporary, ".")
	dash := strings.LastIndexByte(name, '-')
	if !isHidden || dash < 0 {
		return "", false
	}
	_, err := strconv.ParseUint(name[dash+1:], 10, 64)
	return name[:dash], err == nil
}

// Sync returns when the file or folder at path is on disk as it is. A folder's content are the names in it (fsync(2)).
func Sync(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}
