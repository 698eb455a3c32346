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
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// encoder writes a value of a state as the kernel reads it.
type encoder func(value any) ([]byte, error)

// option is one of nmstate's options and the kernel's attribute for it.
type option struct {
	name      string
	attribute uint16
	encode    encoder
}

// integer reads a number that is given as such or as text, in hexadecimal too.
func integer(value any) (uint64, error) {
	text := strings.TrimSpace(tree.Text(value))
	if signed, err := strconv.ParseInt(text, 0, 64); err == nil {
		return uint64(signed), nil
	}
	number, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return number, nil
}

// boolean reads a truth value as nmstate does, which takes some words for it.
func boolean(value any) (bool, error) {
	switch strings.ToLower(tree.Text(value)) {
	case "true", "yes", "on", "y", "1":
		return true, nil
	case "false", "no", "off", "n", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", tree.Text(value))
}

// width writes a number in some bytes, in the machine's order.
func width(number uint64, bytes int) []byte {
	value := make([]byte, bytes)
	switch bytes {
	case 1:
		value[0] = byte(number)
	case 2:
		nl.NativeEndian().PutUint16(value, uint16(number))
	case 4:
		nl.NativeEndian().PutUint32(value, uint32(number))
	case 8:
		nl.NativeEndian().PutUint64(value, number)
	}
	return value
}

// unsigned is the encoder of numbers of some bytes.
func unsigned(bytes int) encoder {
	return func(value any) ([]byte, error) {
		number, err := integer(value)
		return width(number, bytes), err
	}
}

// times is unsigned for 32 bits, of a number that the kernel has in a smaller unit.
func times(factor uint64) encoder {
	return func(value any) ([]byte, error) {
		number, err := integer(value)
		return width(number*factor, 4), err
	}
}

// truth is the encoder of truth values, as numbers of some bytes.
func truth(bytes int) encoder {
	return func(value any) ([]byte, error) {
		is, err := boolean(value)
		if is {
			return width(1, bytes), err
		}
		return width(0, bytes), err
	}
}

// bigEndian is the encoder of numbers of 16 bits that the kernel has in the network's order.
func bigEndian(value any) ([]byte, error) {
	number, err := integer(value)
	return binary.BigEndian.AppendUint16(nil, uint16(number)), err
}

// word is the encoder of words that the kernel has as numbers, from 0 on. nmstate takes these numbers, too.
func word(bytes int, words ...string) encoder {
	return func(value any) ([]byte, error) {
		text := strings.ToLower(tree.Text(value))
		if at := slices.Index(words, text); at >= 0 {
			return width(uint64(at), bytes), nil
		}
		if number, err := strconv.Atoi(text); err == nil && number >= 0 && number < len(words) {
			return width(uint64(number), bytes), nil
		}
		return nil, fmt.Errorf("%q is none of %s", text, strings.Join(words, ", "))
	}
}

// hardware is the encoder of MAC addresses.
func hardware(value any) ([]byte, error) { return net.ParseMAC(tree.Text(value)) }

// address is the encoder of IP addresses.
func address(value any) ([]byte, error) {
	ip, err := netip.ParseAddr(strings.TrimSpace(tree.Text(value)))
	if err != nil {
		return nil, err
	}
	return ip.AsSlice(), nil
}

// protocol is the encoder of the protocols of VLANs (ETH_P_8021Q and ETH_P_8021AD).
func protocol(value any) ([]byte, error) {
	switch strings.ToLower(tree.Text(value)) {
	case "802.1q":
		return binary.BigEndian.AppendUint16(nil, 0x8100), nil
	case "802.1ad":
		return binary.BigEndian.AppendUint16(nil, 0x88a8), nil
	}
	return nil, fmt.Errorf("%q is no protocol of VLANs", tree.Text(value))
}

// section returns the first of the sections that an interface has; nmstate has more than one name for some.
func section(fields map[string]any, names ...string) map[string]any {
	for _, name := range names {
		if found := tree.Object(fields[name]); found != nil {
			return found
		}
	}
	return nil
}
