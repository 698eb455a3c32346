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
	"errors"
	"reflect"
	"strings"
	"time"

	"k8s.io/klog/v2"
)

// Request says of which change the network is to be noted.
type Request struct {
	// Desired is the desired state of the change. Current is the network before it, with
	// its secrets. Both are in nmstate's format.
	Desired, Current []byte
	// Managed tells that NetworkManager carries the change out.
	Managed bool
	// All notes the whole network, whatever Desired says.
	All bool
}

// Apply applies a state with libnmstate and commits it.
type Apply func(ctx context.Context, state []byte) error

// Before is what a change may alter, as it was before the change. It has secrets.
type Before struct {
	was *snapshot
	// Manager is NetworkManager's part. It is empty if NetworkManager does not carry the
	// change out.
	Manager Manager
	// outside is what NetworkManager may take over although it is not in the scope, nil if there is nothing.
	outside *outside
	// databases is the state that makes Open vSwitch's database what it was, nil if the
	// change does not touch it.
	databases []byte
}

// Note notes what a change may alter, as it is now, and begins to watch what happens
// to the links. Close ends the watch.
func Note(ctx context.Context, in Request) (*Before, error) {
	within := everything()
	b := &Before{}
	var err error
	if !in.All {
		if within, err = scopeOf(in.Desired, in.Current, in.Managed); err != nil {
			return nil, err
		}
		if b.databases, err = databasesBefore(in.Desired, in.Current); err != nil {
			return nil, err
		}
	}
	if within.managed = in.Managed; in.Managed {
		if b.Manager, err = readManager(ctx, &within); err != nil {
			return nil, err
		}
		uses, err := readUses(ctx)
		if err != nil {
			return nil, err
		}
		if b.outside, err = noteOutside(within, uses, b.Manager.known); err != nil {
			return nil, err
		}
		within.foreign = foreignIn(within, uses)
	}
	b.was, err = takeWatchedSnapshot(within, in.Current)
	if err != nil {
		return nil, err
	}
	b.was.uncovered = append(b.was.uncovered, b.Manager.uncovered()...)
	if in.Managed {
		b.was.uncovered = append(b.was.uncovered, uncoveredScripts(in.Desired)...)
	}
	return b, nil
}

// Watch begins to watch what happens to the links, unless Note has begun it. Routes of
// daemons are put back only if the change made the kernel flush them, and the watch
// tells that.
func (b *Before) Watch() error {
	if b.was.disturbances != nil {
		return nil
	}
	return b.was.watch()
}

// Uncovered names what the change may alter and Restore cannot put back.
func (b *Before) Uncovered() []string { return b.was.uncovered }

// Close ends the watch over the links.
func (b *Before) Close() {
	if b != nil {
		b.was.close()
	}
}

// Restore makes the network what it was. It returns what could not be put back, "" if
// nothing. Where NetworkManager carries changes out and has a checkpoint, that is rolled back
// first, and AwaitRollback waits for it. Without a checkpoint, Restore puts the profiles back.
func (b *Before) Restore(ctx context.Context, apply Apply) (leftover string) {
	if b.was.scope.managed {
		if err := errors.Join(b.was.mendHostname(ctx, apply), b.mendManager(ctx)); err != nil {
			// The comparison below finds and reports what this has left.
			klog.FromContext(ctx).Error(b.was.withoutSecrets(err), "Putting NetworkManager's part back")
		}
		b.was.settle(ctx)
	}
	b.was.restore(ctx, apply)
	left, err := b.Differences(ctx)
	if now, failed := b.was.lookAgain(); failed == nil {
		left = append(left, b.was.movedMetrics(now)...)
	}
	if err != nil {
		left = append(left, b.was.withoutSecrets(err).Error())
	}
	if b.databases != nil {
		// Nothing here reads the database: nmstate verifies it.
		if err := apply(ctx, b.databases); err != nil {
			left = append(left, "Open vSwitch's database: "+b.was.withoutSecrets(err).Error())
		}
	}
	return joined(strings.Join(left, "; "), b.outside.restore(ctx, apply))
}

// Differences tells what of the network is not as it was, and is to be put back.
func (b *Before) Differences(ctx context.Context) ([]string, error) {
	now, err := b.was.lookAgain()
	if err != nil {
		return nil, err
	}
	found := b.was.differences(now)
	if !b.was.scope.managed {
		return found, nil
	}
	manager, err := b.readManagerNow(ctx)
	if err != nil {
		return found, err
	}
	if b.was.scope.dns && !reflect.DeepEqual(manager.GlobalDNS, b.Manager.GlobalDNS) {
		found = append(found, "NetworkManager's global DNS is different")
	}
	return append(found, b.Manager.differences(manager)...), nil
}

// AwaitRollback waits until NetworkManager has rolled the change back, by order or by
// itself: at most the timeout until it has no checkpoint of ours any more, and then until it
// has finished with the devices, see awaitDevices.
func (b *Before) AwaitRollback(ctx context.Context, timeout time.Duration) error {
	return errors.Join(b.Manager.AwaitCheckpoints(ctx, timeout), awaitDevices(ctx, b.was.scope, b.Manager.devices))
}
