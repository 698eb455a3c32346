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

// Package lldp hears what the neighbours of a host say of themselves by LLDP (IEEE 802.1AB). It listens and
// sends nothing, and no neighbour notices it.
package lldp

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
	"k8s.io/klog/v2"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/ports"
	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

const (
	// maxPorts is how many ports are listened on. With what is remembered of each, that is some megabytes at most.
	maxPorts = 128
	// The links are looked at after each event, but at most once a second, after so many times in a row.
	lookInterval = time.Second
	lookBurst    = 10
)

// Listener listens on the ports of this host: on its Ethernet hardware, and where there is none, as in a container that
// is a node, on its veths. A nil Listener listens nowhere.
type Listener struct {
	// shown tells whether a link is one of the host's, and no pod's.
	shown func(rtnetlink.Port) bool
	// recheck has something in it when the links are to be looked at.
	recheck chan struct{}
	now     func() time.Time

	mu sync.Mutex
	// ports are those that are listened on, or could not be, by their indexes.
	ports map[int]*port
}

// port is a port that is listened on.
type port struct {
	// tapped tells that all frames of the port pass the filter: its controller takes them away before others see them.
	tapped bool
	// carrierChanges are as they were when what is remembered was heard.
	carrierChanges uint32
	neighbors      neighbors
	// socket is what is listened with; nil if that failed, as failure says.
	socket  *os.File
	failure string
}

// New returns a Listener; it listens while it runs. shown tells whether a link is one of the host's own.
func New(shown func(rtnetlink.Port) bool) *Listener {
	return &Listener{shown: shown, recheck: make(chan struct{}, 1), now: time.Now, ports: map[int]*port{}}
}

// Recheck has the Listener look at the links again, as after an event.
func (l *Listener) Recheck() {
	if l == nil {
		return
	}
	select {
	case l.recheck <- struct{}{}:
	default:
	}
}

// Run listens until ctx ends; it returns ctx's error, or why the kernel's events cannot be received.
func (l *Listener) Run(ctx context.Context) error {
	events, err := rtnetlink.Follow(unix.RTNLGRP_LINK)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer l.update(ctx, &tasks, nil)
	defer events.Close()
	tasks.Go(func() {
		for {
			if err := events.Wait(); err != nil {
				failed <- fmt.Errorf("receiving the kernel's events of links: %w", err)
				return
			}
			l.Recheck()
		}
	})
	limit := rate.NewLimiter(rate.Every(lookInterval), lookBurst)
	for {
		links, err := rtnetlink.Ports()
		if err != nil {
			klog.FromContext(ctx).Error(err, "LLDP: the links cannot be listed, and the ports that are listened on stay")
		} else {
			l.update(ctx, &tasks, l.choose(links))
		}
		select {
		case <-l.recheck:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := limit.Wait(ctx); err != nil {
			return err
		}
	}
}

// choice is a link that is to be listened on.
type choice struct {
	rtnetlink.Port
	tapped bool
}

// choose returns the links to listen on, in the order of their indexes.
func (l *Listener) choose(links []rtnetlink.Port) []choice {
	chosen := slices.DeleteFunc(slices.Clone(links), func(link rtnetlink.Port) bool { return !ports.IsHardware(link) })
	if len(chosen) == 0 {
		chosen = slices.DeleteFunc(slices.Clone(links), func(link rtnetlink.Port) bool { return link.Kind != "veth" || !l.shown(link) })
	}
	choices := make([]choice, 0, len(chosen))
	for _, link := range chosen {
		// Open vSwitch takes each frame of its ports. Bridges and bonds leave those of LLDP to whoever asks for them.
		choices = append(choices, choice{link, link.PortKind == "openvswitch"})
	}
	return choices
}

// update makes the ports that are listened on those that are chosen.
func (l *Listener) update(ctx context.Context, tasks *sync.WaitGroup, chosen []choice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := map[int]bool{}
	for index := range l.ports {
		gone[index] = true
	}
	for i, c := range chosen {
		delete(gone, c.Index)
		known := l.ports[c.Index]
		if known != nil && known.socket != nil && known.tapped == c.tapped {
			known.settle(c.Port)
			continue
		}
		opened := l.open(tasks, c, i)
		if opened.failure != "" && (known == nil || known.failure != opened.failure) {
			klog.FromContext(ctx).Info("LLDP: the agent does not listen", "interface", c.Name, "reason", opened.failure)
		}
		if known != nil {
			known.close()
		}
		l.ports[c.Index] = opened
	}
	for index := range gone {
		l.ports[index].close()
		delete(l.ports, index)
	}
}

// open listens on a link, the i-th of those that are chosen.
func (l *Listener) open(tasks *sync.WaitGroup, c choice, i int) *port {
	p := &port{tapped: c.tapped, carrierChanges: c.CarrierChanges}
	if i >= maxPorts {
		p.failure = fmt.Sprintf("the agent listens on %d ports at most", maxPorts)
		return p
	}
	socket, err := listen(c.Index, c.tapped)
	if err != nil {
		p.failure = err.Error()
		return p
	}
	p.socket = socket
	tasks.Go(func() {
		// It ends when the socket is closed.
		receive(socket, func(frame []byte) { l.heard(c.Index, p, frame) })
	})
	return p
}

// heard takes a frame that came to a port.
func (l *Listener) heard(index int, p *port, frame []byte) {
	said, err := parse(frame)
	l.mu.Lock()
	defer l.mu.Unlock()
	// A frame that is wrong says nothing, and whoever sends it could fill the log.
	if err != nil || l.ports[index] != p {
		return
	}
	p.neighbors.add(said, l.now())
}

// Heard returns what was heard on a link that the kernel has just told of; nil if the Listener does not listen there.
func (l *Listener) Heard(link rtnetlink.Port) *v1alpha1.PortLLDP {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.ports[link.Index]
	if p == nil {
		return nil
	}
	p.settle(link)
	return &v1alpha1.PortLLDP{Neighbors: p.neighbors.list(l.now()), Message: p.failure}
}

// settle forgets what was heard before the carrier came or went: something else may be at the other end.
func (p *port) settle(link rtnetlink.Port) {
	if p.carrierChanges != link.CarrierChanges {
		p.carrierChanges = link.CarrierChanges
		p.neighbors.forget()
	}
}

// close ends the listening.
func (p *port) close() {
	if p.socket != nil {
		p.socket.Close()
	}
}
