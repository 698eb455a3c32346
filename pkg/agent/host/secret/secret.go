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

// Package secret masks the secrets of network states, and keeps them out of texts.
package secret

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nmstate/kubernetes-nmstate/pkg/agent/host/tree"
)

// Mask stands where a secret is; it is nmstate's own (NetworkState::PASSWORD_HID_BY_NMSTATE).
const Mask = "<_password_hid_by_nmstate>"

// NothingToKeep is in the error of a mask where there is no secret.
const NothingToKeep = "is masked, and there is no secret to keep"

// secretFields are the fields of nmstate's schema that hold secrets, by the
// object that they are in: 802.1X, MACsec, IPsec by Libreswan, WireGuard.
var secretFields = map[string][]string{
	"802.1x":    {"password", "private-key-password"},
	"macsec":    {"mka-cak"},
	"libreswan": {"psk"},
	"wireguard": {"private-key", "preshared-key"},
	"peers":     {"preshared-key"},
}

// visitSecrets calls visit for each secret in tree, with a path that is the same
// wherever the item is in its list, and sets the field to what visit returns.
func visitSecrets(root any, visit func(path, value string) string) {
	walk(root, "", "", visit)
}

func walk(node any, path, in string, visit func(path, value string) string) {
	switch node := node.(type) {
	case map[string]any:
		for _, field := range secretFields[in] {
			if value := node[field]; value != nil {
				node[field] = visitOne(path+"."+field, value, visit)
			}
		}
		for key, child := range node {
			node[key] = walkChild(child, path+"."+key, key, visit)
		}
	case []any:
		for i, child := range node {
			node[i] = walkChild(child, path+"["+identity(child, i)+"]", in, visit)
		}
	}
}

// walkChild walks a child of an object or a list, and returns what is to stand in its place. Text
// in the place of an object that holds secrets is taken for a secret: a user who writes
// "802.1x: PASSWORD" makes a mistake, and nmstate's error would quote it.
func walkChild(child any, path, in string, visit func(path, value string) string) any {
	switch child.(type) {
	case map[string]any, []any:
		walk(child, path, in, visit)
		return child
	}
	if secretFields[in] == nil || child == nil {
		return child
	}
	return visitOne(path, child, visit)
}

// visitOne visits one secret. A number or worse is no secret that nmstate takes,
// but it must not be shown for that.
func visitOne(path string, value any, visit func(path, value string) string) any {
	text, isText := value.(string)
	if !isText {
		encoded, err := tree.Encode(value)
		if err != nil {
			return Mask
		}
		text = string(encoded)
	}
	if next := visit(path, text); isText || next != text {
		return next
	}
	return value
}

// identity names an item of a list: by its name or key where it has one.
func identity(item any, index int) string {
	if fields, ok := item.(map[string]any); ok {
		for _, key := range []string{"name", "public-key"} {
			if name, ok := fields[key].(string); ok {
				return name
			}
		}
	}
	return strconv.Itoa(index)
}

// MaskState returns raw with its secrets masked; byte for byte the same if it
// has none.
func MaskState(raw []byte) ([]byte, error) {
	return rewrite(raw, func(string, string) string { return Mask })
}

// UnmaskState returns raw with the masks in it replaced by the secrets that
// known has at the same place. A mask with nothing to keep is an error.
func UnmaskState(raw, known []byte) ([]byte, error) {
	secrets := map[string]string{}
	if root, err := tree.Decode(known); err == nil {
		visitSecrets(root, func(path, value string) string {
			secrets[path] = value
			return value
		})
	}
	missing := ""
	result, err := rewrite(raw, func(path, value string) string {
		if value != Mask {
			return value
		}
		real, ok := secrets[path]
		if !ok {
			missing = strings.TrimPrefix(path, ".")
		}
		return real
	})
	if err == nil && missing != "" {
		err = fmt.Errorf("%s %s: give the secret itself", missing, NothingToKeep)
	}
	return result, err
}

// HasMask tells whether a secret in tree is masked.
func HasMask(root any) bool {
	found := false
	visitSecrets(root, func(_, value string) string {
		found = found || value == Mask
		return value
	})
	return found
}

// rewrite sets each secret in raw to what visit returns for it.
func rewrite(raw []byte, visit func(path, value string) string) ([]byte, error) {
	root, err := tree.Decode(raw)
	if err != nil {
		return nil, err
	}
	changed := false
	visitSecrets(root, func(path, value string) string {
		next := visit(path, value)
		changed = changed || next != value
		return next
	})
	if !changed {
		return raw, nil
	}
	return tree.Encode(root)
}

// Scrub returns text without the secrets of the given states, in whatever
// notation a message may quote them.
func Scrub(text string, states ...[]byte) string {
	secrets := []string{Mask}
	for _, state := range states {
		root, err := tree.Decode(state)
		if err != nil {
			continue
		}
		visitSecrets(root, func(_, value string) string {
			if value != "" {
				quoted := strconv.Quote(value)
				secrets = append(secrets, value, quoted[1:len(quoted)-1])
			}
			return value
		})
	}
	// The longest first: one may be a part of another, or of the mask.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, secret := range secrets {
		pairs = append(pairs, secret, Mask)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// lastApplied is where "kubectl apply" keeps what it applied, secrets and all.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// MaskAnnotations masks the secrets in what kubectl keeps; what cannot be read
// is left out rather than shown.
func MaskAnnotations(annotations map[string]string) map[string]string {
	text, ok := annotations[LastApplied]
	if !ok {
		return annotations
	}
	result := make(map[string]string, len(annotations))
	for key, value := range annotations {
		result[key] = value
	}
	masked, err := MaskState([]byte(text))
	if err != nil {
		delete(result, LastApplied)
		return result
	}
	result[LastApplied] = string(masked)
	return result
}
