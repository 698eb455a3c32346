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

package v1alpha1

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// MinConfirmationTimeout and MaxConfirmationTimeout bound spec.confirmation.timeout.
	MinConfirmationTimeout = 5 * time.Second
	MaxConfirmationTimeout = 10 * time.Minute
	// MaxProbeTimeout bounds the timeout of a probe.
	MaxProbeTimeout = time.Minute
	// maxURL is the size in bytes that the URL of a probe may have.
	maxURL = 2048
)

// ValidateSpec tells all that is wrong with a spec before a node is asked. What is
// absent is fine: the node's agent has the defaults.
func ValidateSpec(spec *NodeNetworkStateSpec, path *field.Path) field.ErrorList {
	errs := ValidateState(spec.DesiredState, path.Child("desiredState"))
	errs = append(errs, validateProbes(spec.Probes, path.Child("probes"))...)
	errs = append(errs, validateConfirmation(spec.Confirmation, path.Child("confirmation"))...)
	errs = append(errs, oneOf(spec.Reapply, path.Child("reapply"), ReapplyNever, ReapplyOnBoot, ReapplyAlways)...)
	return append(errs, oneOf(spec.Removal, path.Child("removal"), RemovalOrphan, RemovalRevert)...)
}

// ValidateTransactionReference tells what is wrong with a reference to a change.
func ValidateTransactionReference(reference *TransactionReference) field.ErrorList {
	path := field.NewPath("id")
	const which = "write the id of the change that waits for a confirmation, see status.lastApply.id"
	switch {
	case reference.ID == "":
		return field.ErrorList{field.Required(path, which)}
	case len(reference.ID) > validation.DNS1123LabelMaxLength || len(validation.IsDNS1123Label(reference.ID)) > 0:
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, "is no id of a change: "+which)}
	}
	return nil
}

// oneOf tells whether a value is one of those that are supported, or absent.
func oneOf[T ~string](value T, path *field.Path, supported ...T) field.ErrorList {
	if value == "" {
		return nil
	}
	for _, one := range supported {
		if value == one {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, shortValue(value), supported)}
}

// shortValue returns what an error repeats of a value that the client sent.
func shortValue[T ~string](value T) T {
	const most = 100
	if len(value) > most {
		return T(strings.ToValidUTF8(string(value[:most]), "")) + "…"
	}
	return value
}

func validateConfirmation(confirmation *Confirmation, path *field.Path) field.ErrorList {
	if confirmation == nil {
		return nil
	}
	errs := oneOf(confirmation.Mode, path.Child("mode"), ConfirmByReachability, ConfirmManually, ConfirmNone)
	if t := confirmation.Timeout; t != nil && (t.Duration < MinConfirmationTimeout || t.Duration > MaxConfirmationTimeout) {
		errs = append(errs, field.Invalid(path.Child("timeout"), t.Duration.String(), "must be from 5s to 10m, such as 60s"))
	}
	return errs
}

func validateProbes(probes []Probe, path *field.Path) field.ErrorList {
	if len(probes) > MaxProbes {
		err := field.TooMany(path, len(probes), MaxProbes)
		err.Detail += ": leave out those that fail only if another one does"
		return field.ErrorList{err}
	}
	var errs field.ErrorList
	names := map[string]bool{}
	for i := range probes {
		probe, at := &probes[i], path.Index(i)
		switch name := at.Child("name"); {
		case probe.Name == "":
			errs = append(errs, field.Required(name, "each probe has a name of its own, such as \"gateway\""))
		case len(validation.IsDNS1123Label(probe.Name)) > 0:
			errs = append(errs, field.Invalid(name, shortValue(probe.Name),
				"must be at most 63 lower case letters, digits and \"-\", such as \"gateway\" or \"dns-1\""))
		case names[probe.Name]:
			errs = append(errs, field.Duplicate(name, probe.Name))
		}
		names[probe.Name] = true
		errs = append(errs, validateProbe(probe, at)...)
	}
	return errs
}

func validateProbe(probe *Probe, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	kinds := 0
	if probe.Ping != nil {
		kinds++
		errs = append(errs, validatePing(probe.Ping, path.Child("ping", "address"))...)
	}
	if probe.TCP != nil {
		kinds++
		errs = append(errs, validateHostPort(probe.TCP.Address, path.Child("tcp", "address"))...)
	}
	if probe.HTTP != nil {
		kinds++
		errs = append(errs, validateHTTP(probe.HTTP, path.Child("http"))...)
	}
	if probe.DNS != nil {
		kinds++
		errs = append(errs, validateDNS(probe.DNS, path.Child("dns"))...)
	}
	if probe.Node != nil {
		kinds++
		errs = append(errs, validateNode(probe.Node.Name, path.Child("node", "name"))...)
	}
	if kinds != 1 {
		errs = append(errs, field.Invalid(path, field.OmitValueType{},
			fmt.Sprintf("must have exactly one of ping, tcp, http, dns and node, and has %d: write one probe for each", kinds)))
	}
	return append(errs, validateTimeout(probe.Timeout, path.Child("timeout"))...)
}

func validateTimeout(timeout *metav1.Duration, path *field.Path) field.ErrorList {
	if timeout == nil || timeout.Duration > 0 && timeout.Duration <= MaxProbeTimeout {
		return nil
	}
	return field.ErrorList{field.Invalid(path, timeout.Duration.String(), "must be more than 0s and at most 1m, such as 5s")}
}

func validatePing(ping *PingProbe, path *field.Path) field.ErrorList {
	if ping.Address == "" || isAddress(ping.Address) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, shortValue(ping.Address),
		"must be an IP address, such as 192.0.2.1 or 2001:db8::1, or be left out, for the default gateway")}
}

func validateHostPort(address string, path *field.Path) field.ErrorList {
	const such = "such as \"192.0.2.1:443\", \"[2001:db8::1]:443\" or \"example.org:443\""
	if address == "" {
		return field.ErrorList{field.Required(path, "write host and port, "+such)}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !isHost(host) || !isPort(port) {
		return field.ErrorList{field.Invalid(path, shortValue(address), "must be host and port, "+such)}
	}
	return nil
}

func validateHTTP(probe *HTTPProbe, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if problem := urlProblem(probe.URL); problem != "" {
		// The URL is not repeated: it may have a password.
		errs = append(errs, field.Invalid(path.Child("url"), field.OmitValueType{}, problem))
	}
	if status := probe.Status; status != nil && (*status < 100 || *status > 599) {
		errs = append(errs, field.Invalid(path.Child("status"), *status, "must be an HTTP status code, from 100 to 599; leave it out for any from 200 to 399"))
	}
	return errs
}

// urlProblem tells what is wrong with the URL of a probe, nothing if it is fine.
func urlProblem(text string) string {
	const such = "such as \"https://192.0.2.1/healthz\""
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return fmt.Sprintf("must have at most %d bytes", maxURL)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Hostname()):
		return "must be a URL with http or https and a host, " + such
	case u.Port() != "" && !isPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		return "must have a port from 1 to 65535, or none, " + such
	case u.User != nil:
		return "must not have a user or password: the spec is read by all who may read the node, " + such
	case u.Fragment != "":
		return "must not have a fragment, which is never sent to a server: leave out what follows \"#\""
	}
	return ""
}

func validateDNS(probe *DNSProbe, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch name := path.Child("name"); {
	case probe.Name == "":
		errs = append(errs, field.Required(name, "write the name to resolve, such as \"example.org\""))
	case !isDomain(probe.Name):
		errs = append(errs, field.Invalid(name, shortValue(probe.Name), "must be a DNS name, such as \"example.org\""))
	}
	if probe.Server != "" && !isAddress(probe.Server) {
		if _, err := netip.ParseAddrPort(probe.Server); err != nil || strings.HasSuffix(probe.Server, ":0") {
			errs = append(errs, field.Invalid(path.Child("server"), shortValue(probe.Server),
				"must be the IP address of a DNS server, with or without a port, such as \"192.0.2.53\", \"192.0.2.53:53\" or \"[2001:db8::53]:53\""))
		}
	}
	return errs
}

func validateNode(name string, path *field.Path) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(path, "write the name of another node (kubectl get nns lists them)")}
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		return field.ErrorList{field.Invalid(path, shortValue(name), "must be the name of a node (kubectl get nns lists them)")}
	}
	return nil
}

// isAddress tells whether a text is an IP address, with a zone or without one.
func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func isHost(host string) bool { return isAddress(host) || isDomain(host) }

// isDomain tells whether a text is a DNS name. Names of hosts may have underscores in DNS, and end with a dot.
func isDomain(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return len(validation.IsDNS1123SubdomainWithUnderscore(name)) == 0 && !looksLikeIPv4(name)
}

// looksLikeIPv4 tells whether a name ends with a label that is a number. No domain does: it is a mistyped address.
func looksLikeIPv4(name string) bool {
	_, err := strconv.ParseUint(name[strings.LastIndexByte(name, '.')+1:], 10, 64)
	return err == nil
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}
