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

package tree

import (
	"net/netip"
	"strings"
)

// Prefix returns the network that a value of a state means. An address alone is a network of its own.
func Prefix(value any) (netip.Prefix, error) {
	text := Text(value)
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		return prefix.Masked(), err
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// SamePrefix tells whether two values mean the same network.
func SamePrefix(a, b any) bool {
	one, err1 := Prefix(a)
	other, err2 := Prefix(b)
	return err1 == nil && err2 == nil && one == other
}
