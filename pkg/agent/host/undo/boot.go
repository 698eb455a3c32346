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
	"context"
	"strings"
)

// RestoreFiles makes the files, and the hostname, what they were. It is for a change that was
// begun before the node was booted, where the kernel alone carries changes out: all
// else that the change has altered is gone. It returns what could not be put back, "" if nothing.
func (b *Before) RestoreFiles(ctx context.Context) (leftover string) {
	now, err := b.was.lookAgain()
	if err == nil {
		err = b.was.mendFiles(ctx, now, nil)
	}
	if err == nil {
		now, err = b.was.lookAgain()
	}
	if err != nil {
		return b.was.withoutSecrets(err).Error()
	}
	var left []string
	for _, name := range b.was.scope.files {
		was, wasThere := b.was.files[name]
		is, isThere := now.files[name]
		if wasThere != isThere || wasThere && !is.same(was) {
			left = append(left, "file "+name+" is different")
		}
	}
	return strings.Join(left, "; ")
}
