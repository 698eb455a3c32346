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

package preparation

import (
	"bytes"
	"fmt"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/rtnetlink"
)

// setting is the value of one attribute of a link, for the link itself or for it as a port.
type setting struct {
	name      string
	attribute uint16
	value     []byte
	// text is the value as the state has it.
	text string
	// link names the link whose index is the value.
	link string
}

func (s setting) String() string { return s.name + "=" + s.text }

// settings returns the settings of the options that are given.
func settings(fields map[string]any, options []option) ([]setting, error) {
	var list []setting
	for _, o := range options {
		value, given := fields[o.name]
		if !given || value == nil {
			continue
		}
		encoded, err := o.encode(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		list = append(list, setting{name: o.name, attribute: o.attribute, value: encoded, text: plain(value)})
	}
	return list, nil
}

// differing returns the settings that the link does not have already.
func differing(list []setting, has rtnetlink.Attributes, index func(name string) int) []setting {
	var left []setting
	for _, s := range list {
		value := s.value
		if s.link != "" {
			value = width(uint64(index(s.link)), 4)
		}
		if !sameValue(has, s.attribute, value) {
			left = append(left, s)
		}
	}
	return left
}

// sameValue tells whether an attribute has a value already. A list that is empty is not shown.
func sameValue(has rtnetlink.Attributes, number uint16, value []byte) bool {
	is, there := has[number]
	return there && bytes.Equal(is, value) || !there && len(value) == 0
}
